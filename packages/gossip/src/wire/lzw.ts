/**
 * LZW as Go's compress/lzw writes it: least significant bit first, literal width 8, clear 256,
 * end 257, widths 9 to 12. Compressed bytes are equal to Go's; decompression has a bound.
 */
import { releaseBytes } from '@kith/interface'

const clearCode = 256
const endCode = 257
const widthMin = 9
const widthMax = 12
const codeMax = 4095
const tableSize = 1 << 14
const noCode = 0xffff

/** Compresses any length, the empty one included. */
export function compressLzw(input: Uint8Array): Uint8Array {
  const writer = new CodeWriter(input.length)
  writer.write(clearCode)
  let code = noCode
  for (const byte of input) {
    if (code === noCode) {
      code = byte
      continue
    }
    const known = writer.find(code, byte)
    if (known !== noCode) {
      code = known
      continue
    }
    writer.write(code)
    writer.learn(code, byte)
    code = byte
  }
  if (code !== noCode) {
    writer.write(code)
    writer.advance()
  }
  writer.write(endCode)
  return writer.finish()
}

class CodeWriter {
  #bytes: Uint8Array
  #length = 0
  #bits = 0
  #bitCount = 0
  #width = widthMin
  #last = endCode
  /** Open addressing: key (code, byte) + 1 in the upper bits, the entry's code in the lower 12. */
  readonly #table = new Int32Array(tableSize)

  constructor(inputLength: number) {
    this.#bytes = new Uint8Array(64 + (inputLength >> 1))
  }

  find(code: number, byte: number): number {
    const key = (code << 8) | byte
    for (let slot = hash(key); ; slot = (slot + 1) & (tableSize - 1)) {
      const entry = this.#table[slot] ?? 0
      if (entry === 0) return noCode
      if (entry >>> 12 === key) return entry & codeMax
    }
  }

