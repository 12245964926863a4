/** Replication under random faults: schedules, checkers, and proof that the checkers can fail. */
import { readdirSync, readFileSync } from 'node:fs'
import { expectHappened, runSeeds } from '@kith/sim'
import { describe, expect, it } from 'vitest'
import { atTier, evidence } from '../support/tier.ts'
import { mutants } from './replication/mutants.ts'
import { runSchedule, scenarios, schedules } from './replication/schedules.ts'
import { Violation, violations } from './replication/violations.ts'

interface Row {
  /** The clauses. */
  readonly id: string
  readonly name: string
  /** Of three to six members; of three, which cost half as much; and of 400 steps for 120. */
  readonly seeds: number
  readonly small: number
  readonly long: number
  /** What must have happened over all. */
  readonly faults: readonly string[]
}

/** Tier 1: 360 schedules of all sizes and 720 of three members; tier 2: 28,800 and 1,800 long. */
const plan: readonly Row[] = [
  {
    id: 'REP-1 REP-2 REP-3 REP-4 REP-5 REP-6 REP-7 REP-8 REP-9 REP-10 REP-18',
    name: 'replication-mesh',
    ...{ seeds: atTier(50, 3_000), small: atTier(110, 0), long: atTier(0, 300) },
    faults: [
      ...['crashes', 'crashInCommit', 'crashMidApply', 'restarts'],
      ...['partitions', 'pauses', 'rumours'],
    ],
  },
  {
    id: 'REP-17 REP-9',
    name: 'replication-line',
    ...{ seeds: atTier(50, 3_000), small: atTier(110, 0), long: atTier(0, 300) },
    faults: ['crashes', 'partitions', 'rumours'],
  },
  {
    id: 'REP-10 REP-1',
    name: 'replication-replacement',
    ...{ seeds: atTier(30, 2_400), small: atTier(70, 0), long: 0 },
    faults: ['replacements'],
  },
  {
    id: 'REP-10 REP-1',
    name: 'replication-bootstrap',
    ...{ seeds: atTier(30, 2_400), small: atTier(70, 0), long: 0 },
    faults: ['bootstraps', 'replacements'],
  },
  {
    id: 'REP-10 REP-11',
    name: 'replication-safe-retention',
    ...{ seeds: atTier(30, 2_400), small: atTier(70, 0), long: 0 },
    faults: ['dropped', 'replacements'],
  },
  {
    id: 'REP-11 REP-4',
    name: 'replication-unsafe-retention',
    ...{ seeds: atTier(30, 2_400), small: atTier(70, 0), long: atTier(0, 300) },
    faults: ['dropped', 'gap'],
  },
  {
    id: 'REP-40 REP-41 REP-13',
    name: 'replication-retirement',
    ...{ seeds: atTier(30, 2_400), small: atTier(70, 0), long: 0 },
    faults: [
      ...['retirements', 'wrongRetirements', 'refusedRetirements', 'revivals'],
      ...['rollBacks', 'dropped'],
    ],
  },
  {
    id: 'REP-6 REP-40 REP-41 REP-11',
    name: 'replication-unsafe-retirement',
    ...{ seeds: atTier(10, 2_400), small: atTier(20, 0), long: 0 },
    faults: ['retirements', 'revivals', 'rollBacks', 'replacements', 'dropped', 'gap'],
  },
  {
    id: 'REP-22 REP-6 REP-11',
    name: 'replication-guarded-retention',
    ...{ seeds: atTier(10, 1_200), small: atTier(10, 0), long: atTier(0, 300) },
    faults: ['retained', 'retentionHeld', 'replacements', 'bootstraps', 'dropped', 'gap'],
  },
  {
    id: 'REP-13 REP-1',
    name: 'replication-roll-back-gated',
    ...{ seeds: atTier(40, 2_400), small: atTier(50, 0), long: 0 },
    faults: ['rollBacks', 'rotate', 'stops'],
  },
  {
    id: 'REP-12 REP-13 REP-1',
    name: 'replication-roll-back-blind',
    ...{ seeds: atTier(40, 2_400), small: atTier(50, 0), long: atTier(0, 300) },
    faults: ['rollBacks', 'rotate', 'stops', 'fork', 'quarantine'],
  },
  {
    id: 'REP-17 REP-41 REP-12 REP-11',
    name: 'replication-everything-line',
    ...{ seeds: atTier(10, 2_400), small: atTier(20, 0), long: atTier(0, 300) },
    faults: [
      ...['rollBacks', 'stops', 'replacements', 'bootstraps', 'retirements', 'revivals'],
      ...['dropped', 'gap'],
    ],
  },
]

