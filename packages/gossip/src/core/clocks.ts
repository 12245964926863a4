/**
 * Lamport clocks as 64-bit integers. Any stranger can send any time, so a clock follows only jumps
 * that a real cluster could make, and never comes near the point where Go's would wrap to zero.
 */

export interface LamportClock {
  time: bigint
}

/** A jump of more than this is refused: a thousand events a second would need 34 years for it. */
export const lamportJumpMax: bigint = 1n << 40n
/** No clock goes past this, whatever it is told. */
export const lamportTimeMax: bigint = 1n << 62n

export function createClock(): LamportClock {
  return { time: 1n }
}

/** Follows `time` and returns true; false, with the clock unchanged, where the time is absurd. */
export function witness(clock: LamportClock, time: bigint): boolean {
  if (time < clock.time) return true
  if (time - clock.time > lamportJumpMax || time >= lamportTimeMax) return false
  clock.time = time + 1n
  return true
}

/** The present time, for a message of our own; the clock moves past it. */
export function stamp(clock: LamportClock): bigint {
  const time = clock.time
  if (time < lamportTimeMax) clock.time = time + 1n
  return time
}
