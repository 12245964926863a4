/** What the core counted, and how full it is. */
import { longestStallMs, ownAwareness } from './health.ts'
import type { State } from './state.ts'

export interface CoreStats {
  /** By kind; a kind that never happened is absent. */
  readonly counters: Readonly<Record<string, number>>
  /** Broadcasts waiting. */
  readonly queues: {
    readonly members: number
    readonly intents: number
    readonly queries: number
    readonly events: number
  }
  /** Broadcasts dropped because a queue was full. */
  readonly broadcastsDropped: number
  /** Broadcasts dropped because they had waited for an interval of push/pull. */
  readonly broadcastsShed: number
  /** SWIM's N: everyone probed, self and the recently dead included. */
  readonly probeList: number
  readonly alive: number
  readonly failed: number
  readonly left: number
  /** How much this member doubts itself; 0 is healthy. */
  readonly awareness: number
  /** The longest time of late for which this member did not run, in milliseconds. */
  readonly longestStallMs: number
  readonly lamportTimes: {
    readonly member: bigint
    readonly event: bigint
    readonly query: bigint
  }
}

export function coreStats(state: State): CoreStats {
  const queues = [state.broadcasts, state.intents, state.queries, state.events]
  return {
    counters: Object.fromEntries(state.counters),
    queues: {
      members: state.broadcasts.size,
      intents: state.intents.size,
      queries: state.queries.size,
      events: state.events.size,
    },
    broadcastsDropped: queues.reduce((sum, queue) => sum + queue.dropped, 0),
    broadcastsShed: queues.reduce((sum, queue) => sum + queue.shed, 0),
    probeList: state.ring.length,
    alive: state.aliveCount,
    failed: state.failed.size,
    left: state.gone.size,
    awareness: ownAwareness(state),
    longestStallMs: longestStallMs(state),
    lamportTimes: {
      member: state.clock.time,
      event: state.eventClock.time,
      query: state.queryClock.time,
    },
  }
}
