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
  JoinIntent,
  LeaveIntent,
  PacketMessage,
  SuspectMessage,
} from '../wire/message.ts'
import { schedule } from './deadlines.ts'
import { enqueue, limitsOf, takeBroadcasts } from './queue.ts'
import type { EnqueueOptions, TransmitQueue } from './queue.ts'
import { sendPaced } from './sending.ts'
import { count } from './state.ts'
import type { Entry, State } from './state.ts'

/** memberlist's news: replaces what is queued about the same member. */
export function broadcastSwim(
  state: State,
  message: AliveMessage | SuspectMessage | DeadMessage,
  ticket?: number,
): void {
  const options = { about: message.node, ...(ticket === undefined ? {} : { ticket }) }
  queueNews(state, state.broadcasts, encodeMessage(message, 'old', state.room), options)
}

/** Serf's news in the bytes it came in, so that what we do not know passes through unchanged. */
export function broadcastSerf(
  state: State,
  queue: TransmitQueue,
  serfBytes: Uint8Array,
  options: EnqueueOptions = {},
): void {
  const user = { kind: 'user', message: undefined, bytes: serfBytes } as const
  const bytes = encodeMessage(user, 'old', state.room)
  queueNews(state, queue, bytes, options)
}

/** An intent that is news. It replaces older ones of the same member, which are none any more. */
export function passIntentOn(
  state: State,
  message: JoinIntent | LeaveIntent,
  serfBytes: Uint8Array,
): void {
  const { node: about, lamportTime } = message
  broadcastSerf(state, state.intents, serfBytes, { about, lamportTime })
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
  enqueue(queue, bytes, state.now, options)
  wakeGossip(state)
}

/** A join or leave of our own making. */
export function broadcastIntent(
  state: State,
  message: JoinIntent | LeaveIntent,
  ticket?: number,
): void {
  const { node: about, lamportTime } = message
  const options = { about, lamportTime, ...(ticket === undefined ? {} : { ticket }) }
  broadcastSerf(state, state.intents, encodeSerf(message), options)
}

/** One datagram: the message, what must go beside it, and as much news as still fits. */
export function sendWithNews(
  state: State,
  to: Address,
  message: PacketMessage,
  beside: readonly Uint8Array[] = [],
): void {
  const first = encodeMessage(message, 'old', state.room)
  const parts = [first, ...beside]
  const used = beside.reduce((bytes, part) => bytes + broadcastCost(part.length), first.length)
  takeNews(state, piggybackBudget(used, state.packetOverheadBytes), parts)
  sendPaced(state, to, encodePacket(parts))
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
  sendPaced(state, to, encodePacket(parts, { crc }))
}

/** memberlist's queue is served first, then Serf's intents, queries and events. */
export function takeNews(state: State, budget: number, into: Uint8Array[]): void {
  if (!newsPending(state)) return
  const { timings, now } = state
  const swimLimits = limitsOf(state.broadcasts, timings, state.ring.length)
  let left = takeBroadcasts(state.broadcasts, budget, swimLimits, now, into)
  const serfLimits = limitsOf(state.intents, timings, state.members.size)
  for (const queue of [state.intents, state.queries, state.events]) {
    left = takeBroadcasts(queue, left, serfLimits, now, into)
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
