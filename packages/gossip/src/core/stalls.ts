/** What is remembered of the times in which this member did not run. */

/** Time in which this member did not run. */
export interface Stall {
  /** When it ran again. */
  readonly at: number
  readonly lostMs: number
}

export interface Health {
  /** Those of late, oldest first. */
  readonly stalls: Stall[]
  /** Until when lost time was given back, and how much the last time. */
  givenAt: number
  givenMs: number
  /** When this member last found that it had not run for longer than a probe may take. */
  pausedAt: number
}

export function createHealth(): Health {
  return { stalls: [], givenAt: -Infinity, givenMs: 0, pausedAt: -Infinity }
}
