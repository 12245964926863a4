/**
 * Which member gives us an origin's data: one eager source an origin, all others only announce. The
 * origin's own member if it can, else who is furthest ahead; another one after a stall.
 */
import type { OriginId } from '@kith/interface'
import { considerGap } from './gap.ts'
import { noteHoles } from './holes.ts'
import { holders, nextOf, serves, wanted } from './holding.ts'
import { forgetBehind, noteBehind } from './progress.ts'
import { adoptRetired } from './retire.ts'
import { localNext, originView } from './state.ts'
import type { OriginView, Session, State, Turn } from './state.ts'

/** How many stall times a source that stalled stays the last choice. */
const stalledStalls = 10

/** Chooses anew for every origin about which something changed in this step. */
export function settleChoices(turn: Turn): void {
  const { state } = turn
  // Handling one origin marks no other, so that one pass is enough.
  for (const origin of [...state.dirty].toSorted()) {
    chooseFor(turn, origin)
    adoptRetired(turn, origin)
    noteHoles(turn, origin)
  }
  state.dirty.clear()
  announceCaughtUp(turn)
}

function chooseFor(turn: Turn, origin: OriginId): void {
  const { state } = turn
  if (!wanted(state, origin)) {
    state.origins.delete(origin)
    state.behind.delete(origin)
    state.owed.delete(origin)
    forgetBehind(state, origin)
    return
  }
  const next = localNext(state, origin)
  const sessions = holders(state, origin)
  if (sessions.length === 0) {
    // What is being recorded must not be recorded twice.
    if (state.origins.get(origin)?.recording !== true) state.origins.delete(origin)
    state.behind.delete(origin)
    return
  }
  const view = originView(state, origin)
  const ahead = sessions.filter((session) => nextOf(session, origin) > next)
  trackProgress(turn, view, origin, next, ahead.length > 0)
  noteBehind(turn, sessions, origin, next)
  const serving = ahead.filter((session) => serves(session, origin, next))
  if (ahead.length > 0 && serving.length === 0) {
    const asked = considerGap(turn, origin, view, next, ahead)
    view.eager = asked?.member
    markDue(turn, view.eager)
    return
  }
  view.gapSince = undefined
  view.haltedAt = undefined
  const level = ahead.length === 0 ? sessions.filter((one) => nextOf(one, origin) >= next) : serving
  const present = sessions.find((session) => session.member === view.eager)
  view.eager = keepOrPick(turn, origin, present, level)
  markDue(turn, view.eager)
}

function trackProgress(
  turn: Turn,
  view: OriginView,
  origin: OriginId,
  next: number,
  behind: boolean,
): void {
  const { state, now } = turn
  if (!behind) {
    view.behindSince = undefined
    state.behind.delete(origin)
    state.owed.delete(origin)
    return
  }
  state.behind.add(origin)
  state.owed.add(origin)
  if (view.behindSince === undefined || view.behindAt !== next) {
    view.behindSince = now
    view.behindAt = next
  }
}

function markDue(turn: Turn, member: string | undefined): void {
  const session = member === undefined ? undefined : turn.state.sessions.get(member)
  if (session !== undefined) session.due = true
}

/**
 * The present source stays as long as it may deliver; changing costs duplicates. The origin's own
 * member replaces a relay at once: nobody can be further ahead.
 */
function keepOrPick(
  turn: Turn,
  origin: OriginId,
  present: Session | undefined,
  level: readonly Session[],
): string | undefined {
  const best = pick(turn, origin, level)
  if (present === undefined || best === undefined) return best?.member
  const mayDeliver =
    level.includes(present) || nextOf(present, origin) === localNext(turn.state, origin)
  if (!mayDeliver || present.avoid.has(origin)) return best.member
  const owner = best.theirs.get(origin)?.own === true && !isStalled(turn, origin, best)
  return owner ? best.member : present.member
}

function pick(turn: Turn, origin: OriginId, sessions: readonly Session[]): Session | undefined {
  return sessions.toSorted((a, b) => {
    const avoided = Number(a.avoid.has(origin)) - Number(b.avoid.has(origin))
    const failed = Number(a.failed) - Number(b.failed)
    const stalled = Number(isStalled(turn, origin, a)) - Number(isStalled(turn, origin, b))
    const own = Number(b.theirs.get(origin)?.own) - Number(a.theirs.get(origin)?.own)
    const ahead = nextOf(b, origin) - nextOf(a, origin)
    const near = a.roundTripMs - b.roundTripMs
    return avoided || failed || stalled || own || ahead || near || (a.member < b.member ? -1 : 1)
  })[0]
}

function isStalled(turn: Turn, origin: OriginId, session: Session): boolean {
  return (session.stalled.get(origin) ?? -Infinity) > turn.now
}

/** When the origin's source counts as stalled; undefined while it does its work. */
export function stallDeadline(
  state: State,
  origin: OriginId,
  view: OriginView,
): number | undefined {
  if (view.behindSince === undefined || view.eager === undefined) return undefined
  const eager = state.sessions.get(view.eager)
  if (eager === undefined) return undefined
  return view.behindSince + Math.max(2 * eager.roundTripMs, state.tuning.stallMs)
}

/** Only from now on could `session` bring anything. */
export function begins({ state, now }: Turn, session: Session): void {
  for (const origin of state.behind) {
    const view = state.origins.get(origin)
    if (view?.eager === session.member) view.behindSince = now
  }
}

/** Somebody is ahead and our source brings nothing: try the next one, or wait another round. */
export function repickStalled(turn: Turn): void {
  const { state, now } = turn
  for (const origin of state.behind) {
    const view = state.origins.get(origin)
    const deadline = view === undefined ? undefined : stallDeadline(state, origin, view)
    if (view === undefined || deadline === undefined || now < deadline) continue
    view.behindSince = now
    // What waits for our own disk, or for our own limit, is no fault of the source.
    if (hasQueued(state, origin) || isHeld(state, view)) continue
    const next = localNext(state, origin)
    const others = holders(state, origin).filter(
      (session) => session.member !== view.eager && serves(session, origin, next),
    )
    const other = pick(turn, origin, others)
    if (other === undefined) continue
    state.counters.repicks += 1
    const left = view.eager === undefined ? undefined : state.sessions.get(view.eager)
    left?.stalled.set(origin, now + stalledStalls * state.tuning.stallMs)
    view.eager = other.member
    markDue(turn, view.eager)
  }
}

function isHeld(state: State, { eager }: OriginView): boolean {
  return eager !== undefined && state.sessions.get(eager)?.heldUntil !== undefined
}

function hasQueued(state: State, origin: OriginId): boolean {
  return (
    state.queue.some((batch) => batch.origin === origin) ||
    (state.applying?.items.some((batch) => batch.origin === origin) ?? false)
  )
}

function announceCaughtUp(turn: Turn): void {
  const { state, out } = turn
  if (state.owed.size > 0) state.wasOwed = true
  else if (state.wasOwed) {
    state.wasOwed = false
    const detail = { origins: state.local.size }
    out.push({ kind: 'event', event: { kind: 'caughtUp', detail } })
  }
}
