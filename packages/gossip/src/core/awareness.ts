/** Lifeguard's doubt of oneself: 0 is healthy, each step slows our own probing by one interval. */
import { uses } from './detector.ts'
import type { State } from './state.ts'

/** The most that a member doubts itself. */
export function awarenessMax(state: State): number {
  return state.timings.awarenessFactorMax - 1
}

/** What probes and accusations tell of us; clamped to what `awarenessFactorMax` allows. */
export function applyAwareness(state: State, delta: number): void {
  if (!uses(state, 'awareness')) return
  state.awareness = Math.min(awarenessMax(state), Math.max(0, state.awareness + delta))
}
