/**
 * Origins of which nothing is expected any more (REP-40). Who stands at the same end of the same
 * history takes the word of whoever retired it; further records take it back, so that a higher
 * `next` always wins over it.
 */
import { isForgotten } from '@kith/interface'
import type { OriginId, OriginState } from '@kith/interface'
import type { State, Turn } from './state.ts'

/** Why an operator may not retire an origin here and now; undefined where it may be. */
export function retireProblem(state: State, origin: OriginId): string | undefined {
  const ours = state.local.get(origin)
  if (ours === undefined) return 'this log knows no such origin'
  if (ours.own) return 'this member appends under it'
  if (ours.status === 'quarantined') return 'it is quarantined'
  for (const { member, phase, theirs } of state.sessions.values()) {
    const known = phase === 'connected' ? theirs.get(origin) : undefined
    if (known === undefined || known.status === 'quarantined') continue
    if (known.own) return `${member} appends under it`
    if (known.next <= ours.next) continue
    return `${member} holds records of it up to ${known.next - 1} that did not arrive here yet`
  }
  return undefined
}

export function adoptRetired(turn: Turn, origin: OriginId): void {
  const { state, out } = turn
  const ours = state.local.get(origin)
  if (ours === undefined || ours.own || state.retiring.has(origin)) return
  if (ours.status !== 'live' && ours.status !== 'sealed') return
  for (const { member, phase, theirs } of state.sessions.values()) {
    const known = phase === 'connected' ? theirs.get(origin) : undefined
    if (known?.status !== 'retired' || !sameEnd(known, ours)) continue
    state.retiring.add(origin)
    out.push({ kind: 'retire', origin, next: ours.next, why: `retired at ${member}` })
    return
  }
}

/** What whoever said `theirs` must be told of ours, although we do not speak of it by ourselves. */
export function isNews(ours: OriginState, theirs: OriginState | undefined): boolean {
  if (!isForgotten(ours)) return true
  return theirs !== undefined && (theirs.status !== 'retired' || !sameEnd(ours, theirs))
}

/**
 * Forgotten origins that a puller acknowledges something of, but for those that it `knows`: who
 * heard of one from others after its hello learns here how it ended.
 */
export function recalled(
  states: readonly OriginState[],
  ack: ReadonlyMap<OriginId, number>,
  knows: ReadonlySet<OriginId>,
): readonly OriginState[] {
  if (ack.size === 0) return []
  return states.filter((ours) => {
    return ack.has(ours.origin) && isForgotten(ours) && !knows.has(ours.origin)
  })
}

function sameEnd(a: OriginState, b: OriginState): boolean {
  return a.next === b.next && a.chain === b.chain
}
