/** Writes msgpack as Serf's members and tools read it, in one of three dialects. */
import { encodeText } from './text.ts'

/**
 * How values are written; every dialect is read by every reader of go-msgpack, with one exception.
 * - `old`: go-msgpack 0.5 on the gossip wire: raw for text and bytes, signed integers as unsigned.
 * - `new`: go-msgpack 2.x there: signed integers above 127 with a sign.
 * - `ext`: the RPC port: text and bytes are told apart, integers as in `old`. Old readers drop a
 *   connection that has bytes where they want text.
 */
export type Dialect = 'old' | 'new' | 'ext'

/** Room from this size on is freed as soon as it was outgrown, below it collecting is cheaper. */
const freedBytesMin = 4096

/** Bytes of room for most messages, from the start. */
const firstBytes = 256
const nothing = new Uint8Array(0)

/**
 * Room that writers take turns with: to make it costs more than to write most messages. It belongs
 * to whoever encodes many of them; what a writer returns is a copy.
 */
export interface WriterRoom {
  spare: Uint8Array<ArrayBuffer> | undefined
}

/** Writes values one after another. Grows as needed. */
export class MsgpackWriter {
  readonly #dialect: Dialect
  readonly #room: WriterRoom | undefined
  #bytes: Uint8Array<ArrayBuffer>
  #length = 0

  constructor(dialect: Dialect = 'old', room?: WriterRoom) {
    this.#dialect = dialect
    this.#room = room
    this.#bytes = room?.spare ?? new Uint8Array(firstBytes)
    if (room !== undefined) room.spare = undefined
  }

  /** Everything written so far, as a copy; the writer is empty afterwards. */
  finish(): Uint8Array {
    const whole = this.#bytes.slice(0, this.#length)
    this.#length = 0
    const kept = this.#bytes.length > 0 && this.#bytes.length < freedBytesMin
    if (kept && this.#room !== undefined) this.#room.spare = this.#bytes
    this.#replace(nothing)
    return whole
  }

  /** One byte outside of msgpack: a type byte. */
  byte(value: number): this {
    const at = this.#grow(1)
    this.#bytes[at] = value
    return this
  }

  /** Bytes outside of msgpack: a body that is already encoded. */
  append(bytes: Uint8Array): this {
    const at = this.#grow(bytes.length)
    this.#bytes.set(bytes, at)
    return this
  }

  nil(): this {
    return this.byte(0xc0)
  }

  bool(value: boolean): this {
    return this.byte(value ? 0xc3 : 0xc2)
  }

  map(count: number): this {
    return this.#container(count, 0x80, 0xde)
  }

  array(count: number): this {
    return this.#container(count, 0x90, 0xdc)
  }

  text(text: string): this {
    if (text.length < 32 && this.#shortAscii(text)) return this
    return this.#raw(encodeText(text), this.#dialect === 'ext')
  }

  bytes(bytes: Uint8Array): this {
    if (this.#dialect !== 'ext') return this.#raw(bytes, false)
    const length = bytes.length
    if (length <= 0xff) this.byte(0xc4).byte(length)
    else if (length <= 0xffff) this.byte(0xc5).#u16(length)
    else this.byte(0xc6).#u32(length)
    return this.append(bytes)
  }

  /** As Go writes a byte slice that is nil when it has nothing. */
  bytesOrNil(bytes: Uint8Array): this {
    return bytes.length === 0 ? this.nil() : this.bytes(bytes)
  }

  uint(value: number | bigint): this {
    if (value < 0x80) return this.byte(Number(value))
    if (value <= 0xff) return this.byte(0xcc).byte(Number(value))
    if (value <= 0xffff) return this.byte(0xcd).#u16(Number(value))
    if (value <= 0xffff_ffff) return this.byte(0xce).#u32(Number(value))
    return this.byte(0xcf).#u64(BigInt(value))
  }

  /** A field that is signed in Go: the one place where the dialects differ. */
  int(value: number | bigint): this {
    if (value >= 0 && (this.#dialect !== 'new' || value < 0x80)) return this.uint(value)
    if (value >= -0x8000 && value <= 0x7fff) return this.byte(0xd1).#u16(Number(value) & 0xffff)
    if (value >= -0x8000_0000 && value <= 0x7fff_ffff) {
      return this.byte(0xd2).#u32(Number(value) >>> 0)
    }
    return this.byte(0xd3).#u64(BigInt.asUintN(64, BigInt(value)))
  }

  float(value: number): this {
    const at = this.byte(0xcb).#grow(8)
    new DataView(this.#bytes.buffer).setFloat64(at, value)
    return this
  }

  #raw(bytes: Uint8Array, short: boolean): this {
    const length = bytes.length
    if (length < 32) this.byte(0xa0 | length)
    else if (short && length <= 0xff) this.byte(0xd9).byte(length)
    else if (length <= 0xffff) this.byte(0xda).#u16(length)
    else this.byte(0xdb).#u32(length)
    return this.append(bytes)
  }

  #container(count: number, fixed: number, wide: number): this {
    if (count < 16) return this.byte(fixed | count)
    if (count <= 0xffff) return this.byte(wide).#u16(count)
    return this.byte(wide + 1).#u32(count)
  }

  // Field names and member names are short ASCII nearly always, and the platform's encoder costs
  // more a call than this loop.
  #shortAscii(text: string): boolean {
    const start = this.#length
    const at = this.#grow(text.length + 1)
    this.#bytes[at] = 0xa0 | text.length
    for (let index = 0; index < text.length; index += 1) {
      const code = text.charCodeAt(index)
      if (code >= 0x80) {
        this.#length = start
        return false
      }
      this.#bytes[at + 1 + index] = code
    }
    return true
  }

  #u16(value: number): this {
    const at = this.#grow(2)
    this.#bytes[at] = value >>> 8
    this.#bytes[at + 1] = value
    return this
  }

  #u32(value: number): this {
    const at = this.#grow(4)
    this.#bytes[at] = value >>> 24
    this.#bytes[at + 1] = value >>> 16
    this.#bytes[at + 2] = value >>> 8
    this.#bytes[at + 3] = value
    return this
  }

  #u64(value: bigint): this {
    return this.#u32(Number(value >> 32n)).#u32(Number(value & 0xffff_ffffn))
  }

  #grow(extra: number): number {
    const at = this.#length
    this.#length = at + extra
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length))
      larger.set(this.#bytes.subarray(0, at))
      this.#replace(larger)
    }
    return at
  }

  #replace(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#bytes.length >= freedBytesMin) this.#bytes.buffer.transfer(0)
    this.#bytes = bytes
  }
}
