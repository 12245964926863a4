/**
 * Memory of transactions, used again where nobody reads it. Fresh memory costs a page fault every
 * 4 KiB, which for a megabyte takes longer than writing it to the log.
 */
import { releaseBytes } from '@kith/interface'
import type { Clock } from '@kith/interface'
import { groupCapacity } from './transaction.ts'
import type { TransactionBuffers } from './transaction.ts'

/** Buffers of own groups that are kept, and the largest. */
const pooledBuffersMax = 4
const pooledBytesMax = 512 * 1024
/** The largest that is kept of other members' batches, and for how long. */
const spareBytesMax = 8 * 1024 * 1024
const spareMs = 1_000

export class BufferPool implements TransactionBuffers {
  readonly #clock: Clock
  readonly #own: ArrayBuffer[] = []
  #spare: ArrayBuffer | undefined
  #forget: (() => void) | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  own(): ArrayBuffer {
    return this.#own.pop() ?? new ArrayBuffer(groupCapacity)
  }

  foreign(bytes: number): Uint8Array {
    const spare = this.#spare
    if (spare === undefined || spare.byteLength < bytes) {
      // Not zeroed: only what is written is ever read. Of no pool, because it is given away whole.
      return Buffer.allocUnsafeSlow(bytes)
    }
    this.#spare = undefined
    this.#forget?.()
    return new Uint8Array(spare)
  }

  /** Takes back the buffers of a transaction that nobody reads. */
  takeBack([own, foreign]: readonly ArrayBuffer[]): void {
    if (own !== undefined) {
      const kept = own.byteLength > 0 && own.byteLength <= pooledBytesMax
      if (kept && this.#own.length < pooledBuffersMax) this.#own.push(own)
      else releaseBytes(new Uint8Array(own))
    }
    if (foreign === undefined) return
    if (foreign.byteLength > spareBytesMax) {
      releaseBytes(new Uint8Array(foreign))
      return
    }
    this.#forget?.()
    this.#spare = foreign
    this.#forget = this.#clock.after(spareMs, () => {
      if (this.#spare !== undefined) releaseBytes(new Uint8Array(this.#spare))
      this.#spare = undefined
    })
  }
}
