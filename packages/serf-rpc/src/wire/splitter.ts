/**
 * Cuts the bytes of one connection into msgpack values, without building any of them. Serf's RPC
 * has no length in front of a message: where one ends is known only by reading it. Each byte is
 * looked at once, however small the pieces are that it came in.
 */

/** What one value may cost; checked on what it announces, before it is there. */
export interface FrameLimits {
  readonly bytesMax: number
  /** Values in it, containers, keys and the value itself included. */
  readonly valuesMax: number
  readonly nestingMax: number
}

/** Why no further value will come: a limit by its name, or bytes that are no msgpack. */
export type FrameFailure = 'bytesMax' | 'valuesMax' | 'nestingMax' | 'malformed'

const nothing: Uint8Array = new Uint8Array(0)

/** Bytes of the head: the type, and a length or a number behind it. */
function headBytes(byte: number): number {
  if (byte < 0xc4 || byte >= 0xe0) return 1
  if (byte < 0xca) return 1 + (1 << ((byte - 0xc4) % 3))
  if (byte < 0xcc) return byte === 0xca ? 5 : 9
  if (byte < 0xd4) return 1 + (1 << ((byte - 0xcc) & 3))
  if (byte < 0xd9) return 1
  if (byte < 0xdc) return 1 + (1 << (byte - 0xd9))
  return 1 + (2 << ((byte - 0xdc) & 1))
}

export class FrameSplitter {
  #bytes: Uint8Array = nothing
  #start = 0
  #end = 0
  /** Where the next head of the value at `#start` stands; beyond `#end` inside text or bytes. */
  #next = 0
  /** Values that each open container still expects. */
  #open: number[] = []
  /** Sum of `#open`: each value takes at least one byte. */
  #expected = 0
  #values = 0
  #failure: FrameFailure | undefined

  /** Bytes that belong to no complete value yet, or to values not asked for. */
  get heldBytes(): number {
    return this.#end - this.#start
  }

  get failure(): FrameFailure | undefined {
    return this.#failure
  }

  /** Takes the bytes over. */
  push(bytes: Uint8Array): void {
    const held = this.heldBytes
    if (held === 0) {
      this.#move(bytes, bytes.length)
      return
    }
    if (this.#end + bytes.length > this.#bytes.length) {
      const room = new Uint8Array(Math.max(held + bytes.length, held * 2))
      room.set(this.#bytes.subarray(this.#start, this.#end))
      this.#move(room, held)
    }
    this.#bytes.set(bytes, this.#end)
    this.#end += bytes.length
  }

  /** The next complete value, valid until the next call; undefined until there is one. */
  next(limits: FrameLimits): Uint8Array | undefined {
    while (this.#failure === undefined) {
      if (this.#values > 0 && this.#expected === 0 && this.#next <= this.#end) return this.#cut()
      if (this.#values > 0 && this.#expected === 0) return undefined
      if (this.#next >= this.#end) return undefined
      const byte = this.#bytes[this.#next] ?? 0
      const head = headBytes(byte)
      if (this.#next + head > this.#end) return undefined
      this.#read(byte, limits)
    }
    return undefined
  }

  #cut(): Uint8Array {
    const frame = this.#bytes.subarray(this.#start, this.#next)
    this.#start = this.#next
    this.#values = 0
    if (this.#start === this.#end) this.#move(nothing, 0)
    return frame
  }

  #move(bytes: Uint8Array, length: number): void {
    this.#next -= this.#start
    this.#bytes = bytes
    this.#start = 0
    this.#end = length
  }

  #read(byte: number, { bytesMax, valuesMax, nestingMax }: FrameLimits): void {
    const elements = this.#containerElements(byte)
    const payload = elements === undefined ? this.#payloadBytes(byte) : 0
    if (byte === 0xc1) this.#failure = 'malformed'
    this.#next += headBytes(byte) + payload
    this.#values += 1
    this.#place(elements ?? 0)
    if (this.#next - this.#start + this.#expected > bytesMax) this.#failure ??= 'bytesMax'
    if (this.#values + this.#expected > valuesMax) this.#failure ??= 'valuesMax'
    if (this.#open.length > nestingMax) this.#failure ??= 'nestingMax'
  }

  /** One value of the innermost container is there; a container that is full stays until here. */
  #place(elements: number): void {
    const last = this.#open.length - 1
    if (last >= 0) {
      this.#open[last] = (this.#open[last] ?? 0) - 1
      this.#expected -= 1
    }
    if (elements > 0) {
      this.#open.push(elements)
      this.#expected += elements
    } else while (this.#open.at(-1) === 0) this.#open.pop()
  }

  #containerElements(byte: number): number | undefined {
    if (byte >= 0x80 && byte < 0x90) return (byte & 0x0f) * 2
    if (byte >= 0x90 && byte < 0xa0) return byte & 0x0f
    if (byte === 0xdc || byte === 0xdd) return this.#number(headBytes(byte) - 1)
    if (byte === 0xde || byte === 0xdf) return this.#number(headBytes(byte) - 1) * 2
    return undefined
  }

  /** Bytes behind the head: text, bytes, or an extension, whose type byte counts. */
  #payloadBytes(byte: number): number {
    if (byte >= 0xa0 && byte < 0xc0) return byte & 0x1f
    if (byte >= 0xc4 && byte <= 0xc6) return this.#number(headBytes(byte) - 1)
    if (byte >= 0xc7 && byte <= 0xc9) return this.#number(headBytes(byte) - 1) + 1
    if (byte >= 0xd4 && byte <= 0xd8) return (1 << (byte - 0xd4)) + 1
    if (byte >= 0xd9 && byte <= 0xdb) return this.#number(headBytes(byte) - 1)
    return 0
  }

  #number(width: number): number {
    let value = 0
    for (let at = this.#next + 1; at <= this.#next + width; at += 1) {
      value = value * 256 + (this.#bytes[at] ?? 0)
    }
    return value
  }
}
