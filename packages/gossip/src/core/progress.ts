/** How far this member has come, beyond what its events tell. */
import type { Progress } from './clocks.ts'
import type { State } from './state.ts'

export function progress(state: State): Pick<Progress, 'clock' | 'incarnation'> {
  return { clock: state.clock.time - 1n, incarnation: state.incarnation }
}
