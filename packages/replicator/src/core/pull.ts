/**
 * Pulls: at most two in flight a member. One carries everything we want of it and parks at its end;
 * a second one asks at once for what the first does not cover. Data that waits to be applied counts
 * against the member's credit, so that the log paces the network (REP-15).
 */
import { isForgotten } from '@kith/interface'
import type { Chain, OriginId, PullResponse } from '@kith/interface'
import { readBatchHead } from '../wire/head.ts'
import { wireLimits } from '../wire/limits.ts'
import { storedFrom } from '../wire/ranges.ts'
import { checkTheirs, onForkAnswer } from './fork.ts'
import { takeGap } from './gap.ts'
import { nextOf, wanted } from './holding.ts'
import { heldUntil, spend, windowWithin } from './rate.ts'
import { lose, takeVector } from './session.ts'
import { localNext, nextId } from './state.ts'
import type { PullInFlight, Session, State, Turn } from './state.ts'

const inFlightMax = 2
const windowBytesMin = 256 * 1024
/**
 * A pull answered sooner than this may ask for more the next time; one slower than four, for less.
 */
const windowGrowMs = 250
const corruptMax = 2
/** Least time between pulls to a source that answers with nothing. */
const idleMs = 100

type Wants = Map<OriginId, { readonly next: number; readonly chain: Chain | null }>

export function settlePulls(turn: Turn): void {
  const { state, now } = turn
  if (state.pausedUntil !== undefined && now < state.pausedUntil) return
  for (const session of state.sessions.values()) {
    if (!session.due) continue
    session.due = false
    if (session.phase === 'connected') pullFrom(turn, session)
  }
}

function pullFrom(turn: Turn, session: Session): void {
  const { state, now } = turn
  if (session.pulls.size >= inFlightMax || !hasCredit(state, session)) return
  if (session.idleUntil !== undefined && now < session.idleUntil) return
  session.heldUntil = heldUntil(state.tuning, state.bucket, session.bucket, now)
  if (session.heldUntil !== undefined) return
  const wants = wantsOf(state, session)
  if (session.pulls.size === 0) {
    // At the end of everything the next pull waits for the apply: it then carries the acks.
    const ready = [...wants].some(([origin, want]) => nextOf(session, origin) > want.next)
    if (!ready && session.bufferedBytes > 0) return
    issue(turn, session, wants, state.tuning.pullWaitMs)
    return
  }
  for (const [origin, want] of wants) {
    const idle = nextOf(session, origin) <= want.next || covered(session, origin, want.next)
    if (idle || session.fruitless.get(origin) === want.next) wants.delete(origin)
  }
  if (wants.size > 0) issue(turn, session, wants, 0)
}

/**
 * A pull that asks further on than we stand, because what it built on was not taken, covers
 * nothing.
 */
function covered(session: Session, origin: OriginId, next: number): boolean {
  for (const pull of session.pulls.values()) {
    if ((pull.wants.get(origin)?.next ?? Infinity) <= next) return true
  }
  return false
}

function hasCredit(state: State, session: Session): boolean {
  let used = session.bufferedBytes + reservation(session)
  for (const pull of session.pulls.values()) used += pull.reserved
  return used <= state.tuning.creditBytesMax
}

/** The last batch of an answer may pass the end of what was asked for: batches are never cut. */
function reservation(session: Session): number {
  return session.windowBytes + wireLimits.batchBytesMax
}

function wantsOf(state: State, session: Session): Wants {
  const wants: Wants = new Map()
  for (const [origin, view] of state.origins) {
    if (view.eager !== session.member || view.recording || !wanted(state, origin)) continue
    if (wants.size === wireLimits.wantsMax) break
    const held = state.local.get(origin)
    const next = localNext(state, origin)
    const reached = session.reached.get(origin) ?? 0
    if (reached > next) wants.set(origin, { next: reached, chain: null })
    else wants.set(origin, { next, chain: held?.chain ?? null })
  }
  return wants
}

function issue(turn: Turn, session: Session, wants: Wants, maxWaitMs: number): void {
  const { state, now, out } = turn
  const pull = nextId(state)
  const bytesMax = windowWithin(state.tuning, session.windowBytes, windowBytesMin)
  const acks = changedAcks(state, session)
  session.pulls.set(pull, {
    issuedAt: now,
    maxWaitMs,
    deadline: now + maxWaitMs + state.tuning.pullTimeoutMs,
    wants,
    reserved: reservation(session),
    bytesMax,
    acks,
  })
  session.counters.pulls += 1
  out.push({
    kind: 'pull',
    member: session.member,
    session: session.id,
    pull,
    request: {
      logId: state.logId,
      want: [...wants].map(([origin, want]) => ({ origin, ...want })),
      bytesMax,
      maxWaitMs,
      ack: acks,
      ackChains: chainsOf(turn.state, session, acks),
      ackFrom: fromsOf(turn.state, acks),
      vectorVersion: session.vectorVersion,
    },
  })
}

/** What we hold durably beyond what this member already heard from us. */
function changedAcks(state: State, session: Session): ReadonlyMap<OriginId, number> {
  const acks = new Map<OriginId, number>()
  for (const ours of state.localList) {
    if (ours.status === 'quarantined') continue
    if (isForgotten(ours) && !session.theirs.has(ours.origin)) continue
    if (session.acked.get(ours.origin) !== ours.next) acks.set(ours.origin, ours.next)
  }
  return acks
}

