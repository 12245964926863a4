/** The user state of a push/pull, written: Serf's clocks, statuses and events, and Kith's own key. */
import type { BufferedEvents, SerfState } from './message.ts'
import { MsgpackWriter } from './msgpack.ts'
import type { Dialect } from './msgpack.ts'
import { serfType } from './serf.ts'

/** Real members skip a key they do not know. */
export const extensionKey = 'kith'

/** Serf's type byte first. The key of Kith is written only where there is something under it. */
export function encodeState(state: SerfState, dialect: Dialect = 'old'): Uint8Array {
  const { extensions } = state
  const writer = new MsgpackWriter(dialect).byte(serfType.pushPull)
  writer
    .map(extensions.size > 0 ? 7 : 6)
    .text('EventLTime')
    .uint(state.eventLamportTime)
  writer.text('Events').array(state.events.length)
  for (const slot of state.events) {
    if (slot === undefined) writer.nil()
    else writeSlot(writer, slot)
  }
  writer.text('LTime').uint(state.lamportTime)
  writer.text('LeftMembers').array(state.leftMembers.length)
  for (const name of state.leftMembers) writer.text(name)
  writer.text('QueryLTime').uint(state.queryLamportTime)
  writer.text('StatusLTimes').map(state.statusTimes.size)
  for (const [name, time] of state.statusTimes) writer.text(name).uint(time)
  if (extensions.size > 0) writer.text(extensionKey).map(extensions.size)
  for (const [name, bytes] of extensions) writer.text(name).bytes(bytes)
  return writer.finish()
}

function writeSlot(writer: MsgpackWriter, slot: BufferedEvents): void {
  writer.map(2).text('Events').array(slot.events.length)
  for (const { name, payload } of slot.events) {
    writer.map(2).text('Name').text(name).text('Payload').bytesOrNil(payload)
  }
  writer.text('LTime').uint(slot.lamportTime)
}
