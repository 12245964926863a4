/** Putting news into the queues, and packing what goes out beside or instead of a message. */
import type { Address } from '@kith/interface'
import {
  broadcastCost,
  encodeMessage,
  encodePacket,
  encodeSerf,
  piggybackBudget,
} from '../wire/codec.ts'
import type {
  AliveMessage,
  DeadMessage,
  PacketMessage,
  SerfMessage,
  SuspectMessage,
} from '../wire/message.ts'
import { schedule } from './deadlines.ts'
import { enqueue, takeBroadcasts, transmitLimit } from './queue.ts'
import type { EnqueueOptions, TransmitQueue } from './queue.ts'
import { count, emit } from './state.ts'
import type { Entry, State } from './state.ts'

/** memberlist's news: replaces what is queued about the same member. */
export function broadcastSwim(
  state: State,
  message: AliveMessage | SuspectMessage | DeadMessage,
  ticket?: number,
): void {
  const options = { about: message.node, ...(ticket === undefined ? {} : { ticket }) }
  queueNews(state, state.broadcasts, encodeMessage(message), options)
}

/** Serf's news in the bytes it came in, so that what we do not know passes through unchanged. */
export function broadcastSerf(
  state: State,
  queue: TransmitQueue,
  serfBytes: Uint8Array,
  ticket?: number,
): void {
  const bytes = encodeMessage({ kind: 'user', message: undefined, bytes: serfBytes })
  queueNews(state, queue, bytes, ticket === undefined ? {} : { ticket })
}

/**
 * What fits no packet would wait for ever, and take room for as long. Nothing of ours is so large.
 */
function queueNews(
  state: State,
  queue: TransmitQueue,
  bytes: Uint8Array,
  options: EnqueueOptions,
): void {
  if (broadcastCost(bytes.length) > piggybackBudget(0, state.packetOverheadBytes)) {
    return count(state, 'newsTooLarge')
  }
  enqueue(queue, bytes, options)
  wakeGossip(state)
}

/** A join or leave of our own making. */
export function broadcastIntent(state: State, message: SerfMessage, ticket?: number): void {
  broadcastSerf(state, state.intents, encodeSerf(message), ticket)
}

/** One datagram: the message, and as much news as still fits beside it. */
export function sendWithNews(state: State, to: Address, message: PacketMessage): void {
  const bytes = encodeMessage(message)
  const parts = [bytes]
  takeNews(state, piggybackBudget(bytes.length, state.packetOverheadBytes), parts)
  emit(state, { kind: 'send', to, bytes: encodePacket(parts) })
}

/**
 * One datagram with nothing beside the given parts, checksummed where the member understands it.
 */
export function sendBare(
  state: State,
  to: Address,
  parts: readonly Uint8Array[],
  entry?: Entry,
): void {
  const crc = entry !== undefined && entry.versions[1] >= 5 ? state.digests : undefined
  emit(state, { kind: 'send', to, bytes: encodePacket(parts, { crc }) })
}

/** memberlist's queue is served first, then Serf's intents, queries and events. */
export function takeNews(state: State, budget: number, into: Uint8Array[]): void {
  const { retransmitFactor } = state.timings
  const swimLimit = transmitLimit(retransmitFactor, state.ring.length)
  const serfLimit = transmitLimit(retransmitFactor, state.members.size)
  let left = takeBroadcasts(state.broadcasts, budget, swimLimit, into)
  for (const queue of [state.intents, state.queries, state.events]) {
    left = takeBroadcasts(queue, left, serfLimit, into)
  }
}

export function newsPending(state: State): boolean {
  return state.broadcasts.size + state.intents.size + state.queries.size + state.events.size > 0
}

/**
 * A member with nothing to tell needs no gossip timer. The rounds keep their phase all the same:
 * the timer is set for the next multiple of the interval, not for an interval from now.
 */
export function wakeGossip(state: State): void {
  if (!state.started || state.gossipTimer !== undefined) return
  const { gossipIntervalMs } = state.timings
  const rounds = Math.floor((state.now - state.gossipPhaseMs) / gossipIntervalMs) + 1
  const next = state.gossipPhaseMs + Math.max(0, rounds) * gossipIntervalMs
  // Fractions may round to this very moment, and a tick set for now would run for ever.
  const at = next > state.now ? next : next + gossipIntervalMs
  state.gossipTimer = schedule(state.deadlines, at, { kind: 'gossipTick' })
}