/** What happens under every schedule. */
const always = [
  ...['appends', 'appendsUnflushed', 'lostCommits', 'acks', 'acksTimedOut', 'served'],
  ...['relays', 'rumoursAtRest'],
]

async function run(name: string, seeds: number): Promise<Readonly<Record<string, number>>> {
  const scenario = scenarios[name]
  if (scenario === undefined) throw new Error(`no scenario ${name}`)
  const first = Number(process.env['KITH_SEED'] ?? 1)
  return (await runSeeds({ name, scenario, seeds, first })).counters
}

describe('replication over random faults', () => {
  const title = '$id $name: $seeds seeds, $small of three members and $long long ones'
  it.each(plan)(title, { timeout: 3_600_000 }, async ({ name, seeds, small, long, faults }) => {
    const counters = await run(name, seeds)
    expectHappened(counters, [...always, ...faults])
    await run(`${name}-small`, small)
    await run(`${name}-long`, long)
    evidence(`${name} seeds`, seeds)
    if (long > 0) evidence(`${name} long seeds`, long)
    evidence(`${name} faults`, JSON.stringify(counters))
  })

  const twice = 'REP-9 REP-13 a log that may not take another origin yet has its own when it may'
  it(twice, { timeout: atTier(30_000, 600_000) }, async () => {
    const name = 'replication-roll-back-twice'
    const counters = await run(name, atTier(20, 400))
    expectHappened(counters, ['rotateRefused', 'waitedForOrigin'])
  })

  it('the same seed does the same again', async () => {
    const scenario = scenarios['replication-roll-back-blind']
    if (scenario === undefined) throw new Error('no scenario')
    await runSeeds({ name: 'replication-roll-back-blind', scenario, seeds: 2, twice: true })
  })
})

describe('the checkers of replication', () => {
  const seedsMax = 40

  it('have a planted fault for everything that they can say', () => {
    const caught = new Set(Object.values(mutants).map((planted) => planted.caught))
    expect([...caught].toSorted()).toEqual(Object.keys(violations).toSorted())
  })

  it('say each thing at one place', () => {
    const folder = new URL('replication/', import.meta.url)
    const said = readdirSync(folder).flatMap((file) => {
      const text = readFileSync(new URL(file, folder), 'utf8')
      return [...text.matchAll(/new Violation\(\s*('([^']*)'|\S+)/g)].map(([, word, name]) => {
        return name ?? word
      })
    })
    // What all waited for in vain is thrown as what it was, with the time.
    expect(said.toSorted()).toEqual(
      [...Object.keys(violations), 'difference.violation,'].toSorted(),
    )
  })

  for (const [name, planted] of Object.entries(mutants)) {
    it(`catch ${name}`, { timeout: 300_000 }, async () => {
      const { caught, schedule, mutant, firstSeed = 1 } = planted
      const faulty = schedules[schedule]
      if (faulty === undefined) throw new Error(`no schedule ${schedule}`)
      const said = new Set<unknown>()
      for (let seed = firstSeed; seed < firstSeed + seedsMax && !said.has(caught); seed += 1) {
        const cause: unknown = await runSchedule(faulty, seed, () => {}, mutant).catch(
          (thrown: unknown) => thrown,
        )
        said.add(cause instanceof Violation ? cause.violation : cause)
      }
      expect([...said]).toContain(caught)
    })
  }
})
