/**
 * Bytes for the wire, good and bad, written by hand: the catalogue must not lean on the codec it
 * attacks. Only what memberlist and Serf of old send: msgpack without str8, bin and ext.
 */
import { crc32 } from 'node:zlib'

export type Value =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly Value[]
  | { readonly [field: string]: Value }

const encoder = new TextEncoder()

export function join(...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]))
}

function sized(length: number, fix: number, fixMax: number, wide: number): number[] {
  if (length <= fixMax) return [fix | length]
  if (length < 0x1_0000) return [wide, length >> 8, length & 0xff]
  return [wide + 1, ...uint32(length)]
}

export function uint32(value: number): number[] {
  return [(value >>> 24) & 0xff, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff]
}

/** msgpack; objects become maps with their own keys, in order. */
export function pack(value: Value): Uint8Array {
  if (value === null) return Uint8Array.of(0xc0)
  if (typeof value === 'boolean') return Uint8Array.of(value ? 0xc3 : 0xc2)
  if (typeof value === 'number' || typeof value === 'bigint') return packInt(BigInt(value))
  if (typeof value === 'string' || value instanceof Uint8Array) {
    const bytes = typeof value === 'string' ? encoder.encode(value) : value
    return join(sized(bytes.length, 0xa0, 31, 0xda), bytes)
  }
  if (Array.isArray(value)) {
    return join(sized(value.length, 0x90, 15, 0xdc), ...value.map((item) => pack(item as Value)))
  }
  const fields = Object.entries(value)
  const body = fields.flatMap(([name, inner]) => [pack(name), pack(inner)])
  return join(sized(fields.length, 0x80, 15, 0xde), ...body)
}

function packInt(value: bigint): Uint8Array {
  if (value >= 0n && value < 128n) return Uint8Array.of(Number(value))
  const bytes = new Uint8Array(9)
  bytes[0] = value < 0n ? 0xd3 : 0xcf
  new DataView(bytes.buffer).setBigUint64(1, BigInt.asUintN(64, value))
  return bytes
}

/** A message of memberlist: type byte and struct. */
export function message(type: number, fields: Value): Uint8Array {
  return join([type], pack(fields))
}

/** A message of Serf inside memberlist's user message. */
export function serf(type: number, fields: Value): Uint8Array {
  return join([8, type], pack(fields))
}

export function compound(parts: readonly Uint8Array[], count: number = parts.length): Uint8Array {
  const lengths = parts.flatMap((part) => [(part.length >> 8) & 0xff, part.length & 0xff])
  return join([7, count & 0xff], lengths, ...parts)
}

export function withCrc(packet: Uint8Array, damage = 0): Uint8Array {
  return join([12], uint32((crc32(packet) ^ damage) >>> 0), packet)
}

export function compressed(body: Uint8Array, algorithm = 0): Uint8Array {
  return join([9], pack({ Algo: algorithm, Buf: body }))
}

/** LZW as Go writes it, least significant bit first, literals of 8 bits. */
export function lzw(input: Uint8Array): Uint8Array {
  const out: number[] = []
  /** The code of each string of one known code and one byte more; 0 where there is none. */
  const table = new Uint16Array(4096 * 256)
  let [bits, held, width, high, overflow, code] = [0, 0, 9, 257, 512, -1]
  const emit = (next: number): void => {
    bits |= next << held
    for (held += width; held >= 8; held -= 8) {
      out.push(bits & 0xff)
      bits >>>= 8
    }
  }
  const advance = (): boolean => {
    high += 1
    if (high === overflow) {
      width += 1
      overflow *= 2
    }
    if (high !== 4095) return true
    emit(256)
    ;[width, high, overflow] = [9, 257, 512]
    table.fill(0)
    return false
  }
  emit(256)
  for (const byte of input) {
    const key = code * 256 + byte
    const known = code < 0 ? byte + 1 : (table[key] ?? 0)
    if (known !== 0) {
      code = code < 0 ? byte : known
      continue
    }
    emit(code)
    if (advance()) table[key] = high
    code = byte
  }
  if (code >= 0) {
    emit(code)
    advance()
  }
  emit(257)
  if (held > 0) out.push(bits & 0xff)
  return Uint8Array.from(out)
}

/** `depth` arrays of one, one inside another. */
export function deepArrays(depth: number): Uint8Array {
  return new Uint8Array(depth + 1).fill(0x91).fill(0xc0, depth)
}
