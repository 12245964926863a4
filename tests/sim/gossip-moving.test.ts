/** Members that get another address while they run, and proof that the checks can fail. */
import { step } from '@kith/gossip/core'
import { expectHappened, runSeeds } from '@kith/sim'
import { describe, expect, it } from 'vitest'
import { atTier, evidence } from '../support/tier.ts'
import { Violation } from './gossip/checkers.ts'
import type { Step } from './gossip/cluster.ts'
import { movePlans, runMoves, scenarios } from './gossip/moving.ts'
import type { MovePlan } from './gossip/moving.ts'

const seeds = atTier(6, 1000)
const timeout = 3_600_000

const happened: Readonly<Record<keyof typeof movePlans, readonly string[]>> = {
  'gossip-move': ['moves', 'updates'],
  'gossip-move-loss': ['moves', 'updates', 'lost'],
  'gossip-move-cut': ['moves', 'updates', 'suspects', 'failsAcross', 'returns'],
}

describe('members that move while they run', () => {
  for (const [name, expected] of Object.entries(happened)) {
    it(
      `GOS-214 are followed, and nobody is in doubt: ${name}, ${seeds} seeds`,
      {
        timeout,
      },
      async () => {
        const plan = movePlans[name as keyof typeof movePlans]
        const took: number[] = []
        const told = { ...plan, tell: (ms: number): void => void took.push(ms) }
        const { counters } = await runSeeds({
          name,
          scenario: (seed, context) => runMoves(told, seed, context),
          seeds,
          first: Number(process.env['KITH_SEED'] ?? 1),
        })
        expectHappened(counters, expected)
        const sorted = took.toSorted((a, b) => a - b)
        evidence(`${name} followed, median ms`, sorted[Math.floor(sorted.length / 2)] ?? 0)
        evidence(`${name} followed, slowest ms`, sorted.at(-1) ?? 0)
        evidence(`${name} counters`, JSON.stringify(counters))
      },
    )
  }

  it('GOS-77 the same seed does the same again', async () => {
    const scenario = scenarios['gossip-move-cut']
    if (scenario === undefined) throw new Error('no scenario')
    await runSeeds({ name: 'gossip-move-cut', scenario, seeds: 1, twice: true })
  })
})

/** It does not say where it was: a second one of its name could say as much. */
const saysNothingOfBefore: Step = (state, input, now) => {
  const outputs = step(state, input, now)
  if (input.kind !== 'command' || input.command.kind !== 'setAdvertise') return outputs
  state.moved = { former: [], incarnation: 0 }
  const tags = { ...state.members.get(state.name)?.snapshot.tags }
  delete tags['kith.v']
  return [
    ...outputs,
    ...step(state, { kind: 'command', command: { kind: 'setTags', id: 99, tags } }, now),
  ]
}

/** It has moved and tells nobody. */
const tellsNobody: Step = (state, input, now) =>
  input.kind === 'command' && input.command.kind === 'setAdvertise' ? [] : step(state, input, now)

/** What tells of where it was is a second one of its name. */
const forgetsWhereItWas: Step = (state, input, now) => {
  const outputs = step(state, input, now)
  state.moved = { ...state.moved, former: [] }
  return outputs
}

/** Its former address stays its source. */
const speaksAsBefore: Step = (state, input, now) => {
  const { address, addressBytes } = state
  const outputs = step(state, input, now)
  if (input.kind === 'command' && input.command.kind === 'setAdvertise') {
    state.address = address
    state.addressBytes = addressBytes
  }
  return outputs
}

const mutants: Readonly<
  Record<
    string,
    { readonly plan: MovePlan; readonly step: Step; readonly caught: readonly string[] }
  >
> = {
  'it says nothing of before': {
    plan: movePlans['gossip-move'],
    step: saysNothingOfBefore,
    caught: ['followed', 'doubt', 'gone'],
  },
  'it tells nobody': {
    plan: movePlans['gossip-move'],
    step: tellsNobody,
    caught: ['followed', 'gone'],
  },
  'it forgets where it was': {
    plan: { cutS: [1, 3] },
    step: forgetsWhereItWas,
    caught: ['doubt'],
  },
  'it speaks as before': {
    plan: movePlans['gossip-move'],
    step: speaksAsBefore,
    caught: ['followed', 'doubt', 'gone', 'M5'],
  },
}

describe('the checks of moving', () => {
  for (const [name, { plan, step: mutant, caught }] of Object.entries(mutants)) {
    it(`GOS-85 catch that ${name}`, { timeout: 300_000 }, () => {
      expect(caught).toContain(firstViolation({ ...plan, step: mutant })?.checker)
    })
  }
})

function firstViolation(plan: MovePlan): Violation | undefined {
  for (let seed = 1; seed <= 20; seed += 1) {
    try {
      runMoves(plan, seed, { note() {} })
    } catch (cause) {
      if (cause instanceof Violation) return cause
      throw cause
    }
  }
  return undefined
}
