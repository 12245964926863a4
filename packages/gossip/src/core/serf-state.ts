/** Serf's part of a push/pull, and beside it what extensions tell each other. */
import { encodeState, openState } from '../wire/codec.ts'
import type { StateReader } from '../wire/codec.ts'
import { releaseBytes } from '@kith/interface'
import { decodeText, encodeText } from '../wire/text.ts'
import { extensionStateBytesMax } from '../options.ts'
import { witness } from './clocks.ts'
import type { LamportClock } from './clocks.ts'
import { nameIsFit } from './alive.ts'
import { decodeLineage, encodeLineage, meet } from './lineage.ts'
import type { Lineage } from './lineage.ts'
import { handleJoinIntent, handleLeaveIntent } from './intents.ts'
import { count, emit } from './state.ts'
import type { MergeTerms, State } from './state.ts'
import { bufferedEvents, ignoreEvents, mergeEvents } from './user-events.ts'

/** Says whose states follow; no extension can have this name. */
const senderKey = '@member'
/** Says which cluster its sender belongs to. */
const lineageKey = '@lineage'

export function localUserState(state: State, states: ReadonlyMap<string, Uint8Array>): Uint8Array {
  const statusTimes = new Map<string, bigint>()
  for (const [name, row] of state.members) statusTimes.set(name, row.statusTime)
  // First, because a reader may stop at its own limit.
  const extensions = new Map<string, Uint8Array>()
  extensions.set(lineageKey, encodeLineage(state.talk.lineage, state.now))
  if (states.size > 0) extensions.set(senderKey, encodeText(state.name))
  for (const [name, bytes] of states) {
    if (bytes.length <= extensionStateBytesMax) extensions.set(name, bytes)
    else count(state, 'extensionStateTooLarge')
  }
  return encodeState({
    lamportTime: state.clock.time,
    eventLamportTime: state.eventClock.time,
    queryLamportTime: state.queryClock.time,
    statusTimes,
    leftMembers: [...state.gone],
    events: bufferedEvents(state),
    extensions,
  })
}

export function mergeUserState(state: State, bytes: Uint8Array, terms: MergeTerms): void {
  if (bytes.length === 0) return count(state, 'userStateEmpty')
  const remote = openState(bytes)
  if (remote === undefined) return count(state, 'userStateMalformed')
  follow(state, state.clock, remote.lamportTime)
  follow(state, state.eventClock, remote.eventLamportTime)
  follow(state, state.queryClock, remote.queryLamportTime)
  mergeTimes(state, remote)
  const { sender, lineage } = senderOf(state, remote, terms.since)
  const joins = meet(state.talk.lineage, lineage)
  if (terms.ignoreOld ?? joins) ignoreEvents(state, remote, remote.eventLamportTime)
  mergeEvents(state, remote)
  deliverStates(state, remote, sender)
}

/** First who left, then everybody else. */
function mergeTimes(state: State, remote: StateReader): void {
  const left = new Map<string, bigint | undefined>()
  for (const node of remote.leftMembers) left.set(node, undefined)
  remote.eachTime((node, time) => {
    if (left.has(node)) left.set(node, time)
  })
  for (const [node, time] of left) {
    if (time === undefined || isBack(state, node)) continue
    handleLeaveIntent(state, { kind: 'leaveIntent', lamportTime: time, node, prune: false }, true)
  }
  remote.eachTime((node, lamportTime) => {
    if (!left.has(node)) handleJoinIntent(state, { kind: 'joinIntent', lamportTime, node }, true)
  })
}

/**
 * The rows of the same exchange were merged before: a member that is still alive to us came back,
 * and the other side has yet to hear of it. Serf takes the leave all the same, at a time above the
 * join that nobody repeats, and shows the member as leaving until it leaves again.
 */
function isBack(state: State, node: string): boolean {
  const swimState = state.entries.get(node)?.state
  const back = node !== state.name && (swimState === 'alive' || swimState === 'suspect')
  if (back) count(state, 'leavesStale')
  return back
}

function follow(state: State, clock: LamportClock, time: bigint): void {
  if (time > 0n && !witness(clock, time - 1n, state.now)) count(state, 'lamportTimeAbsurd')
}

/** Whether a Kith member wrote this state: it says of which cluster it is, a Serf does not. */
export function isOfKith(bytes: Uint8Array): boolean {
  let kith = false
  openState(bytes)?.eachExtension((name, value) => {
    kith ||= name === lineageKey
    releaseBytes(value)
  })
  return kith
}

interface Sender {
  readonly sender: string | undefined
  readonly lineage: Lineage | undefined
}

/** What a Kith member says of itself beside Serf's state. */
function senderOf(state: State, remote: StateReader, since: number): Sender {
  let sender: string | undefined
  let lineage: Lineage | undefined
  remote.eachExtension((name, bytes) => {
    if (name === senderKey) {
      sender = decodeText(bytes, 0, bytes.length)
      if (sender === undefined || !nameIsFit(sender)) count(state, 'nameUnfit')
    } else if (name === lineageKey) {
      lineage = decodeLineage(bytes, since)
      if (lineage === undefined) count(state, 'lineageMalformed')
    }
    releaseBytes(bytes)
  })
  return { sender, lineage }
}

function deliverStates(state: State, remote: StateReader, from: string | undefined): void {
  if (from === undefined || !nameIsFit(from)) return
  remote.eachExtension((name, bytes) => {
    const fits = bytes.length <= extensionStateBytesMax
    if (!fits) count(state, 'extensionStateTooLarge')
    if (fits && state.extensions.has(name)) {
      emit(state, { kind: 'extensionState', name, from, bytes })
    } else releaseBytes(bytes)
  })
}
