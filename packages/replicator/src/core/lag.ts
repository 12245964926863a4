/**
 * How far behind: a number where somebody who would know was heard lately, else `unknown` (REP-21).
 */
import { isForgotten } from '@kith/interface'
import type { OriginId } from '@kith/interface'
import type { State } from './state.ts'

const silentIntervals = 3

/** Records of each origin that the best known holder has and this log lacks. */
export function lagOf(state: State, now: number): ReadonlyMap<OriginId, number | 'unknown'> {
  const best = new Map<OriginId, number>()
  for (const session of state.sessions.values()) {
    if (session.phase !== 'connected') continue
    if (now - session.heardAt > silentIntervals * state.tuning.pullWaitMs) continue
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
