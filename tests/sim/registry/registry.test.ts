/** The registry in the simulator: many seeds hold, and each planted fault is noticed. */
import { expectHappened, runSeeds } from '@kith/sim'
import { describe, expect, it } from 'vitest'
import { atTier, evidence } from '../../support/tier.ts'
import { registryMutants } from './mutants.ts'
import { registryScenario } from './scenario.ts'

const seeds = atTier(300, 5_000)
const faults = [
  'lost',
  'duplicated',
  'reordered',
  'partitioned',
  'crashes',
  'leaves',
  'restarts',
  'clocksBack',
  'takeovers',
  'fetches',
  'solicits',
  'failures',
  'returns',
]

describe('registry in the simulator', () => {
  it(
    "REG-3, REG-6, REG-8: all views become the owners' truth, and nothing that ended comes back",
    { timeout: atTier(240_000, 7_200_000) },
    async () => {
      const result = await runSeeds({ name: 'registry', scenario: registryScenario(), seeds })
      expectHappened(result.counters, faults)
      expect(result.counters['malformed']).toBe(0)
      evidence('registry: simulator seeds', result.seeds)
      const settled = Object.entries(result.counters).filter(([name]) => name.startsWith('settled'))
      for (const [name, count] of settled) evidence(`registry: seeds ${name}`, count)
      for (const name of faults) evidence(`registry: ${name}`, result.counters[name] ?? 0)
    },
  )

  it('does the same again with the same seed', async () => {
    await runSeeds({ name: 'registry', scenario: registryScenario(), seeds: [7], twice: true })
  })

  it.each(Object.entries(registryMutants()))(
    'notices a registry that %s',
    { timeout: 240_000 },
    async (_name, mutant) => {
      const run = runSeeds({ name: 'registry', scenario: registryScenario(mutant), seeds: 60 })
      await expect(run).rejects.toMatchObject({ code: 'ERR_SIM_SEED_FAILED' })
    },
  )
})
