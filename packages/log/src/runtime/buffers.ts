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
/**
 * Of other members' batches: how many are kept, and for how long after the last use. More than are
 * under way at once would never be used.
 */
const sparesMax = 4
const spareBytesMax = 8 * 1024 * 1024
const spareMs = 1_000
/** Sizes are rounded up to it, so that transactions of about one size share. */
const spareStepBytes = 256 * 1024

export class BufferPool implements TransactionBuffers {
  readonly #clock: Clock
  readonly #own: ArrayBuffer[] = []
  readonly #spares: ArrayBuffer[] = []
  #forget: (() => void) | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  own(): ArrayBuffer {
    return this.#own.pop() ?? new ArrayBuffer(groupCapacity)
  }

  foreign(bytes: number): Uint8Array {
    const at = this.#spares.findIndex(({ byteLength }) => byteLength >= bytes)
    const [spare] = at < 0 ? [] : this.#spares.splice(at, 1)
    if (spare !== undefined) return new Uint8Array(spare)
    const rounded = Math.ceil(bytes / spareStepBytes) * spareStepBytes
    // Not zeroed: only what is written is ever read. Of no pool, because it is given away whole.
    return Buffer.allocUnsafeSlow(bytes < spareStepBytes ? bytes : rounded)
  }

  /** Takes back the buffers of a transaction that nobody reads. */
  takeBack([own, foreign]: readonly ArrayBuffer[]): void {
    if (own !== undefined) {
      const kept = own.byteLength > 0 && own.byteLength <= pooledBytesMax
      if (kept && this.#own.length < pooledBuffersMax) this.#own.push(own)
      else releaseBytes(new Uint8Array(own))
    }
    if (foreign === undefined) return
    if (foreign.byteLength > spareBytesMax || this.#spares.length === sparesMax) {
      releaseBytes(new Uint8Array(foreign))
      return
    }
    this.#spares.push(foreign)
    this.#forget?.()
    this.#forget = this.#clock.after(spareMs, () => {
      for (const spare of this.#spares.splice(0)) releaseBytes(new Uint8Array(spare))
    })
  }
}
