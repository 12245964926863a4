/** Serf's join and leave intents, ordered by Lamport time: serf-wire section 5. */
import type { JoinIntent, LeaveIntent } from '../wire/message.ts'
import { nameIsFit } from './alive.ts'
import { broadcastIntent } from './broadcasts.ts'
import { stamp, witness } from './clocks.ts'
import { schedule } from './deadlines.ts'
import { count } from './state.ts'
import type { MemberRow, State } from './state.ts'
import { failedBecameLeft, reap, setStatus } from './view.ts'

/**
 * True where the intent was news and should be passed on. `implied`: an exchange of states lists
 * the member as left, with the time of what was last heard of it. Whoever heard of the leave gives
 * the leave's time; who only saw the member go gives that of its join, which is news as well. Serf
 * takes the next time for either, which may be that of a later join, and then nobody who heard of
 * that join in an exchange only believes it.
 */
export function handleLeaveIntent(state: State, message: LeaveIntent, implied = false): boolean {
  const { lamportTime, node, prune } = message
  if (!witness(state.clock, lamportTime, state.now)) return refuseTime(state)
  const row = state.members.get(node)
  if (row === undefined) {
    // Who left and is heard of as alive is back, maybe at this time; if not, its row will say so.
    return !implied && rememberIntent(state, 'leave', node, lamportTime, false)
  }
  // Of an earlier life, whose time the join of this one may have taken for free; see below.
  const latest = implied ? lamportTime + 1n : lamportTime
  const ofUs = node === state.name && state.phase === 'active'
  if (ofUs && latest >= row.statusTime) {
    announceJoin(state)
    return false
  }
  // An exchange shows a member that is leaving as if it had joined at that time.
  const toldAsJoin = !implied && row.timeImplied && lamportTime === row.statusTime
  if (latest <= row.statusTime && !toldAsJoin) return false
  row.statusTime = lamportTime
  row.timeImplied = false
  const { status } = row.snapshot
  if (status === 'alive') setStatus(state, row, 'leaving')
  else if (status === 'failed') failedBecameLeft(state, row)
  if (prune) pruneMember(state, row)
  return true
}

/**
 * A member that left and came back through somebody who had not heard its leave may join at the
 * time of that leave. The join is then the later one: in one life they never have the same time.
 * `implied`: an exchange of states lists the member among those who did not leave. One that is
 * leaving looks the same there, so that a leave at this time may still come.
 */
export function handleJoinIntent(state: State, message: JoinIntent, implied = false): boolean {
  const { lamportTime, node } = message
  if (!witness(state.clock, lamportTime, state.now)) return refuseTime(state)
  const row = state.members.get(node)
  if (row === undefined) return rememberIntent(state, 'join', node, lamportTime, implied)
  const saidNow = !implied && lamportTime === row.statusTime
  if (saidNow) row.timeImplied = false
  const back = saidNow && row.snapshot.status === 'leaving'
  if (lamportTime <= row.statusTime && !back) return false
  row.statusTime = lamportTime
  row.timeImplied = implied
  if (row.snapshot.status === 'leaving') setStatus(state, row, 'alive')
  if (node !== state.name || state.phase !== 'active') return true
  // Somebody knows a later intent of ours than we do: one of an earlier life, maybe its leave, and
  // whoever hears of that one last would show us as leaving. Only a later join ends it.
  announceJoin(state)
  return false
}

/** Says that we are here, with a time above everything said of us so far. */
export function announceJoin(state: State): void {
  const lamportTime = stamp(state.clock)
  const row = state.members.get(state.name)
  if (row !== undefined) row.statusTime = lamportTime
  broadcastIntent(state, { kind: 'joinIntent', lamportTime, node: state.name })
}

/** Forgets intents that are too old to matter. */
export function expireIntents(state: State): void {
  const oldest = state.now - state.timings.recentIntentTimeoutMs
  for (const [name, intent] of state.recentIntents) {
    if (intent.at < oldest) state.recentIntents.delete(name)
  }
}

/** A leaving member still has to say its last words before it is forgotten. */
function pruneMember(state: State, row: MemberRow): void {
  if (row.snapshot.status !== 'leaving') return reap(state, row)
  const { broadcastTimeoutMs, leavePropagateDelayMs } = state.timings
  const at = state.now + broadcastTimeoutMs + leavePropagateDelayMs
  schedule(state.deadlines, at, { kind: 'prune', name: row.snapshot.name })
}

/** The time of a member that was leaving is over; one that came back in between stays. */
export function pruneEnded(state: State, name: string): void {
  const row = state.members.get(name)
  if (row !== undefined && row.snapshot.status !== 'alive') reap(state, row)
}

function rememberIntent(
  state: State,
  kind: 'join' | 'leave',
  name: string,
  lamportTime: bigint,
  implied: boolean,
): boolean {
  if (!nameIsFit(name)) {
    count(state, 'nameUnfit')
    return false
  }
  const known = state.recentIntents.get(name)
  if (known !== undefined && lamportTime <= known.lamportTime) {
    // As with a member that is known: a join said at the time of a leave is the later one, and a
    // leave said at a time that was only implied is what that time was of.
    const better = kind === 'join' ? known.kind === 'leave' || known.implied : known.implied
    if (implied || !better || lamportTime < known.lamportTime) return false
  }
  if (known === undefined && state.recentIntents.size >= state.timings.recentIntentsMax) {
    count(state, 'recentIntentsFull')
    return false
  }
  state.recentIntents.set(name, { kind, implied, lamportTime, at: state.now })
  return true
}

function refuseTime(state: State): false {
  count(state, 'lamportTimeAbsurd')
  return false
}
