/**
 * Acks and answers to queries: straight to who asked, in a packet where they fit, else over a
 * stream, which every Serf takes; and the queries that a user may still answer.
 */
import {
  addressText,
  encodeMessage,
  encodePacket,
  encodeSerf,
  encodeStream,
  isPacked,
  sameBytes,
} from '../wire/codec.ts'
import type { QueryMessage, QueryResponseMessage } from '../wire/message.ts'
import { remember } from './asked.ts'
import { handleQueryResponse, isAck } from './collecting.ts'
import { cancel } from './deadlines.ts'
import { wasAt } from './former.ts'
import { requestsMax } from './push-pull.ts'
import { pickEntries } from './selection.ts'
import { count, emit, emitEvent, takeId } from './state.ts'
import type { PendingRequest, State } from './state.ts'
import type { Refusal } from './talk.ts'
import type { Address } from '@kith/interface'

/** Members that one query may have its answer relayed through. */
const relaysMax = 16
/** Only members that understand the checksum layer understand relays. */
const relayVersion = 5

/** Shows a query of others, or our own, to the user, who may answer it until its time is over. */
export function deliverQuery(state: State, message: QueryMessage): void {
  const { name, payload, lamportTime, sourceNode: from } = message
  const { id, timeoutMs } = remember(state, message)
  emitEvent(state, { kind: 'query', id, name, payload, from, lamportTime, timeoutMs })
}

export function askedEnded(state: State, id: number): void {
  state.talk.asked.delete(id)
}

/** The user's answer to the query `queryId`; `done` when it is on its way, or why it is not. */
export function respondToQuery(
  state: State,
  id: number,
  queryId: number,
  payload: Uint8Array,
): void {
  const asked = state.talk.asked.get(queryId)
  if (asked === undefined) {
    const refused = { code: 'ERR_GOSSIP_QUERY_LATE', message: 'response is past the deadline' }
    return emit(state, { kind: 'done', id, refused: refused as Refusal })
  }
  const sent = answer(state, asked.message, 0, payload, id)
  if (typeof sent !== 'object') {
    state.talk.asked.delete(queryId)
    cancel(state.deadlines, asked.timer)
  }
  if (sent === 'streamed') return
  emit(state, { kind: 'done', id, ...(sent === 'sent' ? {} : { refused: sent }) })
}

export function acknowledge(state: State, query: QueryMessage): void {
  answer(state, query, isAck, new Uint8Array(0))
}

/**
 * Sends an ack or an answer. `streamed`: the command `commandId` is done when the stream is; the
 * query may be answered again where it was refused.
 */
export function answer(
  state: State,
  query: QueryMessage,
  flags: number,
  payload: Uint8Array,
  commandId?: number,
): 'sent' | 'streamed' | Refusal {
  const { lamportTime, id } = query
  const from = state.name
  const response = { kind: 'queryResponse', lamportTime, id, from, flags, payload } as const
  const body = encodeSerf(response)
  const { queryResponseBytesMax, queryStreamBytesMax } = state.timings
  if (body.length > queryStreamBytesMax) return tooLarge(state, queryStreamBytesMax)
  if (isOwn(state, query)) return answerSelf(state, response)
  const host = addressText(query.address)
  if (host === undefined || query.port === 0) {
    count(state, 'queryAddressUnfit')
    return { code: 'ERR_GOSSIP_RESPONSE_FAILED', message: 'the query names no usable address' }
  }
  const to = { host, port: query.port }
  if (body.length > queryResponseBytesMax) return stream(state, query, to, body, commandId)
  sendUser(state, to, body)
  relay(state, query, body)
  return 'sent'
}

function tooLarge(state: State, limit: number): Refusal {
  count(state, 'queryResponseTooLarge')
  const message = `response exceeds limit of ${limit} bytes`
  return { code: 'ERR_GOSSIP_RESPONSE_TOO_LARGE', message }
}

function isOwn(state: State, { sourceNode, address, port }: QueryMessage): boolean {
  if (sourceNode !== state.name) return false
  if (port === state.address.port && sameBytes(address, state.addressBytes)) return true
  return wasAt(state, { host: addressText(address) ?? '', port })
}

function answerSelf(state: State, response: QueryResponseMessage): 'sent' {
  handleQueryResponse(state, response)
  return 'sent'
}

/**
 * Only to members at their known address: a question that anybody can put in another's name must
 * not make us connect to a stranger and send it a megabyte.
 */
function stream(
  state: State,
  query: QueryMessage,
  to: Address,
  body: Uint8Array,
  commandId: number | undefined,
): 'streamed' | Refusal {
  if (!isKnown(state, query)) return tooLarge(state, state.timings.queryResponseBytesMax)
  if (state.requests.size + state.collects.size >= requestsMax) {
    count(state, 'requestsFull')
    return { code: 'ERR_GOSSIP_OVERLOADED', message: 'too many streams are open already' }
  }
  const id = takeId(state)
  state.requests.set(id, { kind: 'answer', commandId })
  count(state, 'queryResponsesStreamed')
  const bytes = encodeStream({ kind: 'user', message: undefined, bytes: body })
  const deadline = state.now + state.timings.streamTimeoutMs
  emit(state, { kind: 'request', id, to, bytes, expectReply: false, deadline })
  return 'streamed'
}

function isKnown(state: State, { sourceNode, address, port }: QueryMessage): boolean {
  const entry = state.entries.get(sourceNode)
  return (
    entry !== undefined && entry.address.port === port && isPacked(entry.addressPacked, address)
  )
}

/** The stream of an answer is done with, well or not. */
export function answerStreamed(
  state: State,
  { commandId }: PendingRequest & { kind: 'answer' },
  failure?: string,
): void {
  if (failure !== undefined) count(state, 'queryResponsesFailed')
  if (commandId === undefined) return
  const code = 'ERR_GOSSIP_RESPONSE_FAILED'
  const refused = failure === undefined ? {} : { refused: { code, message: failure } as const }
  emit(state, { kind: 'done', id: commandId, ...refused })
}

/** Where it was asked for, and where it fits, the answer goes through other members as well. */
function relay(state: State, query: QueryMessage, body: Uint8Array): void {
  const relays = Math.min(query.relayFactor, relaysMax)
  if (relays === 0 || state.members.size < relays + 1) return
  const { address, port, sourceNode: node } = query
  const wrapped = encodeSerf({ kind: 'relay', address, port, zone: '', node, body })
  if (wrapped.length > state.timings.queryResponseBytesMax) return
  const through = pickEntries(state, relays, (entry) => {
    return entry.name !== state.name && entry.state === 'alive' && entry.versions[1] >= relayVersion
  })
  for (const entry of through) sendUser(state, entry.address, wrapped)
}

/**
 * Serf's answers travel alone: no checksum, nothing beside them. They are as many as users ask for,
 * and no part of what membership may send.
 */
export function sendUser(state: State, to: Address, serfBytes: Uint8Array): void {
  const message = encodeMessage({ kind: 'user', message: undefined, bytes: serfBytes })
  emit(state, { kind: 'send', to, bytes: encodePacket([message]) })
}
