/**
 * Queries: recognised once, passed on whatever their filters say, acknowledged where they ask for
 * it. Those named `kith:<extension>` are the broadcasts of Kith members.
 */
import type { Address } from '@kith/interface'
import {
  addressText,
  decodeSerf,
  encodeMessage,
  encodeSerf,
  matchFilters,
  sameBytes,
} from '../wire/codec.ts'
import type { QueryMessage, RelayMessage } from '../wire/message.ts'
import { queryBytesMax, queryResponseBytesMax } from '../options.ts'
import { broadcastSerf, sendBare } from './broadcasts.ts'
import { stamp, witness } from './clocks.ts'
import { conflictAnswer, conflictQuery } from './name-conflict.ts'
import { pickEntries } from './selection.ts'
import { count, emit } from './state.ts'
import type { State } from './state.ts'

/** Different queries of one Lamport time. */
export const queriesPerTimeMax = 64
/** Members that one query may have its answer relayed through. */
const relaysMax = 16
/** Only members that understand the checksum layer understand relays. */
const relayVersion = 5
const ackWanted = 1
const noBroadcast = 2
/** The prefix by which broadcasts of extensions are queries that no Serf shows to anybody. */
export const extensionPrefix = 'kith:'

/** `bytes` are the message as received; they are what is passed on. */
export function handleQuery(state: State, message: QueryMessage, bytes: Uint8Array): void {
  if (bytes.length > queryBytesMax) return count(state, 'queryTooLarge')
  if (!firstSight(state, message)) return
  if ((message.flags & noBroadcast) === 0) broadcastSerf(state, state.queries, bytes)
  const tags = state.members.get(state.name)?.snapshot.tags ?? {}
  const fit = matchFilters(message.filters, state.name, tags)
  if (fit === 'unknown') count(state, 'queryFilterUnknown')
  if (fit !== 'match') return
  if ((message.flags & ackWanted) !== 0) answer(state, message, ackWanted, new Uint8Array(0))
  if (message.name === conflictQuery) {
    const payload = conflictAnswer(state, message.payload)
    if (payload !== undefined) answer(state, message, 0, payload)
    return
  }
  if (!message.name.startsWith(extensionPrefix)) return
  const name = message.name.slice(extensionPrefix.length)
  if (!state.extensions.has(name) || message.sourceNode === state.name) return
  emit(state, {
    kind: 'extensionMessage',
    name,
    from: message.sourceNode,
    bytes: message.payload,
  })
}

/** A broadcast of our own, to every member that carries `kith.v=1`. */
export function broadcastExtension(state: State, name: string, bytes: Uint8Array): void {
  const message = extensionQuery(
    state,
    name,
    bytes,
    state.queryClock.time,
    state.random.uint32() >>> 1,
  )
  const encoded = encodeSerf(message)
  if (encoded.length > queryBytesMax) return count(state, 'broadcastTooLarge')
  stamp(state.queryClock)
  firstSight(state, message)
  broadcastSerf(state, state.queries, encoded)
}

/** What is left of a query's bytes for the payload of a broadcast under this name. */
export function broadcastBytesMax(state: State, name: string): number {
  const longest = extensionQuery(state, name, new Uint8Array(0), 2n ** 63n, 2 ** 31 - 1)
  // The longest header of a payload takes two bytes more than that of an empty one.
  return queryBytesMax - encodeSerf({ ...longest, timeoutNs: 2n ** 62n }).length - 2
}

function extensionQuery(
  state: State,
  name: string,
  payload: Uint8Array,
  lamportTime: bigint,
  id: number,
): QueryMessage {
  return {
    kind: 'query',
    lamportTime,
    id,
    address: state.addressBytes,
    port: state.address.port,
    sourceNode: state.name,
    filters: [{ kind: 'tag', tag: 'kith.v', expression: '^1$' }],
    flags: 0,
    relayFactor: 0,
    timeoutNs: queryTimeoutNs(state),
    name: extensionPrefix + name,
    payload,
  }
}

/** Serf's default: sixteen rounds of gossip for each power of ten of members. */
function queryTimeoutNs(state: State): bigint {
  const rounds = 16 * Math.ceil(Math.log10(state.aliveCount + 1))
  return BigInt(state.timings.gossipIntervalMs * rounds) * 1_000_000n
}

/** Witnesses the time; false for what is too old, absurd or known. */
function firstSight(state: State, message: QueryMessage): boolean {
  const { lamportTime, id } = message
  if (!witness(state.queryClock, lamportTime)) {
    count(state, 'lamportTimeAbsurd')
    return false
  }
  const slots = state.timings.queryBufferMax
  if (state.queryClock.time > BigInt(slots) + lamportTime) return false
  const place = Number(lamportTime % BigInt(slots))
  const slot = state.querySlots[place]
  if (slot?.lamportTime !== lamportTime) {
    state.querySlots[place] = { lamportTime, ids: [id] }
    return true
  }
  if (slot.ids.includes(id)) return false
  if (slot.ids.length >= queriesPerTimeMax) {
    count(state, 'queriesFull')
    return false
  }
  slot.ids.push(id)
  return true
}

/** Straight to who asked, and where it asked for it also through other members. */
function answer(state: State, query: QueryMessage, flags: number, payload: Uint8Array): void {
  const host = addressText(query.address)
  if (host === undefined || query.port === 0) return count(state, 'queryAddressUnfit')
  const { lamportTime, id, relayFactor } = query
  const from = state.name
  const body = encodeSerf({ kind: 'queryResponse', lamportTime, id, from, flags, payload })
  if (body.length > queryResponseBytesMax) return count(state, 'queryResponseTooLarge')
  sendUser(state, { host, port: query.port }, body)
  const relays = Math.min(relayFactor, relaysMax)
  if (relays === 0 || state.members.size < relays + 1) return
  const { address, port, sourceNode: node } = query
  const relay = encodeSerf({ kind: 'relay', address, port, zone: '', node, body })
  if (relay.length > queryResponseBytesMax) return
  const through = pickEntries(state, relays, (entry) => {
    return entry.name !== state.name && entry.state === 'alive' && entry.versions[1] >= relayVersion
  })
  for (const entry of through) sendUser(state, entry.address, relay)
}

/** Passes an answer on to a member we know; anything else would make us a reflector. */
export function handleRelay(state: State, message: RelayMessage): void {
  const entry = state.entries.get(message.node)
  const known =
    entry !== undefined &&
    sameBytes(entry.addressBytes, message.address) &&
    entry.address.port === message.port
  if (!known) return count(state, 'relayUnknown')
  const fits = message.body.length <= queryResponseBytesMax
  if (!fits || decodeSerf(message.body)?.kind !== 'queryResponse') {
    return count(state, 'relayUnfit')
  }
  sendUser(state, entry.address, message.body)
}

/** Serf's answers travel alone: no checksum, nothing beside them. */
function sendUser(state: State, to: Address, serfBytes: Uint8Array): void {
  sendBare(state, to, [encodeMessage({ kind: 'user', message: undefined, bytes: serfBytes })])
}
