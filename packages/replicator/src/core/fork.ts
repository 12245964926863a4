/**
 * Histories that cannot both be true: our own origin known further, or differently, elsewhere means
 * our past was lost (rotate); any other origin with two chains is quarantined (REP-12, REP-13).
 */
import type { LogId, OriginId, OriginState } from '@kith/interface'
import { noteFork } from './locate.ts'
import type { Input, Verdict } from './messages.ts'
import { nextId } from './state.ts'
import type { PullInFlight, Session, Turn } from './state.ts'

/** How long a refused rotation keeps us from asking for the next. */
const rotateRetryMs = 60_000

/**
 * Compares what a member holds with what we hold. `deep` also looks up chains below our `next`,
 * which
 * costs a read: done once a hello, because what comes later either extends what was compared then
 * or shows at the pull that brings it.
 */
export function checkTheirs(
  turn: Turn,
  member: string,
  states: readonly OriginState[],
  deep: boolean,
): void {
  const { state, out } = turn
  for (const theirs of states) {
    const ours = state.local.get(theirs.origin)
    if (ours === undefined || ours.status === 'quarantined') continue
    if (theirs.status === 'quarantined') continue
    if (ours.own && theirs.next > ours.next) {
      outgrown(turn, theirs.origin, ours.next, member)
      rotate(turn, `${member} holds records of this origin up to ${theirs.next - 1}, we do not`)
    } else if (theirs.next === ours.next) {
      if (theirs.chain !== ours.chain) onForked(turn, theirs.origin, theirs.next, member)
    } else if (deep && theirs.next < ours.next && theirs.next > 1) {
      const compare = nextId(state)
      const { origin, next: sequence, chain } = theirs
      state.comparisons.set(compare, { origin, sequence, member, own: ours.own })
      out.push({ kind: 'compare', compare, origin, sequence, chain })
    }
  }
}

/** A vector of a puller names only sequences: enough to see our own origin known further. */
export function onAcked(turn: Turn, input: Extract<Input, { kind: 'acked' }>): void {
  const { state } = turn
  if (state.own === undefined) return
  const theirs = input.ack.get(state.own)
  const ours = state.local.get(state.own)?.next ?? 1
  if (theirs !== undefined && theirs > ours) {
    outgrown(turn, state.own, ours, memberOf(turn, input.logId))
    rotate(turn, `log ${input.logId} acknowledges records up to ${theirs - 1} that we do not hold`)
  }
}

export function onCompared(turn: Turn, compare: number, verdict: Verdict): void {
  const { state } = turn
  const comparison = state.comparisons.get(compare)
  state.comparisons.delete(compare)
  if (comparison === undefined || verdict !== 'fork') return
  onForked(turn, comparison.origin, comparison.sequence, comparison.member)
}

/** Two histories of one origin met: ours is one of them. */
export function onForked(turn: Turn, origin: OriginId, sequence: number, member: string): void {
  const { state, out } = turn
  const ours = state.local.get(origin)
  if (ours?.status === 'quarantined' || state.quarantining.has(origin)) return
  state.counters.forks += 1
  out.push({ kind: 'event', event: { kind: 'fork', detail: { origin, sequence, member } } })
  noteFork(turn, origin, sequence, member)
  if (origin === state.own) {
    rotate(turn, `${member} holds another history of this origin at ${sequence}`)
    return
  }
  quarantine(turn, origin, `${member} holds another history at ${sequence}`)
}

export function quarantine(turn: Turn, origin: OriginId, why: string): void {
  const { state, out } = turn
  state.quarantining.add(origin)
  state.dirty.add(origin)
  out.push({ kind: 'quarantine', origin, why })
}

export function onQuarantined(turn: Turn, origin: OriginId): void {
  const { state, now, out } = turn
  state.quarantining.delete(origin)
  state.dirty.add(origin)
  if (state.local.get(origin)?.status !== 'quarantined') {
    // The log could not write it. Asked again later, the same fork will show again.
    state.waiting.set(origin, now + state.tuning.refusedRetryMs)
    return
  }
  const why = 'two histories under one origin'
  out.push({ kind: 'event', event: { kind: 'quarantine', detail: { origin, why } } })
}

function outgrown({ state }: Turn, origin: OriginId, sequence: number, member: string): void {
  if (state.outgrown?.origin === origin) return
  state.outgrown = { origin, sequence, member, appended: false }
}

