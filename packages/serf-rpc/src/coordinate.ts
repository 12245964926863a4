/** Distances in the space of network coordinates, as Serf measures them. */
import type { SerfCoordinate } from './words.ts'

/**
 * The round-trip time between two members in milliseconds, estimated from their coordinates;
 * undefined where these are of different spaces.
 */
export function estimateRttMs(from: SerfCoordinate, to: SerfCoordinate): number | undefined {
  if (from.vector.length !== to.vector.length) return undefined
  const squares = from.vector.map((part, at) => (part - (to.vector[at] ?? 0)) ** 2)
  const raw = Math.sqrt(squares.reduce((sum, square) => sum + square, 0)) + from.height + to.height
  const adjusted = raw + from.adjustment + to.adjustment
  // Adjustments are corrections: they must not turn a way into no way.
  return (adjusted > 0 ? adjusted : raw) * 1_000
}
