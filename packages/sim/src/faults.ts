/** What a link does to what is sent over it, and the counters that prove that it did. */
import { describeProblems } from '@kith/interface'
import type { OptionProblem } from '@kith/interface'
import { SimError } from './errors.ts'

/**
 * How one direction between two addresses behaves. Chances are from 0 to 1, times in milliseconds.
 */
export interface LinkFaults {
  /** Time on the way that everything takes; default 1. */
  readonly latencyMs: number
  /** More time, uniform in [0, jitterMs); default 0. Jitter alone reorders packets. */
  readonly jitterMs: number
  /** Chance of a straggler, late by an exponential time with mean `stragglerMs`; default 0. */
  readonly straggler: number
  /** Default 100. */
  readonly stragglerMs: number
  /**
   * Chance that a packet is lost, and that a segment of a stream has to be sent again; default 0.
   */
  readonly loss: number
  /** Chance that a packet arrives twice, the copy after a delay of its own; default 0. */
  readonly duplicate: number
  /**
   * Chance that a packet is held back by up to `reorderMs`, so that later ones pass it; default 0.
   */
  readonly reorder: number
  /** Default 20. */
  readonly reorderMs: number
  /** Chance that one bit of a packet is flipped; default 0. */
  readonly corrupt: number
}

export const calmLink: LinkFaults = Object.freeze({
  latencyMs: 1,
  jitterMs: 0,
  straggler: 0,
  stragglerMs: 100,
  loss: 0,
  duplicate: 0,
  reorder: 0,
  reorderMs: 20,
  corrupt: 0,
})

/**
 * Each counts what really happened, so that a scenario can assert that it tested what it claims.
 */
export interface NetworkStats {
  packetsSent: number
  packetsDelivered: number
  bytesSent: number
  lost: number
  duplicated: number
  reordered: number
  straggled: number
  corrupted: number
  /** Packets and segments that met a partition. */
  partitioned: number
  /** Packets above `packetBytesMax`. */
  oversize: number
  /** Packets and connections to an address where nobody listens. */
  refused: number
  /** Packets and connections to an address that swallows everything. */
  blackholed: number
  requestsSent: number
  requestsAnswered: number
  requestsTimedOut: number
  /** Requests and streams cut by a crash, a failing handler or `breakStreams`. */
  reset: number
  streamsOpened: number
  /** Segments or requests that had to be sent again. */
  retransmitted: number
  pauses: number
  /** Deliveries that waited for a paused member. */
  heldInbound: number
  /** Packets dropped because a paused member's queue was full. */
  inboundOverflow: number
  heldTimers: number
  crashes: number
  restarts: number
}

export function createStats(): NetworkStats {
  return {
    packetsSent: 0,
    packetsDelivered: 0,
    bytesSent: 0,
    lost: 0,
    duplicated: 0,
    reordered: 0,
    straggled: 0,
    corrupted: 0,
    partitioned: 0,
    oversize: 0,
    refused: 0,
    blackholed: 0,
    requestsSent: 0,
    requestsAnswered: 0,
    requestsTimedOut: 0,
    reset: 0,
    streamsOpened: 0,
    retransmitted: 0,
    pauses: 0,
    heldInbound: 0,
    inboundOverflow: 0,
    heldTimers: 0,
    crashes: 0,
    restarts: 0,
  }
}

const chances = ['straggler', 'loss', 'duplicate', 'reorder', 'corrupt'] as const
const times = ['latencyMs', 'jitterMs', 'stragglerMs', 'reorderMs'] as const

/** `base` with `changes`; throws with all problems at once. */
export function resolveLink(base: LinkFaults, changes: Partial<LinkFaults>): LinkFaults {
  const link = { ...base, ...changes }
  const problems: OptionProblem[] = []
  for (const field of chances) {
    if (!(link[field] >= 0 && link[field] <= 1)) {
      problems.push({ field, got: String(link[field]), want: 'a number from 0 to 1' })
    }
  }
  for (const field of times) {
    if (!(link[field] >= 0 && link[field] <= 86_400_000)) {
      problems.push({ field, got: String(link[field]), want: 'a number from 0 to 86400000' })
    }
  }
  if (problems.length > 0) {
    throw new SimError('ERR_SIM_OPTIONS', describeProblems(problems), { details: problems })
  }
  return Object.freeze(link)
}
