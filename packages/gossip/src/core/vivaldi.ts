/**
 * The arithmetic of network coordinates: Vivaldi with heights, as Serf tunes it (serf-wire section
 * 11). Pure numbers; who is measured when is decided in `coordinates.ts`. Distances are cut to
 * whole nanoseconds where Serf's are, so that equal measurements give equal coordinates.
 */
import { estimatedRttMs, rawDistanceSeconds } from '@kith/interface'
import type { Coordinate, Random } from '@kith/interface'

export const dimensions = 8
/** Error of a member that has measured nothing, and the most that a bad measurement makes it. */
export const errorMax = 1.5
/** Measurements whose average correction becomes the adjustment. */
export const adjustmentWindow = 20
const errorStep = 0.25
const forceStep = 0.25
const heightMin = 1e-5
/** How strongly everybody is pulled to the origin, so that the whole cluster does not drift. */
const gravityRho = 150
const zeroThreshold = 1e-6

/** Further out than any round trip reaches from the origin: nobody is honestly there. */
const secondsMax = 100

export const origin: Coordinate = Object.freeze({
  vector: Object.freeze(Array.from({ length: dimensions }, () => 0)),
  error: errorMax,
  adjustment: 0,
  height: heightMin,
})

/** True for what a member that computes as we do can have arrived at. */
export function coordinateFits(coordinate: Coordinate): boolean {
  const { vector, error, adjustment, height } = coordinate
  const near = (value: number): boolean => Math.abs(value) <= secondsMax
  // Comparisons with what is not a number are false, and so refuse it.
  return (
    vector.length === dimensions &&
    vector.every(near) &&
    near(adjustment) &&
    height >= 0 &&
    height <= secondsMax &&
    error >= 0 &&
    error <= errorMax
  )
}

export interface Measured {
  readonly own: Coordinate
  readonly other: Coordinate
  /** The round trip after filtering. */
  readonly rttSeconds: number
  /** The last corrections, `adjustmentWindow` of them; `at` is the place of this one. */
  readonly samples: number[]
  readonly at: number
  /** Gives a direction where both are in one place. */
  readonly random: Random
}

/** The own coordinate after a measurement; writes its correction into `samples`. */
export function moved({ own, other, rttSeconds, samples, at, random }: Measured): Coordinate {
  const nearer = pulled(own, other, Math.max(rttSeconds, zeroThreshold), random)
  samples[at] = rttSeconds - rawDistanceSeconds(nearer, other)
  const sum = samples.reduce((total, sample) => total + sample, 0)
  const adjusted = { ...nearer, adjustment: sum / (2 * adjustmentWindow) }
  const gravity = -((wholeNanoseconds(origin, adjusted) / gravityRho) ** 2)
  return pushed(adjusted, gravity, origin, random)
}

/** One step of Vivaldi: the surer the other and the worse the estimate, the longer. */
function pulled(
  own: Coordinate,
  other: Coordinate,
  rttSeconds: number,
  random: Random,
): Coordinate {
  const distance = wholeNanoseconds(own, other)
  const wrongness = Math.abs(distance - rttSeconds) / rttSeconds
  const weight = own.error / Math.max(own.error + other.error, zeroThreshold)
  const error = errorStep * weight * wrongness + own.error * (1 - errorStep * weight)
  const force = forceStep * weight * (rttSeconds - distance)
  return pushed({ ...own, error: Math.min(error, errorMax) }, force, other, random)
}

/** Away from `other` by `force` seconds; towards it where that is negative. */
function pushed(own: Coordinate, force: number, other: Coordinate, random: Random): Coordinate {
  const difference = own.vector.map((value, index) => value - (other.vector[index] ?? 0))
  const length = magnitude(difference)
  const apart = length > zeroThreshold
  const direction = apart ? difference.map((value) => value / length) : anyDirection(random)
  const vector = own.vector.map((value, index) => value + (direction[index] ?? 0) * force)
  if (!apart) return { ...own, vector }
  const height = ((own.height + other.height) * force) / length + own.height
  return { ...own, vector, height: Math.max(heightMin, height) }
}

function anyDirection(random: Random): readonly number[] {
  const vector = Array.from({ length: dimensions }, () => random.float() - 0.5)
  const length = magnitude(vector)
  // Eight draws of zero: as good a reason as any to go along the first axis.
  if (length <= zeroThreshold) return vector.map((_, index) => (index === 0 ? 1 : 0))
  return vector.map((value) => value / length)
}

function magnitude(vector: readonly number[]): number {
  return Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0))
}

function wholeNanoseconds(a: Coordinate, b: Coordinate): number {
  return Math.trunc(estimatedRttMs(a, b) * 1e6) / 1e9
}
