/** Lifeguard's doubt of oneself: 0 is healthy, each step slows our own probing by one interval. */
import { uses } from './detector.ts'
import type { State } from './state.ts'

/** Clamped to what `awarenessFactorMax` allows. */
export function applyAwareness(state: State, delta: number): void {
  if (!uses(state, 'awareness')) return
  const highest = state.timings.awarenessFactorMax - 1
  state.awareness = Math.min(highest, Math.max(0, state.awareness + delta))
}

/** The probe interval as scaled by how much we doubt ourselves. */
export function scaledProbeIntervalMs(state: State): number {
  return state.timings.probeIntervalMs * (state.awareness + 1)
}

/**
 * The time after which helpers are asked, scaled alike: a member that is slow itself must not turn
 * each of its probes into a dozen packets, which keep everybody else as slow.
 */
export function scaledProbeTimeoutMs(state: State): number {
  return state.timings.probeTimeoutMs * (state.awareness + 1)
}
