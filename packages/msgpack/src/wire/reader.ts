/**
 * Reads msgpack that nobody vouches for, in any dialect of go-msgpack. The reader accepts what
 * go-msgpack accepts, fails without throwing, and never believes a count: a container's
 * elements must fit into the bytes that are there before anything is made of them.
 */
import { decodeText, repairText } from './text.ts'

/** `short` may become whole with more bytes; `malformed` never will. */
export type ReadFailure = 'short' | 'malformed'

const nestingMax = 16
const emptyBytes = new Uint8Array(0)

type Head = 'nil' | 'bool' | 'int' | 'float' | 'raw' | 'array' | 'map' | 'ext' | 'failed'

/**
 * Reads values one after another. After the first failure every read returns a zero value and
 * moves no further, so callers check `failure` once, at the end.
 */
export class MsgpackReader {
  readonly #bytes: Uint8Array
  readonly #end: number
  #position: number
  #depth = 0
  /** Values announced by open containers and not read yet; each takes at least one byte. */
  #pending = 0
  /** Length of the raw, count of the container, or value of a small int, of the last head. */
  #number = 0
  #big: bigint | undefined
  #failure: ReadFailure | undefined
  #needed = 0
  #textInvalid = false

  constructor(bytes: Uint8Array, start = 0) {
    this.#bytes = bytes
    this.#position = start
    this.#end = bytes.length
  }

  get position(): number {
    return this.#position
  }

  get failure(): ReadFailure | undefined {
    return this.#failure
  }

  /** After `short`: how many bytes the buffer must hold at the least before another try can do. */
  get needed(): number {
    return this.#needed
  }

  /** Some `text()` read so far was not UTF-8. Structure is not affected. */
  get textInvalid(): boolean {
    return this.#textInvalid
  }

