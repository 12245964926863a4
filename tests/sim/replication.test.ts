/** Replication under random faults: schedules, checkers, and proof that the checkers can fail. */
import { readdirSync, readFileSync } from 'node:fs'
import { expectHappened, runSeeds } from '@kith/sim'
import { describe, expect, it } from 'vitest'
import { atTier, evidence } from '../support/tier.ts'
import { mutants } from './replication/mutants.ts'
import { runSchedule, scenarios, schedules } from './replication/schedules.ts'
import { Violation, violations } from './replication/violations.ts'

/**
 * Seeds of each schedule, and the faults that must have happened over all. In tier 1 they are 350,
 * with 700 more of clusters of three, which cost half as much; in tier 2 26,400 of all sizes.
 */
const plan: readonly (readonly [
  clauses: string,
  name: string,
  seeds: number,
  small: number,
  faults: readonly string[],
])[] = [
  [
    'REP-1 REP-2 REP-3 REP-4 REP-5 REP-6 REP-7 REP-8 REP-9 REP-10 REP-18',
    'replication-mesh',
    atTier(50, 3_000),
    atTier(110, 0),
    ['crashes', 'crashInCommit', 'crashMidApply', 'restarts', 'partitions', 'pauses', 'rumours'],
  ],
  [
    'REP-17 REP-9',
    'replication-line',
    atTier(50, 3_000),
    atTier(110, 0),
    ['crashes', 'partitions', 'rumours'],
  ],
  ['REP-10 REP-1', 'replication-replacement', atTier(30, 2_400), atTier(70, 0), ['replacements']],
  [
    'REP-10 REP-1',
    'replication-bootstrap',
    atTier(30, 2_400),
    atTier(70, 0),
    ['bootstraps', 'replacements'],
  ],
  [
    'REP-10 REP-11',
    'replication-safe-retention',
    atTier(30, 2_400),
    atTier(70, 0),
    ['dropped', 'replacements'],
  ],
  [
    'REP-11 REP-4',
    'replication-unsafe-retention',
    atTier(30, 2_400),
    atTier(70, 0),
    ['dropped', 'gap'],
  ],
  [
    'REP-40 REP-41 REP-13',
    'replication-retirement',
    atTier(30, 2_400),
    atTier(70, 0),
    ['retirements', 'wrongRetirements', 'refusedRetirements', 'revivals', 'rollBacks', 'dropped'],
  ],
  [
    'REP-6 REP-40 REP-41 REP-11',
    'replication-unsafe-retirement',
    atTier(10, 2_400),
    atTier(20, 0),
    ['retirements', 'revivals', 'rollBacks', 'replacements', 'dropped', 'gap'],
  ],
  [
    'REP-22 REP-6 REP-11',
    'replication-guarded-retention',
    atTier(10, 1_200),
    atTier(10, 0),
    ['retained', 'retentionHeld', 'replacements', 'bootstraps', 'dropped', 'gap'],
  ],
  [
    'REP-13 REP-1',
    'replication-roll-back-gated',
    atTier(40, 2_400),
    atTier(50, 0),
    ['rollBacks', 'rotate', 'stops'],
  ],
  [
    'REP-12 REP-13 REP-1',
    'replication-roll-back-blind',
    atTier(40, 2_400),
    atTier(50, 0),
    ['rollBacks', 'rotate', 'stops', 'fork', 'quarantine'],
  ],
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
  const title = '%s %s: %i seeds and %i of three members'
  it.each(plan)(title, { timeout: 3_600_000 }, async (_, name, seeds, small, faults) => {
    const counters = await run(name, seeds)
    expectHappened(counters, [...always, ...faults])
    await run(`${name}-small`, small)
    evidence(`${name} seeds`, seeds)
    evidence(`${name} faults`, JSON.stringify(counters))
  })

  it('REP-9 REP-13 a log that may not take another origin yet has its own when it may', async () => {
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
