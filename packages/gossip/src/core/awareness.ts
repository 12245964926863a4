/** Lifeguard's doubt of oneself: 0 is healthy, each step slows our own probing by one interval. */
import type { State } from './state.ts'

/** Clamped to what `awarenessFactorMax` allows. */
export function applyAwareness(state: State, delta: number): void {
  const highest = state.timings.awarenessFactorMax - 1
  state.awareness = Math.min(highest, Math.max(0, state.awareness + delta))
}

/** The probe interval as scaled by how much we doubt ourselves. */
export function scaledProbeIntervalMs(state: State): number {
  return state.timings.probeIntervalMs * (state.awareness + 1)
}
