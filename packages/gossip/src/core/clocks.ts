/**
 * Lamport clocks as 64-bit integers. Any stranger can send any time, so a clock follows only jumps
 * that a real cluster could make, great ones rarely, and never comes near the point where Go's
 * would wrap to zero.
 */

export interface LamportClock {
  time: bigint
  /** When it last leapt. */
  leaptAt: number
}

/** A jump of more than this is refused: a thousand events a second would need 34 years for it. */
export const lamportJumpMax: bigint = 1n << 40n
/** No clock goes past this, whatever it is told. */
export const lamportTimeMax: bigint = 1n << 62n
/** A jump of more than this is a leap: it happens to who joins a cluster that is at work. */
export const lamportLeap: bigint = 1n << 20n
/** One leap in this time: at one each, the end of the clock is 48 days of leaps away. */
export const lamportLeapMs = 1000

export function createClock(): LamportClock {
  return { time: 1n, leaptAt: -Infinity }
}

/** Follows `time` and returns true; false, with the clock unchanged, where the time is absurd. */
export function witness(clock: LamportClock, time: bigint, now: number): boolean {
  if (time < clock.time) return true
  const jump = time - clock.time
  if (jump > lamportJumpMax || time >= lamportTimeMax) return false
  if (jump > lamportLeap) {
    if (now - clock.leaptAt < lamportLeapMs) return false
    clock.leaptAt = now
  }
  clock.time = time + 1n
  return true
}

/** The present time, for a message of our own; the clock moves past it. */
export function stamp(clock: LamportClock): bigint {
  const time = clock.time
  if (time < lamportTimeMax) clock.time = time + 1n
  return time
}
