/** The user state of a push/pull: Serf's clocks, statuses and events, and Kith's own key. */
import type { BufferedEvents, SerfState } from './message.ts'
import { MsgpackReader, MsgpackWriter } from './msgpack.ts'
import type { Dialect } from './msgpack.ts'
import { serfType } from './serf.ts'

/** A state of more members than this is refused: each costs far more memory than bytes. */
const membersMax = 131_072
/** Serf keeps 512 slots, with one or two events each; a few more do no harm, a million would. */
const eventSlotsMax = 4096
const eventsMax = 16_384
/** Real members skip a key they do not know. */
const extensionKey = 'kith'
const extensionsMax = 64

const stateFields = ['LTime', 'StatusLTimes', 'LeftMembers', 'EventLTime', 'Events', 'QueryLTime']

/** Undefined when empty, of another type or malformed. Entries with invalid text are left out. */
export function decodeState(bytes: Uint8Array): SerfState | undefined {
  if (bytes[0] !== serfType.pushPull) return undefined
  const reader = new MsgpackReader(bytes, 1)
  let [lamportTime, eventLamportTime, queryLamportTime] = [0n, 0n, 0n]
  const statusTimes = new Map<string, bigint>()
  const leftMembers: string[] = []
  let events: SerfState['events'] = []
  const extensions = new Map<string, Uint8Array>()
  reader.struct([...stateFields, extensionKey], (field) => {
    if (field === 'LTime') lamportTime = reader.u64()
    else if (field === 'EventLTime') eventLamportTime = reader.u64()
    else if (field === 'QueryLTime') queryLamportTime = reader.u64()
    else if (field === 'StatusLTimes') readStatusTimes(reader, statusTimes)
    else if (field === 'LeftMembers') readNames(reader, leftMembers)
    else if (field === 'Events') events = readSlots(reader)
    else if (field === extensionKey) readExtensions(reader, extensions)
    else reader.skip()
  })
  if (reader.failure !== undefined) return undefined
  const clocks = { lamportTime, eventLamportTime, queryLamportTime }
  return { ...clocks, statusTimes, leftMembers, events, extensions }
}

function readStatusTimes(reader: MsgpackReader, times: Map<string, bigint>): void {
  reader.entries((key) => {
    const time = reader.u64()
    if (key !== undefined) times.set(key, time)
    if (times.size > membersMax) reader.reject()
  })
}

function readNames(reader: MsgpackReader, names: string[]): void {
  reader.array(() => {
    const name = reader.textOrInvalid()
    if (name !== undefined) names.push(name)
    if (names.length > membersMax) reader.reject()
  })
}

type Slot = { lamportTime: bigint; events: BufferedEvents['events'][number][] }

function readSlots(reader: MsgpackReader): SerfState['events'] {
  const slots: (BufferedEvents | undefined)[] = []
  let eventsLeft = eventsMax
  reader.array((index) => {
    const slot = reader.nil() ? undefined : readSlot(reader, eventsLeft)
    eventsLeft -= slot?.events.length ?? 0
    slots.push(slot)
    if (index >= eventSlotsMax) reader.reject()
  })
  return slots
}

function readSlot(reader: MsgpackReader, eventsLeft: number): BufferedEvents {
  const slot: Slot = { lamportTime: 0n, events: [] }
  reader.struct(['LTime', 'Events'], (field) => {
    if (field === 'LTime') slot.lamportTime = reader.u64()
    else if (field === 'Events') {
      // A repeated key replaces what came before, as everywhere.
      slot.events = []
      reader.array((index) => {
        if (index >= eventsLeft) reader.reject()
        else readEvent(reader, slot)
      })
    } else reader.skip()
  })
  return slot
}

function readEvent(reader: MsgpackReader, slot: Slot): void {
  let name: string | undefined = ''
  let payload: Uint8Array = new Uint8Array(0)
  reader.struct(['Name', 'Payload'], (field) => {
    if (field === 'Name') name = reader.textOrInvalid()
    else if (field === 'Payload') payload = reader.bytes()
    else reader.skip()
  })
  if (name !== undefined) slot.events.push({ name, payload })
}

function readExtensions(reader: MsgpackReader, extensions: Map<string, Uint8Array>): void {
  reader.entries((key) => {
    const bytes = reader.bytes()
    if (key !== undefined && extensions.size < extensionsMax) extensions.set(key, bytes)
  })
}

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
