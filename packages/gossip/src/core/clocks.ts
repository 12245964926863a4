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

/** Times last seen on the three clocks; 0 for none. */
export interface SeenTimes {
  readonly clock: bigint
  readonly eventClock: bigint
  readonly queryClock: bigint
}

/** How far a member has come, for its next life to go on from. */
export interface Progress extends SeenTimes {
  /** The highest it took: others believe only what is above it. */
  readonly incarnation: number
}

/** A jump of more than this is refused: a thousand events a second would need 34 years for it. */
export const lamportJumpMax: bigint = 1n << 40n
/** No clock goes past this, whatever it is told. */
export const lamportTimeMax: bigint = 1n << 62n
/** A jump of more than this is a leap: it happens to who joins a cluster that is at work. */
export const lamportLeap: bigint = 1n << 20n
/** One leap in this time: at one each, the end of the clock is 48 days of leaps away. */
export const lamportLeapMs = 1000

/** Past the time last seen in an earlier life, where there was one. */
export function createClock(seen = 0n): LamportClock {
  return { time: seen + 1n, leaptAt: -Infinity }
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

/** Moves the clock on, so that it is not before `time`. */
export function advance(clock: LamportClock, time: bigint): void {
  if (time > clock.time && time <= lamportTimeMax) clock.time = time
}

/** The present time, for a message of our own; the clock moves past it. */
export function stamp(clock: LamportClock): bigint {
  const time = clock.time
  if (time < lamportTimeMax) clock.time = time + 1n
  return time
}