/**
 * The chains at what is acknowledged, where the member may have written that origin, also before it
 * took another one: it alone promised somebody that others hold it, and its history may be another
 * one than ours.
 */
function chainsOf(
  state: State,
  session: Session,
  acks: ReadonlyMap<OriginId, number>,
): ReadonlyMap<OriginId, Chain> {
  const chains = new Map<OriginId, Chain>()
  for (const origin of acks.keys()) {
    const ours = state.local.get(origin)
    const theirs = session.theirs.get(origin)
    if (ours === undefined) continue
    if (theirs?.own === false && theirs.member !== session.member) continue
    chains.set(origin, ours.chain)
  }
  return chains
}

/**
 * From where on what is acknowledged was stored: a log may have begun later, or passed over what
 * others had dropped, and must not count for what it never had.
 */
function fromsOf(state: State, acks: ReadonlyMap<OriginId, number>): ReadonlyMap<OriginId, number> {
  const froms = new Map<OriginId, number>()
  for (const origin of acks.keys()) {
    const ours = state.local.get(origin)
    if (ours !== undefined) froms.set(origin, storedFrom(ours))
  }
  return froms
}

export function onPulled(turn: Turn, session: Session, id: number, response: PullResponse): void {
  const { now } = turn
  const pull = session.pulls.get(id)
  if (pull === undefined) return
  session.pulls.delete(id)
  session.due = true
  if (response.logId !== session.logId) return lose(turn, session, 'became another log')
  // Batches earn their trust when they were applied, or a source of damage would be dialled all
  // day.
  if (response.batches.length === 0) session.attempt = 0
  session.heardAt = now
  for (const [origin, next] of pull.acks) session.acked.set(origin, next)
  for (const [origin, want] of pull.wants) session.fruitless.set(origin, want.next)
  // Two answers may overtake one another; the newer vector stays.
  if (response.vectorVersion >= session.vectorVersion) {
    session.vectorVersion = response.vectorVersion
    takeVector(turn, session, response.vector)
    if (session.theirs.size > wireLimits.vectorEntriesMax) {
      return lose(turn, session, 'names more origins than a log may have')
    }
    checkTheirs(turn, session.member, response.vector, false)
  }
  let gaps = 0
  for (const gap of response.gaps) {
    const asked = pull.wants.get(gap.origin)?.next === gap.asked
    if (asked && takeGap(turn, session, gap.origin, gap)) gaps += 1
  }
  for (const fork of response.forks) onForkAnswer(turn, session, pull, fork)
  // Whoever neither parks nor brings anything would be asked in a circle.
  const brought = response.batches.length + gaps + response.vector.length
  const early = pull.maxWaitMs > 0 && now - pull.issuedAt < pull.maxWaitMs / 2
  session.idleUntil = brought === 0 && early ? now + idleMs : undefined
  if (response.batches.length > 0) takeBatches(turn, session, pull, response.batches)
}

function takeBatches(
  turn: Turn,
  session: Session,
  pull: PullInFlight,
  batches: readonly Uint8Array[],
): void {
  const { state, now } = turn
  let bytes = 0
  for (const batch of batches) bytes += batch.length
  if (bytes > pull.reserved) return lose(turn, session, 'sent more than was asked for')
  session.counters.batches += batches.length
  session.counters.bytes += bytes
  spend(state.tuning, state.bucket, session.bucket, bytes, now)
  adaptWindow(turn, session, now - pull.issuedAt, bytes >= pull.bytesMax / 2)
  for (const batch of batches) {
    const head = readBatchHead(batch)
    if (head === undefined || !pull.wants.has(head.origin)) {
      // Never ours to apply: above all not a batch under the origin we write ourselves.
      state.counters.unwanted += 1
      if (blame(turn, session, head?.origin)) return
      continue
    }
    session.stalled.delete(head.origin)
    session.fruitless.delete(head.origin)
    const reached = session.reached.get(head.origin) ?? 0
    if (head.next > reached) session.reached.set(head.origin, head.next)
    session.bufferedBytes += batch.length
    const { member, id } = session
    const { origin, first, next } = head
    state.queue.push({ bytes: batch, origin, first, next, member, session: id })
  }
}

/** Small at first, so that a slow link is not taken for a stalled source. */
function adaptWindow(turn: Turn, session: Session, tookMs: number, full: boolean): void {
  const { tuning } = turn.state
  // A parked pull measures the source's idleness, a full one the link.
  if (full) session.roundTripMs = tookMs
  if (tookMs > 4 * windowGrowMs && full) {
    session.windowBytes = Math.max(windowBytesMin, session.windowBytes / 2)
  } else if (full && tookMs < windowGrowMs) {
    session.windowBytes = Math.min(tuning.pullBytesMax, session.windowBytes * 2)
  }
}

/** One damaged or unasked batch is asked for elsewhere; the second ends the connection. */
export function blame(turn: Turn, session: Session, origin: OriginId | undefined): boolean {
  const { state, out } = turn
  session.corrupt += 1
  session.counters.corrupt += 1
  const detail = { member: session.member, origin }
  out.push({ kind: 'event', event: { kind: 'corrupt', detail } })
  if (session.corrupt >= corruptMax) {
    lose(turn, session, 'sent damaged batches')
    return true
  }
  if (origin !== undefined) {
    session.avoid.add(origin)
    state.dirty.add(origin)
  }
  return false
}
