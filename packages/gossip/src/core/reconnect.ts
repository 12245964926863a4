/** Trying failed members again: how two sides of a healed partition find each other. */
import { schedule } from './deadlines.ts'
import { startExchange } from './push-pull.ts'
import { count } from './state.ts'
import type { State } from './state.ts'
import { createJob, takeAddresses } from './join.ts'

/** The more of the cluster has failed, the likelier a try, so that few do it for all. */
export function reconnectTick(state: State): void {
  const { reconnectIntervalMs } = state.timings
  schedule(state.deadlines, state.now + reconnectIntervalMs, { kind: 'reconnectTick' })
  if (state.failed.size === 0 || state.phase !== 'active') return
  const others = state.members.size - state.failed.size - state.gone.size
  if (state.random.float() > state.failed.size / Math.max(1, others)) return
  const name = [...state.failed][state.random.below(state.failed.size)]
  const row = name === undefined ? undefined : state.members.get(name)
  if (row === undefined) return
  count(state, 'reconnects')
  const job = createJob(state, undefined, [row.snapshot.address])
  for (const address of takeAddresses(job)) startExchange(state, address, job)
}
