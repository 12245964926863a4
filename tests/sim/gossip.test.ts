/** Membership under random faults: campaigns, checkers, and proof that the checkers can fail. */
import { expectHappened, runSeeds } from '@kith/sim'
import { describe, expect, it } from 'vitest'
import { atTier, evidence } from '../support/tier.ts'
import { runPlan } from './gossip/campaign.ts'
import { Violation } from './gossip/checkers.ts'
import { mutants } from './gossip/mutants.ts'
import type { Mutant } from './gossip/mutants.ts'
import { plans, scenarios } from './gossip/scenarios.ts'

/** Seeds of each campaign, and what must have happened over all of them. */
const campaigns: Readonly<
  Record<keyof typeof plans, { readonly seeds: number; readonly happened: readonly string[] }>
> = {
  'gossip-loss': {
    seeds: atTier(20, 140),
    happened: ['lightLosses', 'heavyLosses', 'lost', 'tagChanges', 'event suspect'],
  },
  'gossip-partition': {
    seeds: atTier(20, 140),
    happened: ['partitions', 'partitionsBack', 'partitioned', 'deaths', 'revivals', 'excusedByCut'],
  },
  'gossip-one-way': {
    seeds: atTier(20, 140),
    happened: ['oneWayIn', 'oneWayOut', 'packetFilters', 'event packetsBlocked'],
  },
  'gossip-pause': { seeds: atTier(20, 140), happened: ['pauses', 'heldInbound', 'event paused'] },
  'gossip-crash': {
    seeds: atTier(20, 140),
    happened: ['crashesRefusing', 'crashesSilent', 'refused', 'blackholed', 'event fail'],
  },
  'gossip-restart': { seeds: atTier(20, 140), happened: ['restarts', 'event refute', 'verdicts'] },
  'gossip-leave': { seeds: atTier(15, 120), happened: ['leaves', 'event leave', 'restarts'] },
  'gossip-talk': {
    seeds: atTier(20, 140),
    happened: [
      ...['emits', 'eventsHeard', 'calmEventsHeard', 'asks', 'acksHeard', 'responsesHeard'],
      ...['queries complete', 'queries deadline', 'answersRepeated', 'responsesLarge', 'restarts'],
    ],
  },
  'gossip-mix': {
    seeds: atTier(20, 160),
    happened: ['lost', 'partitions', 'pauses', 'restarts', 'leaves', 'duplicated', 'reordered'],
  },
}

/** False verdicts allowed for each member while more than a tenth of all packets is lost. */
const luckMax = 0.02
const timeout = 3_600_000

describe('membership over random faults', () => {
  for (const [index, [name, { seeds, happened }]] of Object.entries(campaigns).entries()) {
    it(
      `GOS-80 GOS-81 GOS-82 GOS-83 GOS-84 GOS-124 ${name}: ${seeds} seeds`,
      { timeout },
      async () => {
        const scenario = scenarios[name]
        if (scenario === undefined) throw new Error(`no scenario ${name}`)
        // A seed decides the size too, so each campaign has seeds of its own.
        const first = Number(process.env['KITH_SEED'] ?? 1) + index * 10_000
        const { counters } = await runSeeds({ name, scenario, seeds, first })
        expectHappened(counters, ['transitions', 'event join', ...happened])
        const luck = counters['falseUnderLoss'] ?? 0
        expect(luck).toBeLessThanOrEqual(luckMax * (counters['members'] ?? 0))
        evidence(`${name} seeds`, seeds)
        evidence(`${name} faults`, JSON.stringify(counters))
      },
    )
  }

  it('GOS-77 the same seed does the same again', async () => {
    const scenario = scenarios['gossip-mix']
    if (scenario === undefined) throw new Error('no scenario')
    await runSeeds({ name: 'gossip-mix', scenario, seeds: 3, twice: true })
  })
})

/** The violation that the first of a few seeds meets; throws whatever else goes wrong. */
function firstViolation(mutant: Mutant): Violation | undefined {
  const seedsMax = 20
  for (let seed = 1; seed <= seedsMax; seed += 1) {
    try {
      runPlan({ ...plans[mutant.plan], membersMax: 8, step: mutant.step }, seed, { note() {} })
    } catch (cause) {
      if (cause instanceof Violation) return cause
      throw cause
    }
  }
  return undefined
}

describe('the checkers of membership', () => {
  for (const [name, mutant] of Object.entries(mutants)) {
    it(`GOS-85 catch that ${name}`, { timeout: 300_000 }, () => {
      expect(mutant.caught).toContain(firstViolation(mutant)?.checker)
    })
  }
})
