/**
 * Bytes that arrive in pieces and are read from the front. Grows with what arrived, and ahead of it
 * only for something large of which a good part is there: growing by doubling would leave more
 * behind than it holds. What it does not need any more it frees at once.
 */
import { releaseBytes } from '@kith/interface'

/** What has to be there of something large before all of its room is taken at once. */
const earnestBytes = 1_048_576

export class ByteQueue {
  #bytes: Uint8Array = new Uint8Array(0)
  #start = 0
  #end = 0

  get length(): number {
    return this.#end - this.#start
  }

  /** What this costs: what is unread, or all the room that was taken for something large. */
  get heldBytes(): number {
    return this.#bytes.length >= earnestBytes ? this.#bytes.length : this.length
  }

  /** Everything unread. Valid until the next call. */
  view(): Uint8Array {
    return this.#bytes.subarray(this.#start, this.#end)
  }

  /** `wanted` is how many unread bytes the reader waits for, as far as it knows. */
  push(bytes: Uint8Array, wanted = 0): void {
    if (this.#end + bytes.length > this.#bytes.length) this.#makeRoom(bytes.length, wanted)
    this.#bytes.set(bytes, this.#end)
    this.#end += bytes.length
  }

  consume(length: number): void {
    this.#start += length
  }

  /** The first bytes, for the caller to keep in a buffer of their own: a copy where need be. */
  take(length: number): Uint8Array {
    const part = this.view().subarray(0, length)
    if (part.length < this.#bytes.length) {
      this.consume(part.length)
      return part.slice()
    }
    this.#bytes = new Uint8Array(0)
    this.#start = 0
    this.#end = 0
    return part
  }

  /** Drops everything unread and frees its memory at once; what was taken stays. */
  release(): void {
    releaseBytes(this.#bytes)
    this.#bytes = new Uint8Array(0)
    this.#start = 0
    this.#end = 0
  }

  #makeRoom(extra: number, wanted: number): void {
    const unread = this.view()
    const { length } = unread
    const room = length + extra
    // Half of the buffer may stay read bytes; beyond that it is cheaper to move than to grow.
    const fits = room <= this.#bytes.length / 2
    const bytes = fits ? this.#bytes : new Uint8Array(this.#size(room, wanted))
    bytes.set(unread)
    if (!fits) releaseBytes(this.#bytes)
    this.#bytes = bytes
    this.#start = 0
    this.#end = length
  }

  #size(room: number, wanted: number): number {
    const doubled = Math.max(room, this.#bytes.length * 2, 1024)
    // With more there than it waits for, the reader goes on at once and little stays.
    if (wanted <= room) return room >= earnestBytes ? room : doubled
    return room >= earnestBytes ? wanted : Math.min(doubled, Math.max(wanted, 1024))
  }
}
