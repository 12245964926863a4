/**
 * User events of others: recognised once, passed on, and kept for push/pull, as Serf does. Nothing
 * here shows them to anybody yet.
 */
import type { BufferedEvents, UserEventMessage } from '../wire/message.ts'
import { sameBytes } from '../wire/codec.ts'
import { witness } from './clocks.ts'
import { count } from './state.ts'
import type { EventSlot, State } from './state.ts'

/** Different events of one Lamport time; a cluster makes one or two. */
export const eventsPerTimeMax = 64
/** Name and payload of one event; Serf's own hard limit. */
const eventBytesMax = 9216
/** Names and payloads of all events of one Lamport time: with 512 slots at most 8 MiB are kept. */
const eventBytesPerTimeMax = 16_384

/** True where the event was new and should be passed on. */
export function handleUserEvent(state: State, message: UserEventMessage): boolean {
  const { lamportTime, name, payload } = message
  if (eventBytes(message) > eventBytesMax) {
    count(state, 'eventTooLarge')
    return false
  }
  if (!witness(state.eventClock, lamportTime)) {
    count(state, 'lamportTimeAbsurd')
    return false
  }
  const slots = state.timings.eventBufferMax
  if (tooOld(state, lamportTime)) return false
  const place = Number(lamportTime % BigInt(slots))
  const slot = state.eventSlots[place]
  if (slot?.lamportTime !== lamportTime) {
    state.eventSlots[place] = { lamportTime, events: [{ name, payload }] }
    return true
  }
  const known = slot.events.some((event) => {
    return event.name === name && sameBytes(event.payload, payload)
  })
  if (known) return false
  const held = slot.events.reduce((bytes, event) => bytes + eventBytes(event), eventBytes(message))
  if (slot.events.length >= eventsPerTimeMax || held > eventBytesPerTimeMax) {
    count(state, 'eventsFull')
    return false
  }
  slot.events.push({ name, payload })
  return true
}

function eventBytes({ name, payload }: Pick<UserEventMessage, 'name' | 'payload'>): number {
  return name.length + payload.length
}

/** The events of another member's buffer; they are kept, not passed on. */
export function mergeEvents(state: State, buffered: readonly (BufferedEvents | undefined)[]): void {
  for (const slot of buffered) {
    for (const event of slot?.events ?? []) {
      handleUserEvent(state, {
        kind: 'userEvent',
        lamportTime: slot?.lamportTime ?? 0n,
        name: event.name,
        payload: event.payload,
        coalesce: false,
      })
    }
  }
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
