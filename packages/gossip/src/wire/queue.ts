/**
 * Bytes that arrive in pieces and are read from the front. Grows with what arrived, never ahead.
 */

export class ByteQueue {
  #bytes: Uint8Array = new Uint8Array(0)
  #start = 0
  #end = 0

  get length(): number {
    return this.#end - this.#start
  }

  /** Everything unread. Valid until the next call. */
  view(): Uint8Array {
    return this.#bytes.subarray(this.#start, this.#end)
  }

  push(bytes: Uint8Array): void {
    if (this.#end + bytes.length > this.#bytes.length) this.#makeRoom(bytes.length)
    this.#bytes.set(bytes, this.#end)
    this.#end += bytes.length
  }

  consume(length: number): void {
    this.#start += length
  }

  #makeRoom(extra: number): void {
    const unread = this.view()
    const room = unread.length + extra
    // Half of the buffer may stay read bytes; beyond that it is cheaper to move than to grow.
    const fits = room <= this.#bytes.length / 2
    const bytes = fits ? this.#bytes : new Uint8Array(Math.max(room, this.#bytes.length * 2, 1024))
    bytes.set(unread)
    this.#bytes = bytes
    this.#start = 0
    this.#end = unread.length
  }
}
