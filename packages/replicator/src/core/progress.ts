/**
 * A catch-up that takes long is told of: when it began, every few seconds while it goes on, and
 * when it ended (REP-44). Looked at with whatever comes in, of which a catch-up brings plenty:
 * nobody is woken for it.
 */
import type { OriginId, OriginState } from '@kith/interface'
import { isHeard, lagOf, meanBytes } from './lag.ts'
import { nextOf } from './holding.ts'
import type { ReplicatorEvents } from './messages.ts'
import type { CatchUp, Session, State, Turn } from './state.ts'

/** A catch-up is long once something has been known to be missing for so many milliseconds. */
export const progressAfterMs = 2_000
/** Milliseconds between two events of one catch-up, at least. */
export const progressEveryMs = 5_000
/** Members that one event names, those that most is missing from first. */
export const progressMembersMax = 16
/** So many looks have to find nothing that is missing for long: one falls between two waves. */
const levelLooks = 2

/**
 * Since when this log has lacked something that each member has. The time stays until all that was
 * known then is here, and begins anew with what became known since: at least so long.
 */
export function noteBehind(
  { now }: Turn,
  sessions: readonly Session[],
  origin: OriginId,
  next: number,
): void {
  for (const session of sessions) {
    const theirs = nextOf(session, origin)
    const mark = session.marks.get(origin)
    if (theirs <= next) session.marks.delete(origin)
    else if (mark === undefined || mark.next <= next) {
      session.marks.set(origin, { next: theirs, at: now })
    }
  }
}

/** Nothing is asked for under it any more. */
export function forgetBehind(state: State, origin: OriginId): void {
  state.sizes.delete(origin)
  for (const session of state.sessions.values()) session.marks.delete(origin)
}

export function settleProgress(turn: Turn): void {
  const { state, now } = turn
  const { catchUp } = state
  if (state.owed.size === 0) {
    if (catchUp?.since !== undefined) tell(turn, catchUp, 'ended')
    state.catchUp = undefined
    return
  }
  if (catchUp === undefined) {
    state.catchUp = begin(state, now)
    return
  }
  if (now < catchUp.lookAt) return
  const since = longestSince(state, now)
  const long = since !== undefined && now - since >= progressAfterMs
  if (catchUp.since === undefined) {
    if (!long) {
      state.catchUp = begin(state, now)
      return
    }
    catchUp.since = since
    return tell(turn, catchUp, 'begun')
  }
  // Where nobody is left who would know, it goes on: nothing came that would end it.
  catchUp.levelLooks = since === undefined || long ? 0 : catchUp.levelLooks + 1
  if (catchUp.levelLooks < levelLooks) return tell(turn, catchUp, 'underWay')
  tell(turn, catchUp, 'ended')
  state.catchUp = begin(state, now)
}

function begin({ counters }: State, now: number): CatchUp {
  return {
    since: undefined,
    records: counters.records,
    bytes: counters.bytes,
    lookAt: now + progressAfterMs,
    levelLooks: 0,
    toldAt: now,
    missing: undefined,
  }
}

function longestSince(state: State, now: number): number | undefined {
  let since: number | undefined
  for (const session of state.sessions.values()) {
    if (!isHeard(state, session, now)) continue
    for (const { at } of session.marks.values()) {
      if (since === undefined || at < since) since = at
    }
  }
  return since
}

type Progress = ReplicatorEvents['progress']

function tell(turn: Turn, catchUp: CatchUp, stage: Progress['stage']): void {
  const { state, now, out } = turn
  const standing = standingOf(state, now)
  const { missing } = standing
  const detail: Progress = {
    stage,
    forMs: Math.round(now - (catchUp.since ?? now)),
    records: state.counters.records - catchUp.records,
    bytes: state.counters.bytes - catchUp.bytes,
    ...standing,
    remainingMs: remaining(catchUp, missing, now),
  }
  catchUp.lookAt = now + progressEveryMs
  catchUp.toldAt = now
  catchUp.missing = missing === 'unknown' ? undefined : missing
  out.push({ kind: 'event', event: { kind: 'progress', detail } })
}

/** At the pace at which what is missing became less since the last event. */
function remaining(
  { missing: before, toldAt }: CatchUp,
  missing: number | 'unknown',
  now: number,
): number | undefined {
  if (missing === 0) return 0
  if (missing === 'unknown' || before === undefined || before <= missing) return undefined
  return Math.round((missing * (now - toldAt)) / (before - missing))
}

type Standing = Pick<
  Progress,
  'origins' | 'unknownOrigins' | 'held' | 'missing' | 'missingBytesEstimate' | 'from'
>

function standingOf(state: State, now: number): Standing {
  const lag = lagOf(state, now)
  const from = new Map<string, number>()
  let [held, missing, bytes, unknownOrigins] = [0, 0, 0, 0]
  for (const origin of state.owed) {
    held += recordsOf(state.local.get(origin))
    const records = lag.get(origin) ?? 'unknown'
    if (records === 'unknown') {
      unknownOrigins += 1
      continue
    }
    missing += records
    bytes += records === 0 ? 0 : records * (meanBytes(state, origin) ?? Number.NaN)
    const eager = state.origins.get(origin)?.eager
    if (eager !== undefined && records > 0) from.set(eager, (from.get(eager) ?? 0) + records)
  }
  const unknown = missing === 0 && unknownOrigins > 0
  return {
    ...{ origins: state.owed.size, unknownOrigins, held },
    missing: unknown ? 'unknown' : missing,
    missingBytesEstimate: unknown || Number.isNaN(bytes) ? undefined : Math.round(bytes),
    from: [...from]
      .map(([member, records]) => ({ member, records }))
      .toSorted((a, b) => b.records - a.records || (a.member < b.member ? -1 : 1))
      .slice(0, progressMembersMax),
  }
}

function recordsOf(ours: OriginState | undefined): number {
  if (ours === undefined) return 0
  const lost = ours.holes.reduce((sum, { from, to }) => sum + to - from, 0)
  return Math.max(0, ours.next - ours.floor - lost)
}
