/** Where members are in the network, as far as round trips tell. */

/**
 * A place in an 8-dimensional space in which distance is round-trip time, in seconds. Each member
 * finds its own from the probes it makes. Estimates by gossip, compatible with Serf's.
 */
export interface Coordinate {
  /** Eight numbers, seconds. */
  readonly vector: readonly number[]
  /** How far the estimates were off lately, relative; 1.5 is a member that knows nothing yet. */
  readonly error: number
  /** Seconds added to the distance to anybody; may be negative. */
  readonly adjustment: number
  /** Seconds on the member's own access link, which no place in the space could show. */
  readonly height: number
}

/** Distance in seconds before the adjustments; both have as many dimensions. */
export function rawDistanceSeconds(a: Coordinate, b: Coordinate): number {
  let sum = 0
  for (const [index, value] of a.vector.entries()) {
    const difference = value - (b.vector[index] ?? 0)
    sum += difference * difference
  }
  return Math.sqrt(sum) + a.height + b.height
}

/** Estimated round trip between two members in milliseconds. */
export function estimatedRttMs(a: Coordinate, b: Coordinate): number {
  const raw = rawDistanceSeconds(a, b)
  const adjusted = raw + a.adjustment + b.adjustment
  // The adjustments may say more than there is: then the raw distance is the better guess.
  return 1000 * (adjusted > 0 ? adjusted : raw)
}
