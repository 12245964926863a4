/**
 * Coalescing, as Serf does it: of events that allow it, only those with the latest time of each
 * name are delivered, once nothing new has come for a while or the longest wait is over.
 */
import { cancel, schedule } from './deadlines.ts'
import { count, emitEvent } from './state.ts'
import type { State } from './state.ts'
import type { UserEvent } from './talk.ts'

/** Names held back at one time; one more and all of them are delivered at once. */
export const heldNamesMax = 1024

/** To the user, now or coalesced. */
export function deliverEvent(state: State, event: UserEvent): void {
  if (event.coalesce && state.timings.eventCoalesceMs > 0) return hold(state, event)
  emitEvent(state, event)
}

function hold(state: State, event: UserEvent): void {
  const { talk, timings, now } = state
  const known = talk.held.get(event.name)
  const fresh = { lamportTime: event.lamportTime, events: [event] }
  if (known === undefined) {
    if (talk.held.size >= heldNamesMax) flushHeld(state)
    if (talk.held.size === 0) talk.heldSince = now
    talk.held.set(event.name, fresh)
  } else if (event.lamportTime === known.lamportTime) known.events.push(event)
  else {
    const older = event.lamportTime < known.lamportTime ? 1 : known.events.length
    for (let left = older; left > 0; left -= 1) count(state, 'eventsCoalesced')
    if (event.lamportTime > known.lamportTime) talk.held.set(event.name, fresh)
  }
  cancel(state.deadlines, talk.heldTimer)
  const at = Math.min(now + timings.eventQuietMs, talk.heldSince + timings.eventCoalesceMs)
  talk.heldTimer = schedule(state.deadlines, at, { kind: 'coalesceEnd' })
}

/** Delivers what was held, in order of time. */
export function flushHeld(state: State): void {
  const { talk } = state
  cancel(state.deadlines, talk.heldTimer)
  talk.heldTimer = undefined
  const events = [...talk.held.values()].flatMap((held) => held.events)
  talk.held.clear()
  events.sort((a, b) =>
    a.lamportTime < b.lamportTime ? -1 : a.lamportTime > b.lamportTime ? 1 : 0,
  )
  for (const event of events) emitEvent(state, event)
}
