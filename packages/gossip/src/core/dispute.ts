/**
 * Our name, which most say is another's. That other may be what is left of us: a member that
 * crashed and comes back at another address is believed at the old one until it was found failed
 * there and its name may be reclaimed. Serf shuts down at once; here the other is asked. Where it
 * answers, the name is lost; where it does not, we stay, say again where we are, and have the vote
 * held anew (GOS-119).
 */
import { sameAddress } from '@kith/interface'
import type { Address } from '@kith/interface'
import { encodeMessage } from '../wire/codec.ts'
import { announceSelf } from './announce.ts'
import { sendBare } from './broadcasts.ts'
import { cancel, schedule } from './deadlines.ts'
import type { Timer } from './deadlines.ts'
import { pingFor } from './probe.ts'
import { count, emitEvent } from './state.ts'
import type { State, Task } from './state.ts'
import type { Dispute } from './talk.ts'

/** Pings to whoever has our name, a probe's time apart, before it counts as silent. */
const pingsMax = 3
/** Probe intervals from one vote to the next. */
const votesApart = 5
/** Longer than a dead name is kept anywhere, Serf included, at 2 * `gossipToTheDeadMs` and this. */
const patienceMs = 60_000

export interface LostVote {
  readonly answers: number
  readonly matching: number
  /** The address that most of the others named; undefined where it was none. */
  readonly claimant: Address | undefined
}

/** A vote was lost: whoever is said to have our name is asked. */
export function nameClaimed(state: State, { answers, matching, claimant }: LostVote): void {
  const since = state.talk.dispute?.since ?? state.now
  cancel(state.deadlines, state.talk.dispute?.timer)
  state.talk.dispute = undefined
  if (
    claimant === undefined ||
    state.now - since > 2 * state.timings.gossipToTheDeadMs + patienceMs
  ) {
    return emitEvent(state, { kind: 'conflictLost', name: state.name, answers, matching })
  }
  const timer = wait(state, state.timings.probeTimeoutMs)
  const dispute = { since, claimant, answers, matching, sequenceNumber: 0, pings: 0, timer }
  state.talk.dispute = dispute
  pingClaimant(state, dispute)
}

/** The name is ours, or nobody had an answer. */
export function disputeOver(state: State): void {
  cancel(state.deadlines, state.talk.dispute?.timer)
  state.talk.dispute = undefined
}

function wait(state: State, ms: number): Timer<Task> {
  return schedule(state.deadlines, state.now + ms, { kind: 'dispute' })
}

function pingClaimant(state: State, dispute: Dispute<Task>): void {
  state.sequenceNumber = (state.sequenceNumber + 1) >>> 0
  dispute.sequenceNumber = state.sequenceNumber
  dispute.pings += 1
  const ping = pingFor(state, state.name, dispute.sequenceNumber)
  sendBare(state, dispute.claimant, [encodeMessage(ping)], undefined)
}

/** True where the ack is of whoever has our name: it lives, so that the name is its own. */
export function claimantAcked(state: State, sequenceNumber: number): boolean {
  const { dispute } = state.talk
  if (dispute === undefined || dispute.sequenceNumber !== sequenceNumber) return false
  disputeOver(state)
  const { answers, matching } = dispute
  emitEvent(state, { kind: 'conflictLost', name: state.name, answers, matching })
  return true
}

/** No answer for a while: the next ping, or after the last of them the next vote, in its time. */
export function disputeTick(state: State): void {
  const { dispute } = state.talk
  if (dispute === undefined || state.phase !== 'active') return
  if (dispute.pings < pingsMax) {
    dispute.timer = wait(state, state.timings.probeTimeoutMs)
    return pingClaimant(state, dispute)
  }
  if (dispute.pings === pingsMax) {
    // No ping any more, but an ack that is late still counts.
    dispute.pings += 1
    dispute.timer = wait(state, votesApart * state.timings.probeIntervalMs)
    count(state, 'votesPutOff')
    const { claimant } = dispute
    return emitEvent(state, { kind: 'nameHeld', name: state.name, address: claimant })
  }
  const entry = state.entries.get(state.name)
  if (entry?.state === 'alive') announceSelf(state, entry)
  state.talk.voteDue = true
}

/** True for a ping of our own that came back: the other address leads to this very member. */
export function isOwnPing(state: State, from: string, sequence: number, to: Address): boolean {
  const { dispute } = state.talk
  if (from !== state.name || dispute?.sequenceNumber !== sequence) return false
  return sameAddress(to, state.address)
}
