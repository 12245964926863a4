/**
 * The user state of a push/pull, read: gone through once to see that it is well formed, and then
 * again for whatever is wanted. What may be large in it stays the bytes it came in; as objects it
 * would take several times as much.
 */
import { releaseBytes } from '@kith/interface'
import { MsgpackReader } from './msgpack.ts'
import { serfType } from './serf.ts'
import { extensionKey } from './state.ts'

/** A state of more members than this is refused. */
const timesMax = 131_072
/** Fewer, because their names are kept. */
const leftMembersMax = 32_768
/** Serf keeps 512 slots, with one or two events each; a few more do no harm, a million would. */
const eventSlotsMax = 4096
const eventsMax = 16_384
const extensionsMax = 64

const stateFields = ['LTime', 'StatusLTimes', 'LeftMembers', 'EventLTime', 'Events', 'QueryLTime']

type Visit<Value> = (name: string, value: Value) => void

/** One Lamport time and its events, in the order they came in. */
export interface SlotReader {
  readonly lamportTime: bigint
  /** Each payload has a buffer of its own, which belongs to `visit`. */
  eachEvent(visit: Visit<Uint8Array>): void
}

export interface StateReader {
  readonly lamportTime: bigint
  readonly eventLamportTime: bigint
  readonly queryLamportTime: bigint
  readonly leftMembers: readonly string[]
  eachTime(visit: Visit<bigint>): void
  /** Slots as sent; undefined for an unused one. */
  eachSlot(visit: (slot: SlotReader | undefined) => void): void
  /** Kith's anti-entropy, by extension name; `bytes` as the payload of an event. */
  eachExtension(visit: Visit<Uint8Array>): void
}

/** Undefined when empty, of another type or malformed. Entries with invalid text are left out. */
export function openState(bytes: Uint8Array): StateReader | undefined {
  if (bytes[0] !== serfType.pushPull) return undefined
  const state = new OpenState(bytes)
  return state.wellFormed ? state : undefined
}

class OpenState implements StateReader {
  lamportTime = 0n
  eventLamportTime = 0n
  queryLamportTime = 0n
  readonly leftMembers: string[] = []
  readonly wellFormed: boolean
  readonly #bytes: Uint8Array
  /** Where maps begin: a repeated key adds to what came before. */
  readonly #timesAt: number[] = []
  readonly #extensionsAt: number[] = []
  /** Where the array begins: a repeated key replaces what came before. */
  #slotsAt: number | undefined

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    const reader = new MsgpackReader(bytes, 1)
    let timesLeft = timesMax
    reader.struct([...stateFields, extensionKey], (field) => {
      if (field === 'LTime') this.lamportTime = reader.u64()
      else if (field === 'EventLTime') this.eventLamportTime = reader.u64()
      else if (field === 'QueryLTime') this.queryLamportTime = reader.u64()
      else if (field === 'LeftMembers') readNames(reader, this.leftMembers)
      else if (field === 'StatusLTimes') {
        this.#timesAt.push(reader.position)
        readTimes(reader, () => {
          timesLeft -= 1
          if (timesLeft < 0) reader.reject()
        })
      } else if (field === 'Events') {
        this.#slotsAt = reader.position
        readSlots(reader, bytes)
      } else if (field === extensionKey) {
        this.#extensionsAt.push(reader.position)
        reader.entries(() => releaseBytes(reader.bytes()))
      } else reader.skip()
    })
    this.wellFormed = reader.failure === undefined
  }

  eachTime(visit: Visit<bigint>): void {
    for (const at of this.#timesAt) readTimes(new MsgpackReader(this.#bytes, at), visit)
  }

  eachSlot(visit: (slot: SlotReader | undefined) => void): void {
    if (this.#slotsAt === undefined) return
    readSlots(new MsgpackReader(this.#bytes, this.#slotsAt), this.#bytes, visit)
  }

  eachExtension(visit: Visit<Uint8Array>): void {
    let left = extensionsMax
    for (const at of this.#extensionsAt) {
      const reader = new MsgpackReader(this.#bytes, at)
      reader.entries((key) => {
        const bytes = reader.bytes()
        left -= 1
        if (key === undefined || left < 0) releaseBytes(bytes)
        else visit(key, bytes)
      })
    }
  }
}

function readTimes(reader: MsgpackReader, visit: Visit<bigint>): void {
  reader.entries((key) => {
    const time = reader.u64()
    if (key !== undefined) visit(key, time)
  })
}

function readNames(reader: MsgpackReader, names: string[]): void {
  reader.array(() => {
    const name = reader.textOrInvalid()
    if (name !== undefined) names.push(name)
    if (names.length > leftMembersMax) reader.reject()
  })
}

function readSlots(
  reader: MsgpackReader,
  bytes: Uint8Array,
  visit: (slot: SlotReader | undefined) => void = () => {},
): void {
  let eventsLeft = eventsMax
  reader.array((index) => {
    if (index >= eventSlotsMax) reader.reject()
    if (reader.nil()) return visit(undefined)
    const slot = new PackedSlot(bytes)
    eventsLeft -= slot.read(reader, eventsLeft)
    if (reader.failure === undefined) visit(slot)
  })
}

class PackedSlot implements SlotReader {
  lamportTime = 0n
  readonly #bytes: Uint8Array
  #eventsAt: number | undefined

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** How many events it has, at most `eventsMax`: more and the reader fails. */
  read(reader: MsgpackReader, eventsMax: number): number {
    let count = 0
    reader.struct(['LTime', 'Events'], (field) => {
      if (field === 'LTime') this.lamportTime = reader.u64()
      else if (field === 'Events') {
        this.#eventsAt = reader.position
        count = 0
        reader.array(() => {
          count += 1
          if (count > eventsMax) reader.reject()
          else readEvent(reader, (_, payload) => releaseBytes(payload))
        })
      } else reader.skip()
    })
    return count
  }

  eachEvent(visit: Visit<Uint8Array>): void {
    if (this.#eventsAt === undefined) return
    const reader = new MsgpackReader(this.#bytes, this.#eventsAt)
    reader.array(() => readEvent(reader, visit))
  }
}

function readEvent(reader: MsgpackReader, visit: Visit<Uint8Array>): void {
  let name: string | undefined = ''
  let payload: Uint8Array = new Uint8Array(0)
  reader.struct(['Name', 'Payload'], (field) => {
    if (field === 'Name') name = reader.textOrInvalid()
    else if (field === 'Payload') {
      releaseBytes(payload)
      payload = reader.bytes()
    } else reader.skip()
  })
  if (name === undefined) releaseBytes(payload)
  else visit(name, payload)
}