function memberOf({ state }: Turn, logId: LogId): string {
  const known = [...state.sessions.values()].find((session) => session.logId === logId)
  return known?.member ?? `log ${logId}`
}

function rotate(turn: Turn, why: string): void {
  const { state, out } = turn
  if (state.rotating !== undefined || state.rotateRefused !== undefined) return
  state.rotating = why
  state.lastOwn = state.own
  out.push({ kind: 'rotate', origin: state.own ?? '', why })
}

export function onRotated(turn: Turn, input: Extract<Input, { kind: 'rotated' }>): void {
  const { state, now, out } = turn
  const why = state.rotating ?? ''
  const from = state.lastOwn ?? ''
  state.rotating = undefined
  if (input.appended && state.outgrown?.origin === from) state.outgrown.appended = true
  // A log that answers with the origin it had has not rotated, whatever it says.
  if (input.to === undefined || input.to === from) {
    state.rotateRefused = why
    state.rotateRetryAt = now + rotateRetryMs
    const detail = { origin: from, why, reason: input.reason }
    out.push({ kind: 'event', event: { kind: 'rotateRefused', detail } })
    return
  }
  rotated(turn, input.to, why)
}

/**
 * A log that refused to rotate does it by itself at the first append for which it may. Asked for
 * one more then, it would refuse that one, and with it every append for another hour.
 */
export function noticeRotation(turn: Turn): void {
  const { state } = turn
  const { own, rotateRefused } = state
  if (rotateRefused === undefined || own === undefined || own === state.lastOwn) return
  state.rotateRefused = undefined
  state.rotateRetryAt = undefined
  rotated(turn, own, rotateRefused)
}

function rotated(turn: Turn, to: OriginId, why: string): void {
  const { state, out } = turn
  const from = state.lastOwn ?? ''
  state.counters.rotations += 1
  out.push({ kind: 'event', event: { kind: 'rotate', detail: { from, to, why } } })
  // A roll-back took from us what others hold, and what we wrote after it is not that: whoever has
  // dropped the records in question could not tell.
  if (state.outgrown?.origin === from && state.outgrown.appended) {
    onForked(turn, from, state.outgrown.sequence, state.outgrown.member)
  }
  state.outgrown = undefined
  // The old origin is now one like any other: compare it again, to take its rest or to stop it.
  for (const session of state.sessions.values()) {
    if (session.phase !== 'connected') continue
    session.holesAsked.delete(from)
    const theirs = session.theirs.get(from)
    if (theirs !== undefined) checkTheirs(turn, session.member, [theirs], true)
  }
  state.dirty.add(from)
}

/** A log rotates at most once an hour by itself; a later hour may allow what this one refused. */
export function retryRotation(turn: Turn): void {
  const { state, now } = turn
  if (state.rotateRetryAt === undefined || now < state.rotateRetryAt) return
  const why = state.rotateRefused ?? ''
  state.rotateRetryAt = undefined
  state.rotateRefused = undefined
  rotate(turn, why)
}

/** The log told us, or showed us, that a claim in an answer contradicts what we hold. */
export function onForkAnswer(
  turn: Turn,
  session: Session,
  pull: PullInFlight,
  claim: { readonly origin: OriginId; readonly sequence: number; readonly chain: string },
): void {
  const want = pull.wants.get(claim.origin)
  const ours = turn.state.local.get(claim.origin)
  // Only an answer to a chain we showed, and still stand at, says something about our history.
  if (want === undefined || want.chain === null || ours?.chain !== want.chain) return
  if (claim.sequence === want.next && claim.chain === want.chain) return
  onForked(turn, claim.origin, claim.sequence, session.member)
}

/** A hello went through in either direction: what others know of our past has been looked at. */
export function exchanged(turn: Turn): void {
  if (turn.state.gate === 'waiting') turn.state.gate = 'exchanged'
}

/** Appends may begin once what was exchanged has been compared and answered. */
export function settleGate(turn: Turn): void {
  const { state, out } = turn
  if (state.gate !== 'exchanged') return
  // Appending on under an origin whose past others know better would fork it.
  if (state.rotating !== undefined || state.rotateRefused !== undefined) return
  for (const comparison of state.comparisons.values()) if (comparison.own) return
  state.gate = 'open'
  out.push({ kind: 'openGate' })
}
