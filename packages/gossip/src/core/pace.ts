/** When the last packets left: as many of them as may leave within one probe interval. */
import type { GossipTimings } from '../options.ts'

/** On top of gossip: a ping, and three members asked to help with it. */
export const probePackets = 4

export interface Pace {
  /** A ring. */
  readonly sentAt: Float64Array
  /** The oldest of them. */
  oldest: number
  readonly windowMs: number
}

/** Packets within one probe interval. */
export function packetsPerProbeMax(
  timings: Pick<GossipTimings, 'gossipFanout' | 'gossipIntervalMs' | 'probeIntervalMs'>,
): number {
  const { gossipFanout, gossipIntervalMs, probeIntervalMs } = timings
  return Math.floor((gossipFanout * probeIntervalMs) / gossipIntervalMs) + probePackets
}

export function createPace(timings: GossipTimings): Pace {
  const sentAt = new Float64Array(packetsPerProbeMax(timings)).fill(-Infinity)
  return { sentAt, oldest: 0, windowMs: timings.probeIntervalMs }
}

/** Whether `packets` more may leave. */
export function fits(pace: Pace, packets: number, now: number): boolean {
  const { sentAt, oldest, windowMs } = pace
  if (packets > sentAt.length) return false
  return (sentAt[(oldest + packets - 1) % sentAt.length] ?? 0) <= now - windowMs
}

export function noteSent(pace: Pace, now: number): void {
  pace.sentAt[pace.oldest] = now
  pace.oldest = (pace.oldest + 1) % pace.sentAt.length
}
