/**
 * Queries: recognised once, passed on whatever their filters say, acknowledged where they ask for
 * it, and taken up by the user, by an extension or by the core itself. Those named
 * `kith:<extension>` are the broadcasts of Kith members.
 */
import { decodeSerf, encodeSerf, isPacked, matchFilters } from '../wire/codec.ts'
import type { QueryMessage, RelayMessage } from '../wire/message.ts'
import { extensionBytesMax } from '../options.ts'
import { acknowledge, answer, deliverQuery, sendUser } from './answers.ts'
import { roomForQuery } from './asked.ts'
import { broadcastSerf } from './broadcasts.ts'
import { stamp, witness } from './clocks.ts'
import { internalPrefix, internalQueries } from './internal-queries.ts'
import { isKeyQuery } from './key-queries.ts'
import { count, emit } from './state.ts'
import type { State } from './state.ts'

/** Different queries of one Lamport time. */
export const queriesPerTimeMax = 64
const ackWanted = 1
const noBroadcast = 2
/** The prefix by which broadcasts of extensions are queries that no Serf shows to anybody. */
export const extensionPrefix = 'kith:'

/** `bytes` are the message as received; they are what is passed on. */
export function handleQuery(state: State, message: QueryMessage, bytes: Uint8Array): void {
  if (bytes.length > state.timings.queryBytesMax) return count(state, 'queryTooLarge')
  if (!firstSight(state, message)) return
  if ((message.flags & noBroadcast) === 0) broadcastSerf(state, state.queries, bytes)
  takeUp(state, message)
}

/** Whatever the query is for, where it is for this member. */
export function takeUp(state: State, message: QueryMessage): void {
  const tags = state.members.get(state.name)?.snapshot.tags ?? {}
  const fit = matchFilters(message.filters, state.name, tags)
  if (fit === 'unknown') count(state, 'queryFilterUnknown')
  if (fit !== 'match') return
  const { name, flags } = message
  const forUser = !name.startsWith(internalPrefix) && !name.startsWith(extensionPrefix)
  if ((forUser || isKeyQuery(name)) && !roomForQuery(state)) return
  if ((flags & ackWanted) !== 0) acknowledge(state, message)
  if (forUser) return deliverQuery(state, message)
  if (name.startsWith(extensionPrefix)) return deliverBroadcast(state, message)
  const internal = internalQueries.get(name)
  if (internal === undefined) return count(state, 'queryInternalUnknown')
  const payload = internal(state, message)
  if (payload !== undefined) answer(state, message, 0, payload)
}

function deliverBroadcast(state: State, message: QueryMessage): void {
  const { sourceNode: from, payload: bytes } = message
  const name = message.name.slice(extensionPrefix.length)
  if (!state.extensions.has(name) || from === state.name) return
  emit(state, { kind: 'extensionMessage', name, from, bytes })
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
  if (encoded.length > extensionBytesMax) return count(state, 'broadcastTooLarge')
  stamp(state.queryClock)
  firstSight(state, message)
  broadcastSerf(state, state.queries, encoded)
}

/** What is left of a query's bytes for the payload of a broadcast under this name. */
export function broadcastBytesMax(state: State, name: string): number {
  const longest = extensionQuery(state, name, new Uint8Array(0), 2n ** 63n, 2 ** 31 - 1)
  // The longest header of a payload takes two bytes more than that of an empty one.
  return extensionBytesMax - encodeSerf({ ...longest, timeoutNs: 2n ** 62n }).length - 2
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
export function queryTimeoutNs(state: State): bigint {
  const rounds = 16 * Math.ceil(Math.log10(state.aliveCount + 1))
  return BigInt(state.timings.gossipIntervalMs * rounds) * 1_000_000n
}

/** Witnesses the time; false for what is too old, absurd or known. */
export function firstSight(state: State, message: QueryMessage): boolean {
  const { lamportTime, id } = message
  if (!witness(state.queryClock, lamportTime, state.now)) {
    count(state, 'lamportTimeAbsurd')
    return false
  }
  const slots = state.timings.queryBufferMax
  const old = state.queryClock.time > BigInt(slots) + lamportTime
  if (old || lamportTime < state.talk.queryTimeMin) {
    count(state, 'queriesTooOld')
    return false
  }
  const place = Number(lamportTime % BigInt(slots))
  const slot = state.querySlots[place]
  if (slot?.lamportTime !== lamportTime) {
    state.querySlots[place] = { lamportTime, ids: [id] }
    return true
  }
  if (slot.ids.includes(id)) {
    count(state, 'queriesKnown')
    return false
  }
  if (slot.ids.length >= queriesPerTimeMax) {
    count(state, 'queriesFull')
    return false
  }
  slot.ids.push(id)
  return true
}

/** Passes an answer on to a member we know; anything else would make us a reflector. */
export function handleRelay(state: State, message: RelayMessage): void {
  const entry = state.entries.get(message.node)
  const known =
    entry !== undefined &&
    isPacked(entry.addressPacked, message.address) &&
    entry.address.port === message.port
  if (!known) return count(state, 'relayUnknown')
  const fits = message.body.length <= state.timings.queryResponseBytesMax
  if (!fits || decodeSerf(message.body)?.kind !== 'queryResponse') {
    return count(state, 'relayUnfit')
  }
  sendUser(state, entry.address, message.body)
}
