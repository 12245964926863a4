/**
 * Exchanging whole states over a stream, now and then and at a join: memberlist-behaviour section
 * 8.
 */
import type { Address } from '@kith/interface'
import { encodeStream, unpackBytes } from '../wire/codec.ts'
import type { PushPullMessage, PushPullRow, StreamMessage } from '../wire/message.ts'
import type { DecodeProblemKind } from '../wire/problem.ts'
import { refusesAddress } from './alive.ts'
import { schedule } from './deadlines.ts'
import { createJob, joinEnded } from './join.ts'
import { goodByes, isSerfAt } from './serf-moves.ts'
import { freeMessage, merge } from './merge.ts'
import { pickEntries } from './selection.ts'
import { isOfKith, localUserState } from './serf-state.ts'
import { count, emit, takeId } from './state.ts'
import type { JoinJob, PendingRequest, State } from './state.ts'

/** Up to this size the interval is not scaled. */
const scaleFrom = 32
/** Exchanges of ours that run at one time. */
export const requestsMax = 128

/**
 * The interval grows with the logarithm of the cluster, so that its whole cost does not explode.
 */
export function scaledPushPullMs(intervalMs: number, members: number): number {
  return members <= scaleFrom ? intervalMs : intervalMs * (Math.ceil(Math.log2(members) - 5) + 1)
}

export function pushPullTick(state: State): void {
  const lasts = scaledPushPullMs(state.timings.pushPullIntervalMs, state.ring.length)
  schedule(state.deadlines, state.now + lasts, { kind: 'pushPullTick' })
  const [entry] = pickEntries(state, 1, (other) => {
    return other.name !== state.name && other.state === 'alive'
  })
  if (entry !== undefined) startExchange(state, entry.address, undefined)
}

/** With a job it is a join. Extensions are asked for their states first, where there are any. */
export function startExchange(state: State, to: Address, job: JoinJob | undefined): void {
  if (job !== undefined && refusesAddress(state, to)) {
    return joinEnded(state, job, to, 'outside of the allowed networks')
  }
  if (state.requests.size + state.collects.size >= requestsMax) {
    count(state, 'requestsFull')
    if (job !== undefined) joinEnded(state, job, to, 'too many exchanges at one time')
    return
  }
  if (state.extensions.size === 0) return sendState(state, to, job, new Map())
  const id = takeId(state)
  state.collects.set(id, { kind: 'request', job, to })
  emit(state, { kind: 'collect', id })
}

/** With each of them, a few at a time; nobody waits for it. */
export function exchangeWith(state: State, addresses: readonly Address[]): void {
  if (addresses.length === 0 || state.phase !== 'active') return
  state.joinsToContinue.add(createJob(state, undefined, addresses))
}

export function collected(state: State, id: number, states: ReadonlyMap<string, Uint8Array>): void {
  const pending = state.collects.get(id)
  if (pending === undefined) return count(state, 'collectUnknown')
  state.collects.delete(id)
  if (pending.kind === 'request') return sendState(state, pending.to, pending.job, states)
  respondAndMerge(state, pending.streamId, pending.message, states)
}

function sendState(
  state: State,
  to: Address,
  job: JoinJob | undefined,
  states: ReadonlyMap<string, Uint8Array>,
): void {
  const id = takeId(state)
  state.requests.set(id, { kind: 'pushPull', job, to, sentAt: state.now })
  count(state, 'pushPulls')
  const serf = state.moved.incarnation > 0 && isSerfAt(state, to)
  const bytes = encodeStream(localState(state, job !== undefined, states, serf))
  const deadline = state.now + state.timings.streamTimeoutMs
  emit(state, { kind: 'request', id, to, bytes, expectReply: true, deadline })
}

/** Somebody else's exchange: our state goes out before theirs is merged. */
export function answerPushPull(state: State, streamId: number, message: PushPullMessage): void {
  if (state.extensions.size === 0) return respondAndMerge(state, streamId, message, new Map())
  if (state.collects.size >= requestsMax) {
    count(state, 'requestsFull')
    freeMessage(message)
    return emit(state, { kind: 'respond', id: streamId, bytes: undefined })
  }
  const id = takeId(state)
  state.collects.set(id, { kind: 'respond', streamId, message })
  emit(state, { kind: 'collect', id })
}

function respondAndMerge(
  state: State,
  streamId: number,
  message: PushPullMessage,
  states: ReadonlyMap<string, Uint8Array>,
): void {
  const serf = state.moved.incarnation > 0 && !isOfKith(message.userState)
  const bytes = encodeStream(localState(state, message.join, states, serf))
  emit(state, { kind: 'respond', id: streamId, bytes })
  merge(state, message, { ignoreOld: undefined, since: state.now }, undefined)
}

/** The answer to an exchange of ours. */
export function exchangeReplied(
  state: State,
  request: PendingRequest & { kind: 'pushPull' },
  message: StreamMessage,
): void {
  const { job, to, sentAt } = request
  if (message.kind === 'pushPull') {
    const terms = { ignoreOld: job?.ignoreOld, since: sentAt }
    return merge(state, message, terms, { job, to })
  }
  exchangeFailed(state, request, replyProblem(message), undefined)
}

export function exchangeFailed(
  state: State,
  request: PendingRequest & { kind: 'pushPull' },
  reason: string,
  problem: DecodeProblemKind | undefined,
): void {
  count(state, 'pushPullsFailed')
  if (problem !== undefined) request.job?.problems.add(problem)
  if (request.job !== undefined) joinEnded(state, request.job, request.to, reason)
}

function replyProblem(message: StreamMessage): string {
  if (message.kind === 'error') return `refused: ${message.text.slice(0, 200)}`
  return `answered with ${message.kind}`
}

function localState(
  state: State,
  join: boolean,
  states: ReadonlyMap<string, Uint8Array>,
  toSerf: boolean,
): PushPullMessage {
  const rows: PushPullRow[] = state.ring.map((entry): PushPullRow => ({
    name: entry.name,
    address: unpackBytes(entry.addressPacked),
    port: entry.address.port,
    meta: unpackBytes(entry.metaPacked),
    incarnation: entry.incarnation,
    state: entry.state,
    versions: entry.versions,
  }))
  if (toSerf) rows.unshift(...goodByes(state))
  return { kind: 'pushPull', join, rows, userState: localUserState(state, states) }
}
