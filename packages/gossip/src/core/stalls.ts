/** What is remembered of the times in which this member did not run. */
import type { CoreNotes } from './notes.ts'

/** Time in which this member did not run. */
export interface Stall {
  /** When it ran again. */
  readonly at: number
  readonly lostMs: number
}

export interface Health {
  /** What somebody should put right. */
  readonly notes: CoreNotes
  /** Those of late, oldest first. */
  readonly stalls: Stall[]
  /** Until when lost time was given back, and how much the last time. */
  givenAt: number
  givenMs: number
  /** When this member last found that it had not run for longer than a probe may take. */
  pausedAt: number
}

export function createHealth(): Health {
  return { notes: new Map(), stalls: [], givenAt: -Infinity, givenMs: 0, pausedAt: -Infinity }
}
