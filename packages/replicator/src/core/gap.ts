/**
 * The next records of an origin are nowhere. Believed only when every connected member that could
 * have them says so, and every known member was heard or long enough waited for (REP-11).
 */
import type { OriginId } from '@kith/interface'
import { holds, nextOf } from './holding.ts'
import type { GapAnswer, OriginView, Session, State, Turn } from './state.ts'

/**
 * Called with everyone who is ahead of us and cannot serve `next`. Returns whom to ask: a vector
 * says that something is missing, only an answer says with which chain it goes on.
 */
export function considerGap(
  turn: Turn,
  origin: OriginId,
  view: OriginView,
  next: number,
  ahead: readonly Session[],
): Session | undefined {
  const { state, now } = turn
  if (view.gapSince === undefined) {
    view.gapSince = now
    view.gapPatient = false
  }
  if (view.recording) return undefined
  const silent = ahead.find((session) => session.gaps.get(origin)?.asked !== next)
  if (silent !== undefined) return silent
  if (!view.gapPatient && !allHeard(state, origin, next)) return undefined
  const answer = nearest(ahead.map((session) => session.gaps.get(origin)))
  if (answer !== undefined) settleGap(turn, origin, view, answer)
  return undefined
}

/** Nobody is unheard, and nobody we only remember held what we lack. */
function allHeard(state: State, origin: OriginId, next: number): boolean {
  for (const session of state.sessions.values()) {
    if (session.phase === 'refused' || session.phase === 'unreachable') continue
    if (session.helloAt === undefined) return false
    const theirs = session.theirs.get(origin)
    if (session.phase !== 'connected' && theirs !== undefined && holds(theirs, next)) return false
  }
  return true
}

/** The answer that loses least. */
function nearest(answers: readonly (GapAnswer | undefined)[]): GapAnswer | undefined {
  let best: GapAnswer | undefined
  for (const answer of answers) {
    if (answer !== undefined && (best === undefined || answer.resume < best.resume)) best = answer
  }
  return best
}

function settleGap(turn: Turn, origin: OriginId, view: OriginView, answer: GapAnswer): void {
  const { state, out } = turn
  const { asked, resume, chainBefore } = answer
  // Who never held anything loses nothing: the origin simply begins later here. It may even have
  // to begin later again, where retention drops faster than this log pulls.
  const beginning = asked === 1 || state.local.get(origin)?.neverHeld === true
  const action = beginning ? 'floor' : state.tuning.gapPolicy === 'skip' ? 'skipped' : 'halted'
  if (view.haltedAt !== asked) {
    view.haltedAt = asked
    state.counters.gaps += 1
    out.push({ kind: 'event', event: { kind: 'gap', detail: { origin, asked, resume, action } } })
  }
  if (action === 'halted') return
  view.recording = true
  const why = action === 'floor' ? 'dropped everywhere before this log had it' : 'held by nobody'
  out.push({ kind: 'recordGap', origin, resume, chainBefore, why })
}

export function onGapRecorded(turn: Turn, origin: OriginId, reason: string | undefined): void {
  const { state, now } = turn
  const view = state.origins.get(origin)
  if (reason !== undefined) state.waiting.set(origin, now + state.tuning.refusedRetryMs)
  if (view === undefined) return
  view.recording = false
  view.gapSince = undefined
  turn.state.dirty.add(origin)
}

/** When patience with unheard members ends. */
export function gapDeadline(state: State, view: OriginView): number | undefined {
  if (view.gapSince === undefined || view.gapPatient) return undefined
  return view.gapSince + state.tuning.gapPatienceMs
}

/** Keeps what a member says of a gap. False where it says nothing new, or what cannot be. */
export function takeGap(
  turn: Turn,
  session: Session,
  origin: OriginId,
  answer: GapAnswer,
): boolean {
  if (answer.resume > nextOf(session, origin)) return false
  const known = session.gaps.get(origin)
  session.gaps.set(origin, answer)
  turn.state.dirty.add(origin)
  return known?.asked !== answer.asked
}