  /** A struct: a map by field name, an array in order of declaration, or nil for all zero. */
  struct(fields: readonly string[], field: (name: string) => void): void {
    const head = this.#head()
    if (head === 'nil' || head === 'failed') return
    if (head === 'map') return this.#pairs(this.#number, (key) => field(key ?? ''))
    if (head !== 'array') return this.#malformed()
    this.#elements(this.#number, (index) => {
      const name = fields[index]
      return name === undefined ? this.skip() : field(name)
    })
  }

  /** A map with data as keys; `entry` must read one value. Keys that are not text are undefined. */
  entries(entry: (key: string | undefined) => void): void {
    const head = this.#head()
    if (head === 'nil' || head === 'failed') return
    if (head !== 'map') return this.#malformed()
    this.#pairs(this.#number, entry)
  }

  /** Calls `element` for each element, which must read one value. Nil is the empty array. */
  array(element: (index: number) => void): void {
    const head = this.#head()
    if (head === 'nil' || head === 'failed') return
    if (head !== 'array') return this.#malformed()
    this.#elements(this.#number, element)
  }

  /** True and consumed when the next value is nil. */
  nil(): boolean {
    if (this.#failure !== undefined || this.#bytes[this.#position] !== 0xc0) return false
    this.#head()
    return true
  }

  text(): string {
    const text = this.textOrInvalid()
    if (text === undefined) this.#textInvalid = true
    return text ?? ''
  }

  /** Undefined for text that is not UTF-8, for callers who leave out one entry of many. */
  textOrInvalid(): string | undefined {
    const head = this.#head()
    if (head === 'nil' || head === 'failed') return ''
    if (head !== 'raw') return (this.#malformed(), '')
    const start = this.#take(this.#number)
    return decodeText(this.#bytes, start, this.#position)
  }

  /** Text that is only shown: what is not UTF-8 in it is repaired. */
  shownText(): string {
    const head = this.#head()
    if (head === 'nil' || head === 'failed') return ''
    if (head !== 'raw') return (this.#malformed(), '')
    const start = this.#take(this.#number)
    return repairText(this.#bytes, start, this.#position)
  }

  /** A copy, so that a small field does not keep a large packet alive. */
  bytes(): Uint8Array {
    const head = this.#head()
    if (head === 'nil' || head === 'failed') return emptyBytes
    if (head === 'raw') {
      const start = this.#take(this.#number)
      return this.#bytes.slice(start, this.#position)
    }
    if (head !== 'array') return (this.#malformed(), emptyBytes)
    const bytes = new Uint8Array(this.#number)
    this.#elements(bytes.length, (index) => void (bytes[index] = this.uint(0xff)))
    return this.#failure === undefined ? bytes : emptyBytes
  }

  /** An integer from 0 to `max`, which is at most 2^53 - 1. */
  uint(max: number): number {
    const head = this.#head()
    if (head === 'nil' || head === 'failed') return 0
    const value = this.#big ?? this.#number
    if (head === 'int' && value >= 0 && value <= max) return Number(value)
    this.#malformed()
    return 0
  }

  u64(): bigint {
    const value = this.integer()
    if (value < 0n) this.#malformed()
    return value < 0n ? 0n : value
  }

  /** A signed 64-bit integer, as the wire has it for lengths and timeouts. */
  i64(): bigint {
    const value = this.integer()
    if (value >= 1n << 63n) this.#malformed()
    return value >= 1n << 63n ? 0n : value
  }

  integer(): bigint {
    const head = this.#head()
    if (head === 'nil' || head === 'failed') return 0n
    if (head !== 'int') return (this.#malformed(), 0n)
    return this.#big ?? BigInt(this.#number)
  }

  /** A float of either width, or an integer, which Go takes for a float as well. */
  float(): number {
    const head = this.#head()
    if (head === 'nil' || head === 'failed') return 0
    if (head === 'int') return Number(this.#big ?? this.#number)
    if (head !== 'float') return (this.#malformed(), 0)
    const { buffer, byteOffset } = this.#bytes
    const view = new DataView(buffer, byteOffset + this.#position - this.#headLength + 1)
    return this.#headLength === 9 ? view.getFloat64(0) : view.getFloat32(0)
  }

  bool(): boolean {
    const head = this.#head()
    if (head === 'nil' || head === 'failed') return false
    const byte = this.#bytes[this.#position - 1] ?? 0
    // Only the one-byte forms of 0 and 1 pass for a bool.
    const small = head === 'int' && this.#big === undefined && byte === this.#number && byte <= 1
    if (head !== 'bool' && !(small && this.#headLength === 1)) this.#malformed()
    return byte === 0xc3 || byte === 1
  }

  skip(): void {
    const head = this.#head()
    if (head === 'raw' || head === 'ext') this.#take(this.#number)
    if (head === 'array') this.#elements(this.#number, () => this.skip())
    if (head === 'map') this.#elements(this.#number * 2, () => this.skip())
  }

  #headLength = 0

  #pairs(count: number, entry: (key: string | undefined) => void): void {
    this.#nested(() => {
      for (let left = count; left > 0 && this.#failure === undefined; left -= 1) {
        // Old Go members skip an entry whose key is nil.
        if (this.nil()) this.skip()
        else if (this.#head() === 'raw') {
          const start = this.#take(this.#number)
          entry(decodeText(this.#bytes, start, this.#position))
        } else this.#malformed()
      }
    })
  }

  #elements(count: number, element: (index: number) => void): void {
    this.#nested(() => {
      for (let index = 0; index < count && this.#failure === undefined; index += 1) element(index)
    })
  }

  #nested(read: () => void): void {
    if (this.#depth >= nestingMax) return this.#malformed()
    this.#depth += 1
    read()
    this.#depth -= 1
  }

  #head(): Head {
    if (this.#failure !== undefined) return 'failed'
    if (this.#pending > 0) this.#pending -= 1
    const start = this.#position
    const byte = this.#bytes[this.#take(1)] ?? 0
    if (this.#failure !== undefined) return 'failed'
    const head = this.#decodeHead(byte)
    this.#headLength = this.#position - start
    // What a raw or a container announces must be there before anything is made of it.
    const elements = head === 'array' ? this.#number : head === 'map' ? this.#number * 2 : 0
    const length = head === 'raw' || head === 'ext' ? this.#number : elements
    this.#require(this.#position + length)
    this.#pending += elements
    return this.#failure === undefined ? head : 'failed'
  }

  #decodeHead(byte: number): Head {
    this.#big = undefined
    if (byte < 0x80) return this.#with('int', byte)
    if (byte < 0x90) return this.#with('map', byte & 0x0f)
    if (byte < 0xa0) return this.#with('array', byte & 0x0f)
    if (byte < 0xc0) return this.#with('raw', byte & 0x1f)
    if (byte >= 0xe0) return this.#with('int', byte - 0x100)
    switch (byte) {
      case 0xc0:
        return 'nil'
      case 0xc2:
      case 0xc3:
        return 'bool'
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return this.#with('raw', this.#unsigned(1 << (byte - 0xc4)))
      case 0xc7:
      case 0xc8:
      case 0xc9:
        return this.#with('ext', this.#unsigned(1 << (byte - 0xc7)) + 1)
      case 0xca:
      case 0xcb:
        this.#take(byte === 0xca ? 4 : 8)
        return 'float'
      default:
        return this.#decodeWideHead(byte)
    }
  }

  #decodeWideHead(byte: number): Head {
    if (byte === 0xc1) return (this.#malformed(), 'failed')
    if (byte === 0xcf || byte === 0xd3) {
      const value = (BigInt(this.#unsigned(4)) << 32n) | BigInt(this.#unsigned(4))
      if (this.#failure !== undefined) return 'failed'
      this.#big = byte === 0xcf ? value : BigInt.asIntN(64, value)
      return 'int'
    }
    if (byte < 0xcf) return this.#with('int', this.#unsigned(1 << (byte - 0xcc)))
    if (byte < 0xd3) return this.#with('int', this.#signed(1 << (byte - 0xd0)))
    if (byte < 0xd9) return this.#with('ext', (1 << (byte - 0xd4)) + 1)
    if (byte < 0xdc) return this.#with('raw', this.#unsigned(1 << (byte - 0xd9)))
    if (byte < 0xde) return this.#with('array', this.#unsigned(2 << (byte - 0xdc)))
    return this.#with('map', this.#unsigned(2 << (byte - 0xde)))
  }

  #with(head: Head, value: number): Head {
    this.#number = value
    return head
  }

  #unsigned(width: number): number {
    let at = this.#take(width)
    if (this.#failure !== undefined) return 0
    let value = 0
    for (const end = at + width; at < end; at += 1) value = value * 256 + (this.#bytes[at] ?? 0)
    return value
  }

  #signed(width: number): number {
    const value = this.#unsigned(width)
    return value >= 2 ** (width * 8 - 1) ? value - 2 ** (width * 8) : value
  }

  /** Moves past `length` bytes and returns where they began. */
  #take(length: number): number {
    const start = this.#position
    this.#require(start + length)
    if (this.#failure === undefined) this.#position = start + length
    return start
  }

  #require(end: number): void {
    if (this.#failure !== undefined || end <= this.#end) return
    this.#failure = 'short'
    this.#needed = end + this.#pending
  }

  /** For callers that find a value beyond a bound of theirs. */
  reject(): void {
    this.#malformed()
  }

  #malformed(): void {
    // A shortage found first stays: with more bytes the same value may still prove well formed.
    this.#failure ??= 'malformed'
  }
}
