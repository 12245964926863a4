/** When failed members are asked again. The asking itself is in `regain.ts`. */
import { cancel, schedule } from './deadlines.ts'
import { count } from './state.ts'
import type { Entry, MemberRow, State } from './state.ts'

/** The time between two questions is this part of the time for which a member is gone. */
const patience = 60
/** Members to be asked out of turn at one time. */
const outOfTurnMax = 64

/** A member failed: the first of us asks it about an interval from now. */
export function memberLost(state: State, row: MemberRow): void {
  row.askAt = state.now + state.random.float() * turnMs(state, row)
  wakeLost(state)
}

/** When this member asks that one again; all of us together ask much more often. */
export function nextAskAt(state: State, row: MemberRow): number {
  return state.now + (0.5 + state.random.float()) * turnMs(state, row)
}

function turnMs(state: State, row: MemberRow): number {
  const { probeIntervalMs, reconnectIntervalMs } = state.timings
  const longest = Math.max(probeIntervalMs, reconnectIntervalMs)
  const between = Math.max(probeIntervalMs, (state.now - row.goneAt) / patience)
  return Math.min(between, longest) * Math.max(1, state.aliveCount)
}

/** One timer for all, and none while nobody is lost. */
export function wakeLost(state: State): void {
  if (state.lostTimer !== undefined || state.failed.size === 0) return
  const lasts = state.timings.probeIntervalMs * (0.5 + state.random.float())
  state.lostTimer = schedule(state.deadlines, state.now + lasts, { kind: 'lostTick' })
}

/**
 * Somebody says that a member lives, at the very incarnation at which it is dead to us. One of us
 * is wrong, and nothing else will ever settle it: gossip of the same incarnation is no news to
 * either.
 */
export function doubtDeath(state: State, entry: Entry): void {
  const row = state.members.get(entry.name)
  if (row?.snapshot.status !== 'failed' || state.askFirst.has(entry.name)) return
  const { probeIntervalMs, gossipIntervalMs } = state.timings
  const asked = row.askedAt ?? -Infinity
  if (state.now - asked < probeIntervalMs || state.askFirst.size >= outOfTurnMax) return
  count(state, 'deathsDoubted')
  state.askFirst.add(entry.name)
  cancel(state.deadlines, state.lostTimer)
  const at = state.now + state.random.float() * gossipIntervalMs
  state.lostTimer = schedule(state.deadlines, at, { kind: 'lostTick' })
}
