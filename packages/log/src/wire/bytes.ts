/**
 * Little-endian integers and varints over plain byte arrays. Readers never pass the end they are
 * given.
 */

export function writeU32(target: Uint8Array, at: number, value: number): void {
  target[at] = value
  target[at + 1] = value >>> 8
  target[at + 2] = value >>> 16
  target[at + 3] = value >>> 24
}

export function readU32(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] ?? 0) |
      ((bytes[at + 1] ?? 0) << 8) |
      ((bytes[at + 2] ?? 0) << 16) |
      ((bytes[at + 3] ?? 0) << 24)) >>>
    0
  )
}

export function writeU48(target: Uint8Array, at: number, value: number): void {
  const high = Math.floor(value / 2 ** 32)
  writeU32(target, at, value >>> 0)
  target[at + 4] = high
  target[at + 5] = high >>> 8
}

export function readU48(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at) + ((bytes[at + 4] ?? 0) | ((bytes[at + 5] ?? 0) << 8)) * 2 ** 32
}

export function varintLength(value: number): number {
  if (value < 0x80) return 1
  if (value < 0x4000) return 2
  if (value < 0x20_0000) return 3
  return value < 0x1000_0000 ? 4 : 5
}

/** Writes a value below 2^32 in seven-bit groups, lowest first, and returns the end. */
export function writeVarint(target: Uint8Array, at: number, value: number): number {
  let rest = value
  let end = at
  while (rest >= 0x80) {
    target[end] = (rest & 0x7f) | 0x80
    rest = Math.floor(rest / 128)
    end += 1
  }
  target[end] = rest
  return end + 1
}

/** A place in bytes that only moves forward; `failed` stays set once anything did not fit. */
export interface ByteReader {
  readonly bytes: Uint8Array
  at: number
  readonly end: number
  failed: boolean
}

/** A value below 2^32 in its shortest form; anything else fails the reader and gives 0. */
export function readVarint(reader: ByteReader): number {
  let value = 0
  let scale = 1
  for (let length = 0; length < 5 && reader.at < reader.end; length += 1) {
    const byte = reader.bytes[reader.at] ?? 0
    reader.at += 1
    value += (byte & 0x7f) * scale
    scale *= 128
    if (byte < 0x80) {
      if ((byte === 0 && length > 0) || value >= 2 ** 32) break
      return value
    }
  }
  reader.failed = true
  return 0
}

/** A view of the next `length` bytes; fails the reader, and is empty, where they are not there. */
export function readSlice(reader: ByteReader, length: number): Uint8Array {
  if (length > reader.end - reader.at) {
    reader.failed = true
    return reader.bytes.subarray(0, 0)
  }
  const slice = reader.bytes.subarray(reader.at, reader.at + length)
  reader.at += length
  return slice
}

/** A copy of its own memory; `slice` of a Node.js Buffer would be a view. */
export function copyBytes(bytes: Uint8Array, from = 0, to: number = bytes.length): Uint8Array {
  const copy = new Uint8Array(to - from)
  copy.set(bytes.subarray(from, to))
  return copy
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let index = 0; index < a.length; index += 1) if (a[index] !== b[index]) return false
  return true
}
