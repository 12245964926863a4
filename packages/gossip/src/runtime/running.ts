/** What a member is made of from its start on: the core, its engine, and its ways in and out. */
import type { Logger } from '@kith/interface'
import { nodeDigests } from '@kith/interface/node'
import { createState } from '../core/index.ts'
import type { Output, Progress, State } from '../core/index.ts'
import { packetOverhead } from '../wire/codec.ts'
import type { Bound, Reachable } from './bind.ts'
import { createEngine } from './engine.ts'
import type { Engine } from './engine.ts'
import { createExchanges } from './exchanges.ts'
import type { Exchanges } from './exchanges.ts'
import { createFetcher } from './fetching.ts'
import type { Fetcher } from './fetching.ts'
import type { ResolvedGossipOptions } from './options.ts'
import type { CountOf } from './counters.ts'

export interface Running {
  readonly state: State
  readonly engine: Engine
  readonly bound: Bound
  readonly exchanges: Exchanges
  readonly fetcher: Fetcher
}

export interface RunningOptions {
  readonly options: ResolvedGossipOptions
  readonly bound: Reachable
  /** What an earlier life came to. */
  readonly restored: Progress | undefined
  /** Ends every exchange. */
  readonly signal: AbortSignal
  readonly execute: (output: Output) => void
  /** The core made a mistake; nothing runs any more. */
  readonly broken: () => void
  readonly count: CountOf
}

/** Nothing of it runs before the core hears its first command. */
export function createRunning(given: RunningOptions): Running {
  const { options, bound, restored, signal, execute, broken, count } = given
  const { name, tags, timings, policy, context, envelope } = options
  const { clock, random, logger } = context
  const own = { name, address: bound.advertised, tags, timings, policy, restored }
  const packetOverheadBytes = packetOverhead(envelope)
  const state = createState({ ...own, digests: nodeDigests, packetOverheadBytes }, random)
  const engine = createEngine({
    state,
    clock,
    execute,
    broken: (cause) => {
      tellMistake(logger, cause)
      broken()
    },
  })
  const { streams } = bound
  const run: Engine['run'] = (input) => engine.run(input)
  const exchanges = createExchanges({ streams, clock, envelope, signal, run, count })
  return { state, engine, bound, exchanges, fetcher: createFetcher(streams, clock, envelope) }
}

function tellMistake(logger: Logger, cause: unknown): void {
  logger.error({ err: cause }, 'gossip made a mistake and stops')
}
