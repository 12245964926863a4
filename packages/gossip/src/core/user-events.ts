/**
 * User events: those of others are recognised once, passed on, delivered, and kept for push/pull;
 * our own go the same way without the recognising, because nobody may talk us out of them.
 */
import { releaseBytes } from '@kith/interface'
import type { BufferedEvents, UserEventMessage } from '../wire/message.ts'
import { encodeSerf, sameBytes } from '../wire/codec.ts'
import type { StateReader } from '../wire/codec.ts'
import { encodeText } from '../wire/text.ts'
import { userEventBytesHardMax } from '../options.ts'
import { broadcastSerf } from './broadcasts.ts'
import { stamp, witness } from './clocks.ts'
import { deliverEvent } from './coalesce.ts'
import type { CoreDrop } from './counters.ts'
import { count, emit } from './state.ts'
import type { EventSlot, State } from './state.ts'
import type { Refusal, UserEvent } from './talk.ts'

/** Different events of one Lamport time; a cluster makes one or two. */
export const eventsPerTimeMax = 64
/** Names and payloads of all events of one Lamport time. */
const eventBytesPerTimeMax = 16_384
/**
 * The same of all times: they travel with every push/pull. 512 slots of events at Serf's default
 * limit are an eighth of it.
 */
const eventBytesKeptMax = 2_097_152

/** An event of our own; `done` says that it was delivered here and queued for everybody. */
export function emitUserEvent(
  state: State,
  id: number,
  { name, payload, coalesce }: Pick<UserEvent, 'name' | 'payload' | 'coalesce'>,
): void {
  const { time } = state.eventClock
  const message = { kind: 'userEvent', lamportTime: time, name, payload, coalesce } as const
  const encoded = encodeSerf(message)
  const refused = sizeRefusal(state, message, encoded) ?? queueRefusal(state)
  if (refused !== undefined) return emit(state, { kind: 'done', id, refused })
  stamp(state.eventClock)
  keepEvent(state, message)
  const event = eventOf(message)
  deliverEvent(state, event)
  broadcastSerf(state, state.events, encoded)
  emit(state, { kind: 'done', id, event })
}

/** Serf's own checks, in Serf's words: some programs read them. */
function sizeRefusal(
  state: State,
  { name, payload }: UserEventMessage,
  encoded: Uint8Array,
): Refusal | undefined {
  const code = 'ERR_GOSSIP_EVENT_TOO_LARGE'
  const limit = state.timings.userEventBytesMax
  const bytes = encodeText(name).length + payload.length
  if (bytes > limit) {
    const message = `user event exceeds configured limit of ${limit} bytes before encoding`
    return { code, message }
  }
  if (encoded.length <= limit) return undefined
  const message = `encoded user event exceeds configured limit of ${limit} bytes after encoding`
  return { code, message }
}

/** What is queued now would push out what was queued before and never sent. */
function queueRefusal(state: State): Refusal | undefined {
  if (state.phase !== 'active') {
    return { code: 'ERR_GOSSIP_LEFT', message: 'this member has left the cluster' }
  }
  if (state.events.size < state.events.depthMax) return undefined
  const message = `${state.events.size} events wait to be sent already`
  return { code: 'ERR_GOSSIP_OVERLOADED', message }
}

function eventOf({ name, payload, lamportTime, coalesce }: UserEventMessage): UserEvent {
  return Object.freeze({ kind: 'event', name, payload, lamportTime, coalesce })
}

/** True where the event was new: it was delivered, and should be passed on. */
export function handleUserEvent(state: State, message: UserEventMessage): boolean {
  const { lamportTime } = message
  if (eventBytes(message) > userEventBytesHardMax) return dropped(state, 'eventTooLarge')
  if (!witness(state.eventClock, lamportTime, state.now)) {
    return dropped(state, 'lamportTimeAbsurd')
  }
  if (lamportTime < state.talk.eventTimeMin) return dropped(state, 'eventsBeforeLife')
  if (tooOld(state, lamportTime)) return dropped(state, 'eventsTooOld')
  if (!keepEvent(state, message)) return false
  deliverEvent(state, eventOf(message))
  return true
}

