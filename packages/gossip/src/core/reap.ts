/** Forgetting, at intervals: members long failed or gone, and old intents. */
import { schedule } from './deadlines.ts'
import { expireIntents } from './intents.ts'
import type { State } from './state.ts'
import { reap } from './view.ts'

export function reapTick(state: State): void {
  const { reapIntervalMs, reconnectTimeoutMs, tombstoneTimeoutMs } = state.timings
  schedule(state.deadlines, state.now + reapIntervalMs, { kind: 'reapTick' })
  reapOlder(state, state.failed, reconnectTimeoutMs)
  reapOlder(state, state.gone, tombstoneTimeoutMs)
  expireIntents(state)
  for (const entry of state.ring) entry.conflict = undefined
}

function reapOlder(state: State, names: ReadonlySet<string>, ageMs: number): void {
  for (const name of names) {
    const row = state.members.get(name)
    if (row !== undefined && state.now - row.goneAt > ageMs && name !== state.name) {
      reap(state, row)
    }
  }
}
