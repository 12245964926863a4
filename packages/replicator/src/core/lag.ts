/**
 * How far behind: a number where somebody who would know was heard lately, else `unknown` (REP-21).
 */
import { isForgotten } from '@kith/interface'
import type { OriginId, OriginState } from '@kith/interface'
import { localNext } from './state.ts'
import type { Session, State } from './state.ts'

const silentIntervals = 3

/** What it told of what it holds counts. */
export function isHeard(state: State, session: Session, now: number): boolean {
  if (session.phase !== 'connected') return false
  return now - session.heardAt <= silentIntervals * state.tuning.pullWaitMs
}

/** Records of each origin that the best known holder has and this log lacks. */
export function lagOf(state: State, now: number): ReadonlyMap<OriginId, number | 'unknown'> {
  const best = new Map<OriginId, number>()
  for (const session of state.sessions.values()) {
    if (!isHeard(state, session, now)) continue
    for (const theirs of session.theirs.values()) {
      if (theirs.status === 'quarantined') continue
      best.set(theirs.origin, Math.max(best.get(theirs.origin) ?? 0, theirs.next))
    }
  }
  const lag = new Map<OriginId, number | 'unknown'>()
  for (const ours of state.localList) {
    const known = best.get(ours.origin)
    if (isForgotten(ours) && (known ?? 0) <= ours.next) {
      best.delete(ours.origin)
      continue
    }
    const lost = ours.status === 'quarantined' || known === undefined
    const number = Math.max(0, (known ?? 0) - ours.next)
    lag.set(ours.origin, ours.own ? 0 : lost ? 'unknown' : number)
  }
  for (const [origin, next] of best) if (!lag.has(origin)) lag.set(origin, next - 1)
  return lag
}

/** How far this log is behind one member in one origin. */
export interface MemberLag {
  readonly origin: OriginId
  /** The member that holds it. */
  readonly member: string
  /** Records that it holds and this log lacks. */
  readonly records: number
  /**
   * By the mean size of the records of that origin that came since the start; undefined where none
   * came yet. No message says how large what is missing is.
   */
  readonly bytesEstimate: number | undefined
  /**
   * Milliseconds for which something that the member has, and had told of then, has been missing:
   * at least so long. 0 where nothing is.
   */
  readonly forMs: number
}

export interface MemberLags {
  /** Those first in which this log is behind. */
  readonly pairs: readonly MemberLag[]
  /** Pairs that are known as well and had no room. */
  readonly leftOut: number
}

/**
 * Of each origin and each member that holds it and was heard lately, `pairsMax` at most. What is
 * not known is no pair.
 */
export function lagsOf(state: State, now: number, pairsMax: number): MemberLags {
  const behind: MemberLag[] = []
  const level: MemberLag[] = []
  let count = 0
  for (const session of state.sessions.values()) {
    if (!isHeard(state, session, now)) continue
    for (const theirs of session.theirs.values()) {
      if (!isCompared(state, theirs)) continue
      count += 1
      const records = Math.max(0, theirs.next - localNext(state, theirs.origin))
      const pairs = records > 0 ? behind : level
      if (pairs.length < pairsMax) pairs.push(pairOf(state, now, session, theirs.origin, records))
    }
  }
  const pairs = [...behind, ...level].slice(0, pairsMax)
  return { pairs, leftOut: count - pairs.length }
}

function isCompared(state: State, theirs: OriginState): boolean {
  const ours = state.local.get(theirs.origin)
  if (theirs.status === 'quarantined' || ours?.status === 'quarantined') return false
  return ours?.own !== true && !(ours !== undefined && isForgotten(ours) && isForgotten(theirs))
}

function pairOf(
  state: State,
  now: number,
  session: Session,
  origin: OriginId,
  records: number,
): MemberLag {
  const mean = meanBytes(state, origin)
  const mark = session.marks.get(origin)
  const since = mark !== undefined && mark.next > localNext(state, origin) ? mark.at : now
  return {
    ...{ origin, member: session.member, records },
    bytesEstimate: records === 0 ? 0 : mean && Math.round(records * mean),
    forMs: records === 0 ? 0 : Math.round(now - since),
  }
}

/** Bytes of a stored record of that origin, as they came since the start. */
export function meanBytes(state: State, origin: OriginId): number | undefined {
  const size = state.sizes.get(origin)
  return size === undefined ? undefined : size.bytes / size.records
}
