/** Reading and writing of bounded binary fields. Nothing here throws on what the network sent. */

// The core compiles without ambient types; both classes exist wherever Kith runs.
declare class TextEncoder {
  encode(text: string): Uint8Array
}
declare class TextDecoder {
  constructor(label: string, options: { fatal: boolean; ignoreBOM: boolean })
  decode(bytes: Uint8Array): string
}

/** Both keep nothing from one call to the next. */
const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
/** Shorter texts of plain characters are written faster one by one than through the encoder. */
const plainCharactersMax = 64

export interface ByteWriter {
  readonly length: number
  byte(value: number): void
  /** A whole number from 0 to 2^53 - 1 in 7-bit groups, lowest first. */
  varint(value: number): void
  /** 4 bytes, highest first. */
  uint32(value: number): void
  /** UTF-8 with its length in front. */
  text(value: string): void
  /** Bytes with their length in front. */
  block(bytes: Uint8Array): void
  /** Bytes as they are. */
  raw(bytes: Uint8Array): void
  finish(): Uint8Array
}

export function utf8(text: string): Uint8Array {
  return encoder.encode(text)
}

/** Length of `text` in UTF-8. */
export function utf8Length(text: string): number {
  for (let index = 0; index < text.length; index += 1) {
    if (text.charCodeAt(index) > 127) return utf8(text).length
  }
  return text.length
}

/** The longest beginning of `text` that takes at most `bytesMax` bytes and splits no character. */
export function cutText(text: string, bytesMax: number): string {
  // No character takes more than 4 bytes for 2 code units, so a short text needs no encoding.
  if (text.length * 3 <= bytesMax) return text
  const bytes = utf8(text.slice(0, bytesMax))
  if (bytes.length <= bytesMax && text.length <= bytesMax) return text
  let end = Math.min(bytesMax, bytes.length)
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1
  return new TextDecoder('utf-8', { fatal: false, ignoreBOM: true }).decode(bytes.subarray(0, end))
}

export function createWriter(): ByteWriter {
  let buffer = new Uint8Array(256)
  let length = 0
  const room = (count: number): void => {
    if (length + count <= buffer.length) return
    const larger = new Uint8Array(Math.max(buffer.length * 2, length + count))
    larger.set(buffer.subarray(0, length))
    buffer = larger
  }
  /** Writes a short text of characters below 128; false, and nothing written, for others. */
  const plain = (value: string): boolean => {
    const count = value.length
    if (count > plainCharactersMax) return false
    room(count + 1)
    for (let index = 0; index < count; index += 1) {
      const code = value.charCodeAt(index)
      if (code > 127) return false
      buffer[length + 1 + index] = code
    }
    buffer[length] = count
    length += count + 1
    return true
  }
  const writer: ByteWriter = {
    get length() {
      return length
    },
    byte(value) {
      room(1)
      buffer[length] = value
      length += 1
    },
    varint(value) {
      let rest = value
      while (rest > 127) {
        writer.byte((rest % 128) + 128)
        rest = Math.floor(rest / 128)
      }
      writer.byte(rest)
    },
    uint32(value) {
      for (const shift of [24, 16, 8, 0]) writer.byte((value >>> shift) & 255)
    },
    text(value) {
      if (!plain(value)) writer.block(utf8(value))
    },
    block(bytes) {
      writer.varint(bytes.length)
      writer.raw(bytes)
    },
    raw(bytes) {
      room(bytes.length)
      buffer.set(bytes, length)
      length += bytes.length
    },
    finish: () => buffer.slice(0, length),
  }
  return writer
}

/** Takes what a writer takes, and only counts; `finish` gives nothing. */
export function createMeter(): ByteWriter {
  let length = 0
  const varint = (value: number): void => {
    length += 1
    for (let rest = value; rest > 127; rest = Math.floor(rest / 128)) length += 1
  }
  return {
    get length() {
      return length
    },
    byte() {
      length += 1
    },
    varint,
    uint32() {
      length += 4
    },
    text(value) {
      const bytes = utf8Length(value)
      varint(bytes)
      length += bytes
    },
    block(bytes) {
      varint(bytes.length)
      length += bytes.length
    },
    raw(bytes) {
      length += bytes.length
    },
    finish: () => new Uint8Array(0),
  }
}

/**
 * Reads fields one after another. The first thing that does not fit sets `failed`; from then on
 * every read gives an empty value, so that a decoder checks once at its end and in its loops.
 */
export interface ByteReader {
  readonly failed: boolean
  readonly left: number
  fail(): void
  byte(): number
  /** A varint of at most `max`. */
  varint(max: number): number
  uint32(): number
  /** Well-formed UTF-8 of at most `bytesMax` bytes. */
  text(bytesMax: number): string
  /** A view, not a copy. */
  block(bytesMax: number): Uint8Array
}

export function createReader(bytes: Uint8Array): ByteReader {
  let at = 0
  let failed = false
  const fail = (): void => {
    failed = true
  }
  const byte = (): number => {
    if (failed || at >= bytes.length) {
      fail()
      return 0
    }
    const value = bytes[at] ?? 0
    at += 1
    return value
  }
  const varint = (max: number): number => {
    let value = 0
    let unit = 1
    for (let count = 0; count < 8; count += 1) {
      const group = byte()
      value += (group & 127) * unit
      unit *= 128
      if (group < 128) {
        // A last group of zero after others would give one number two spellings.
        if (value > max || (group === 0 && count > 0)) fail()
        return failed ? 0 : value
      }
    }
    fail()
    return 0
  }
  const block = (bytesMax: number): Uint8Array => {
    const length = varint(bytesMax)
    if (failed || length > bytes.length - at) {
      fail()
      return new Uint8Array(0)
    }
    at += length
    return bytes.subarray(at - length, at)
  }
  return {
    get failed() {
      return failed
    },
    get left() {
      return bytes.length - at
    },
    fail,
    byte,
    varint,
    uint32: () => ((byte() << 24) | (byte() << 16) | (byte() << 8) | byte()) >>> 0,
    text(bytesMax) {
      const encoded = block(bytesMax)
      if (failed) return ''
      try {
        return decoder.decode(encoded)
      } catch {
        fail()
        return ''
      }
    },
    block,
  }
}