  /** After a code was written: the string that it and `byte` form gets the next code. */
  learn(code: number, byte: number): void {
    if (!this.advance()) return
    const key = (code << 8) | byte
    let slot = hash(key)
    while (this.#table[slot] !== 0) slot = (slot + 1) & (tableSize - 1)
    this.#table[slot] = (key << 12) | this.#last
  }

  /** Takes the next code; false when the table was full and was cleared instead. */
  advance(): boolean {
    this.#last += 1
    if (this.#last === codeMax) {
      this.write(clearCode)
      this.#width = widthMin
      this.#last = endCode
      this.#table.fill(0)
      return false
    }
    if (this.#last === 1 << this.#width) this.#width += 1
    return true
  }

  write(code: number): void {
    this.#bits |= code << this.#bitCount
    this.#bitCount += this.#width
    while (this.#bitCount >= 8) this.#flushByte()
  }

  finish(): Uint8Array {
    if (this.#bitCount > 0) this.#flushByte()
    return this.#bytes.slice(0, this.#length)
  }

  #flushByte(): void {
    if (this.#length === this.#bytes.length) {
      const larger = new Uint8Array(this.#bytes.length * 2)
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    this.#bytes[this.#length] = this.#bits & 0xff
    this.#length += 1
    this.#bits >>>= 8
    this.#bitCount = Math.max(0, this.#bitCount - 8)
  }
}

function hash(key: number): number {
  return (Math.imul(key, 0x9e37_79b1) >>> 18) & (tableSize - 1)
}

export type LzwState = 'more' | 'done' | 'malformed'

const codes = codeMax + 1
/** Prefixes of 16 bits, suffixes, and one string. */
const tableBytes = codes * 4

/**
 * Decompresses in pieces: `read` fills a block of the caller's and can be called until `state`
 * leaves `more`. Memory is the code table alone, whatever the input claims to hold; `close` frees
 * it, and nothing is read afterwards.
 */
export class LzwReader {
  readonly #input: Uint8Array
  #position = 0
  #bits = 0
  #bitCount = 0
  #width = widthMin
  #last = noCode
  #high = endCode
  #state: LzwState = 'more'
  readonly #tables = new Uint8Array(tableBytes)
  readonly #prefix = new Uint16Array(this.#tables.buffer, 0, codes)
  readonly #suffix = new Uint8Array(this.#tables.buffer, codes * 2, codes)
  /** One decoded string, backwards; what did not fit into the last block waits here. */
  readonly #string = new Uint8Array(this.#tables.buffer, codes * 3, codes)
  #stringLength = 0

  constructor(input: Uint8Array) {
    this.#input = input
  }

  get state(): LzwState {
    return this.#state
  }

  /** How many bytes of `block` were filled: all of them unless the end or a fault was met. */
  read(block: Uint8Array): number {
    let filled = 0
    for (;;) {
      while (this.#stringLength > 0 && filled < block.length) {
        this.#stringLength -= 1
        block[filled] = this.#string[this.#stringLength] ?? 0
        filled += 1
      }
      if (filled === block.length || this.#state !== 'more') return filled
      this.#decode(this.#nextCode())
    }
  }

  close(): void {
    releaseBytes(this.#tables)
  }

  #nextCode(): number {
    while (this.#bitCount < this.#width) {
      const byte = this.#input[this.#position]
      if (byte === undefined) return noCode
      this.#position += 1
      this.#bits |= byte << this.#bitCount
      this.#bitCount += 8
    }
    const code = this.#bits & ((1 << this.#width) - 1)
    this.#bits >>>= this.#width
    this.#bitCount -= this.#width
    return code
  }

  #decode(code: number): void {
    if (code === endCode) this.#state = 'done'
    else if (code === clearCode) {
      this.#width = widthMin
      this.#high = endCode
      this.#last = noCode
    } else if (code > this.#high) this.#state = 'malformed'
    else this.#expand(code)
  }

  #expand(code: number): void {
    // Not in the table yet: the last string and its own first byte again. In a full table, which
    // has no last string, the highest code is an ordinary one.
    const unknown = code === this.#high && this.#last !== noCode
    const first = this.#unroll(unknown ? this.#last : code)
    if (unknown) {
      this.#string.copyWithin(1, 0, this.#stringLength)
      this.#string[0] = first
      this.#stringLength += 1
    }
    if (this.#last !== noCode) {
      this.#prefix[this.#high] = this.#last
      this.#suffix[this.#high] = first
    }
    this.#last = code
    this.#high += 1
    if (this.#high < 1 << this.#width) return
    if (this.#width < widthMax) this.#width += 1
    else {
      // A full table learns nothing more until it is cleared.
      this.#last = noCode
      this.#high -= 1
    }
  }

  /** Puts the string of a known code into `#string` and returns its first byte. */
  #unroll(code: number): number {
    let rest = code
    while (rest > endCode) {
      this.#string[this.#stringLength] = this.#suffix[rest] ?? 0
      this.#stringLength += 1
      rest = this.#prefix[rest] ?? 0
    }
    this.#string[this.#stringLength] = rest
    this.#stringLength += 1
    return rest
  }
}

export type LzwResult = Uint8Array | 'malformed' | 'tooLarge'

/**
 * Everything at once, for packets; the result is a buffer of its own. Input that ends without an
 * end code is malformed.
 */
export function decompressLzw(input: Uint8Array, bytesMax: number): LzwResult {
  const reader = new LzwReader(input)
  const scratch = new Scratch(Math.min(bytesMax + 1, 64 + input.length * 4))
  const result = readAll(reader, scratch, bytesMax)
  reader.close()
  releaseBytes(scratch.bytes)
  return result
}

class Scratch {
  bytes: Uint8Array

  constructor(length: number) {
    this.bytes = new Uint8Array(length)
  }

  grow(length: number): void {
    const old = this.bytes
    this.bytes = new Uint8Array(length)
    this.bytes.set(old)
    releaseBytes(old)
  }
}

function readAll(reader: LzwReader, scratch: Scratch, bytesMax: number): LzwResult {
  let length = 0
  for (;;) {
    length += reader.read(scratch.bytes.subarray(length))
    if (length > bytesMax) return 'tooLarge'
    if (reader.state === 'malformed') return 'malformed'
    // A block that is exactly full may have its end still unread.
    const full = length === scratch.bytes.length
    if (reader.state === 'done' && !full) return scratch.bytes.slice(0, length)
    scratch.grow(Math.min(bytesMax + 1, scratch.bytes.length * 2))
  }
}