function dropped(state: State, kind: CoreDrop): false {
  count(state, kind)
  return false
}

/** Keeps the event for push/pull; false where it is known or there is no room. */
function keepEvent(state: State, message: UserEventMessage): boolean {
  const { lamportTime, name, payload } = message
  const place = Number(lamportTime % BigInt(state.timings.eventBufferMax))
  const slot = state.eventSlots[place]
  if (slot?.lamportTime !== lamportTime) {
    for (const event of slot?.events ?? []) state.eventBytesKept -= eventBytes(event)
    state.eventSlots[place] = { lamportTime, events: [{ name, payload }] }
    accountEvent(state, message)
    return true
  }
  const known = slot.events.some((event) => {
    return event.name === name && sameBytes(event.payload, payload)
  })
  if (known) return dropped(state, 'eventsKnown')
  const held = slot.events.reduce((bytes, event) => bytes + eventBytes(event), eventBytes(message))
  if (slot.events.length >= eventsPerTimeMax || held > eventBytesPerTimeMax) {
    return dropped(state, 'eventsFull')
  }
  slot.events.push({ name, payload })
  accountEvent(state, message)
  return true
}

/** What does not fit goes oldest first, and what is as old as that is too old from here on. */
function accountEvent(state: State, message: UserEventMessage): void {
  state.eventBytesKept += eventBytes(message)
  while (state.eventBytesKept > eventBytesKeptMax) {
    let oldest: EventSlot | undefined
    for (const slot of state.eventSlots) {
      if (slot !== undefined && slot.lamportTime < (oldest ?? slot).lamportTime) oldest = slot
      else oldest ??= slot
    }
    if (oldest === undefined) return
    for (const event of oldest.events) state.eventBytesKept -= eventBytes(event)
    state.eventSlots[state.eventSlots.indexOf(oldest)] = undefined
    const next = oldest.lamportTime + 1n
    if (next > state.talk.eventTimeMin) state.talk.eventTimeMin = next
    count(state, 'eventsForgotten')
  }
}

function eventBytes({ name, payload }: Pick<UserEventMessage, 'name' | 'payload'>): number {
  return name.length + payload.length
}

/** The events of another member's buffer; they are delivered and kept, not passed on. */
export function mergeEvents(state: State, remote: StateReader): void {
  eachEvent(remote, (message) => {
    if (message.lamportTime >= state.talk.exchangedTimeMin) return handleUserEvent(state, message)
    return dropped(state, 'eventsBeforeJoin')
  })
}

/**
 * This member joins and wants nothing from before: what the other one knows counts as heard, and
 * what others still keep from before its `time` stays unheard. Serf goes by the time alone, and so
 * loses the next event of a member whose clock is behind; here what gossip brings is news, because
 * gossip is over in seconds.
 */
export function ignoreEvents(state: State, remote: StateReader, time: bigint): void {
  // A time that our clock did not follow is no time of this cluster, and silences nobody.
  if (time > state.eventClock.time) return
  if (time > state.talk.exchangedTimeMin) state.talk.exchangedTimeMin = time
  eachEvent(remote, (message) => {
    const fits = eventBytes(message) <= userEventBytesHardMax && message.lamportTime < time
    return fits && !tooOld(state, message.lamportTime) && keepEvent(state, message)
  })
}

/** Frees the payload of every event that `take` does not keep. */
function eachEvent(remote: StateReader, take: (message: UserEventMessage) => boolean): void {
  remote.eachSlot((slot) => {
    slot?.eachEvent((name, payload) => {
      const { lamportTime } = slot
      const kept = take({ kind: 'userEvent', lamportTime, name, payload, coalesce: false })
      if (!kept) releaseBytes(payload)
    })
  })
}

/** The slots of our buffer that others would still take; of older ones they would complain. */
export function bufferedEvents(state: State): readonly BufferedEvents[] {
  const recent: EventSlot[] = []
  for (const slot of state.eventSlots) {
    if (slot !== undefined && !tooOld(state, slot.lamportTime)) recent.push(slot)
  }
  return recent
}

function tooOld(state: State, lamportTime: bigint): boolean {
  return state.eventClock.time > BigInt(state.timings.eventBufferMax) + lamportTime
}
