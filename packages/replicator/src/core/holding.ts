/** Who holds what of an origin, as far as the members told us. */
import type { OriginId, OriginState } from '@kith/interface'
import type { Session, State } from './state.ts'

/** Ours, and what was stopped, is asked of nobody. */
export function wanted(state: State, origin: OriginId): boolean {
  const ours = state.local.get(origin)
  if (ours?.own === true || ours?.status === 'quarantined') return false
  return !state.quarantining.has(origin) && !state.waiting.has(origin)
}

/** Connected members that say they hold the origin, or the end of it. */
export function holders(state: State, origin: OriginId): Session[] {
  const found: Session[] = []
  for (const session of state.sessions.values()) {
    if (session.phase !== 'connected') continue
    const theirs = session.theirs.get(origin)
    if (theirs !== undefined && theirs.status !== 'quarantined') found.push(session)
  }
  return found
}

export function nextOf(session: Session, origin: OriginId): number {
  return session.theirs.get(origin)?.next ?? 1
}

/** True when the member can give us the batch at `next`, as far as we know. */
export function serves(session: Session, origin: OriginId, next: number): boolean {
  if (session.gaps.get(origin)?.asked === next) return false
  const theirs = session.theirs.get(origin)
  return theirs !== undefined && holds(theirs, next)
}

export function holds(theirs: OriginState, next: number): boolean {
  if (next < theirs.floor || next >= theirs.next) return false
  return !theirs.holes.some((hole) => hole.from <= next && next < hole.to)
}
