/** What a member remembers of where everybody is in the network. */
import { createRandom } from '@kith/interface'
import type { Coordinate, Digests, Random } from '@kith/interface'
import { encodeText } from '../wire/text.ts'
import { adjustmentWindow, coordinateFits, moved, origin } from './vivaldi.ts'

/** Round trips of one member of which the median counts, so that one hiccup moves nobody. */
const filterSize = 3

export interface Coordinates {
  own: Coordinate
  /** The last corrections, in a ring. */
  readonly samples: number[]
  sampleAt: number
  /**
   * Directions come from a generator of their own, fixed by the name: what chance decides elsewhere
   * shall not depend on who was measured.
   */
  readonly random: Random
}

export function createCoordinates(name: string, digests: Digests): Coordinates {
  return {
    own: origin,
    samples: noSamples(),
    sampleAt: 0,
    random: createRandom([digests.crc32(encodeText(name)), 0x76697661, 0x6c6469]),
  }
}

/** The last round trips of a member with one more, and the median of them. */
export function filtered(
  before: readonly number[],
  rttSeconds: number,
): { readonly rtts: readonly number[]; readonly median: number } {
  // Not spread into a literal, for which V8 makes room for 17: each known member has one of these.
  const rtts = before.slice(1 - filterSize).concat(rttSeconds)
  const sorted = rtts.toSorted((a, b) => a - b)
  return { rtts, median: sorted[Math.floor(sorted.length / 2)] ?? rttSeconds }
}

/**
 * Moves the own coordinate. False where that led to a place where nobody can be, which would be
 * told to everybody: then this member knows nothing again.
 */
export function move(coordinates: Coordinates, other: Coordinate, rttSeconds: number): boolean {
  const { own, samples, sampleAt, random } = coordinates
  const next = moved({ own, other, rttSeconds, samples, at: sampleAt, random })
  coordinates.sampleAt = (sampleAt + 1) % adjustmentWindow
  const fits = coordinateFits(next)
  coordinates.own = fits ? next : origin
  if (!fits) samples.splice(0, samples.length, ...noSamples())
  return fits
}

function noSamples(): number[] {
  return Array.from({ length: adjustmentWindow }, () => 0)
}
