/** msgpack by three readers that know nothing of each other, and written again. */
import { MsgpackReader, MsgpackWriter } from '@kith/msgpack'
import { scan } from '../../../packages/replicator/src/wire/scan.ts'
import { FrameSplitter } from '../../../packages/serf-rpc/src/wire/splitter.ts'
import { msgpackMutator } from '../mutate-msgpack.ts'
import { holds, sameBytes } from '../target.ts'
import type { FuzzTarget, Mutator } from '../target.ts'
import { captured, gossipWords } from './gossip-support.ts'

type Value =
  | undefined
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly Value[]
  | { readonly pairs: readonly (readonly [string | undefined, Value])[] }

const unlimited = { bytesMax: 1 << 24, valuesMax: 1 << 24, nestingMax: 1000 }

/** The next value, whatever it is. Text that is none is left as bytes. */
function readAny(reader: MsgpackReader, bytes: Uint8Array): Value {
  const byte = bytes[reader.position] ?? 0xc1
  if (reader.nil()) return undefined
  if (byte === 0xc2 || byte === 0xc3) return reader.bool()
  if (byte === 0xca || byte === 0xcb) return reader.float()
  if (byte < 0x80 || byte >= 0xe0 || (byte >= 0xcc && byte < 0xd4)) return reader.integer()
  if ((byte >= 0xa0 && byte < 0xc0) || (byte >= 0xd9 && byte < 0xdc)) {
    const at = reader.position
    const text = reader.textOrInvalid()
    return text ?? new MsgpackReader(bytes, at).bytes()
  }
  if (byte >= 0xc4 && byte < 0xc7) return reader.bytes()
  if ((byte >= 0x90 && byte < 0xa0) || byte === 0xdc || byte === 0xdd) {
    const items: Value[] = []
    reader.array(() => void items.push(readAny(reader, bytes)))
    return items
  }
  if (byte < 0x90 || byte === 0xde || byte === 0xdf) {
    const pairs: (readonly [string | undefined, Value])[] = []
    reader.entries((key) => void pairs.push([key, readAny(reader, bytes)]))
    return { pairs }
  }
  reader.skip()
  return undefined
}

function writeInteger(writer: MsgpackWriter, value: bigint): void {
  if (value < 0n) writer.int(value)
  else writer.uint(value)
}

function writeAny(writer: MsgpackWriter, value: Value): void {
  if (value === undefined) writer.nil()
  else if (typeof value === 'boolean') writer.bool(value)
  else if (typeof value === 'number') writer.float(value)
  else if (typeof value === 'bigint') writeInteger(writer, value)
  else if (typeof value === 'string') writer.text(value)
  else if (value instanceof Uint8Array) writer.bytes(value)
  else if ('pairs' in value) {
    writer.map(value.pairs.length)
    for (const [key, inner] of value.pairs) {
      writer.text(key ?? '')
      writeAny(writer, inner)
    }
  } else {
    writer.array(value.length)
    for (const item of value) writeAny(writer, item)
  }
}

function rewritten(bytes: Uint8Array): Uint8Array | undefined {
  const reader = new MsgpackReader(bytes)
  const value = readAny(reader, bytes)
  if (reader.failure !== undefined) return undefined
  const writer = new MsgpackWriter('ext')
  writeAny(writer, value)
  return writer.finish()
}

/** A head with another length of the same value in front. */
const widened: Mutator = (bytes) => {
  const first = bytes[0] ?? 0
  if (first < 0x80 || first >= 0xc0) return bytes
  const type = first < 0x90 ? 0xde : first < 0xa0 ? 0xdc : 0xda
  const length = first < 0xa0 ? first & 15 : first & 31
  return Uint8Array.from([type, 0, length, ...bytes.subarray(1)])
}

export const msgpack: FuzzTarget = {
  bytesMax: 8_192,
  seeds: () => [
    ...captured(/udp-(?!crc|compound).*\.hex$/).map((bytes) => bytes.slice(1)),
    Uint8Array.from([0x93, 0xc0, 0xc3, 0xcb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0]),
    Uint8Array.from([0x82, 0xa1, 0x61, 0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0, 0xa1, 0x62, 0xc4, 1, 9]),
    Uint8Array.from([0xd4, 0x70, 0x00]),
  ],
  words: gossipWords,
  mutators: [msgpackMutator([0]), msgpackMutator([0]), widened],
  ends: ['whole', 'short', 'malformed'],
  check(bytes) {
    const reader = new MsgpackReader(bytes)
    reader.skip()
    const splitter = new FrameSplitter()
    splitter.push(bytes.slice())
    const frame = splitter.next(unlimited)
    const length = frame?.length
    if (reader.failure === undefined) {
      holds(length === reader.position, `one ends at ${reader.position}, the other at ${length}`)
    } else if (reader.failure === 'short') {
      holds(length === undefined, 'one finds a whole value where another lacks bytes')
      holds(reader.needed > bytes.length, 'it asks for bytes that are there')
    }
    const strictly = scan(bytes, { nestingMax: 15, itemsMax: 1 << 24 })
    const whole = reader.failure === undefined && reader.position === bytes.length
    holds(strictly !== undefined || whole, 'the strict one takes what the other refuses')
    const once = rewritten(bytes)
    if (once !== undefined) {
      const twice = rewritten(once)
      holds(twice !== undefined && sameBytes(once, twice), 'a value changes when written again')
    }
    return reader.failure ?? 'whole'
  },
}
