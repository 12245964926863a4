/** Replication under random faults: schedules, checkers, and proof that the checkers can fail. */
import { expectHappened, runSeeds } from '@kith/sim'
import { describe, expect, it } from 'vitest'
import { atTier, evidence } from '../support/tier.ts'
import { mutants } from './replication/mutants.ts'
import { runSchedule, scenarios, schedules } from './replication/schedules.ts'

/** Seeds of each schedule, and the faults that must have happened over all of them. */
const plan: Readonly<
  Record<string, { readonly seeds: number; readonly faults: readonly string[] }>
> = {
  'replication-mesh': {
    seeds: atTier(30, 200),
    faults: ['crashes', 'crashInCommit', 'crashMidApply', 'restarts', 'partitions', 'pauses'],
  },
  'replication-line': { seeds: atTier(30, 200), faults: ['crashes', 'partitions', 'rumours'] },
  'replication-replacement': { seeds: atTier(20, 150), faults: ['replacements'] },
  'replication-safe-retention': { seeds: atTier(15, 150), faults: ['dropped', 'replacements'] },
  'replication-unsafe-retention': { seeds: atTier(15, 150), faults: ['dropped', 'gap'] },
  'replication-roll-back-gated': { seeds: atTier(20, 150), faults: ['rollBacks', 'rotate'] },
  'replication-roll-back-blind': {
    seeds: atTier(20, 150),
    faults: ['rollBacks', 'rotate', 'fork', 'quarantine'],
  },
}

const clauses: Readonly<Record<string, string>> = {
  'replication-mesh': 'REP-1 REP-2 REP-3 REP-4 REP-5 REP-8 REP-9 REP-18',
  'replication-line': 'REP-17 REP-9 REP-10',
  'replication-replacement': 'REP-10 REP-1',
  'replication-safe-retention': 'REP-10 REP-11',
  'replication-unsafe-retention': 'REP-11 REP-10',
  'replication-roll-back-gated': 'REP-13 REP-12',
  'replication-roll-back-blind': 'REP-12 REP-13 REP-1',
}

describe('replication over random faults', () => {
  for (const [name, { seeds, faults }] of Object.entries(plan)) {
    it(`${clauses[name]} ${name}: ${seeds} seeds`, { timeout: 1_800_000 }, async () => {
      const scenario = scenarios[name]
      if (scenario === undefined) throw new Error(`no scenario ${name}`)
      const first = Number(process.env['KITH_SEED'] ?? 1)
      const { counters } = await runSeeds({ name, scenario, seeds, first })
      expectHappened(counters, ['appends', 'served', ...faults])
      evidence(`${name} seeds`, seeds)
      evidence(`${name} faults`, JSON.stringify(counters))
    })
  }

  it('the same seed does the same again', async () => {
    const scenario = scenarios['replication-roll-back-blind']
    if (scenario === undefined) throw new Error('no scenario')
    await runSeeds({ name: 'replication-roll-back-blind', scenario, seeds: 2, twice: true })
  })
})

describe('the checkers of replication', () => {
  const seedsMax = 40
  for (const [name, { caught, schedule, mutant }] of Object.entries(mutants)) {
    it(`catch ${name}`, { timeout: 300_000 }, async () => {
      const faulty = schedules[schedule]
      if (faulty === undefined) throw new Error(`no schedule ${schedule}`)
      let seen = ''
      for (let seed = 1; seed <= seedsMax && !caught.test(seen); seed += 1) {
        seen = await runSchedule(faulty, seed, () => {}, mutant).then(() => '', String)
      }
      expect(seen).toMatch(caught)
    })
  }
})
