/**
 * Memory of answers, given back once every batch in it was applied (REP-47). An answer is megabytes
 * outside of the heap around a few objects in it: left to the collector, a catch-up would have it
 * run twenty times a second, which takes about as much of a processor as storing what comes.
 */
import type { PullResponse } from '@kith/interface'

interface Lease {
  /** Batches of the answer that somebody may still look at. */
  left: number
  readonly release: () => void
}

export class Leases {
  /** Batches that are dropped and never applied stay out of the count: those are collected. */
  readonly #held = new WeakMap<Uint8Array, Lease>()

  hold({ batches, release }: PullResponse): void {
    if (release === undefined) return
    const lease: Lease = { left: batches.length, release }
    for (const batch of batches) this.#held.set(batch, lease)
  }

  /** Nobody looks at these any more. */
  done(batches: readonly Uint8Array[]): void {
    for (const batch of batches) {
      const lease = this.#held.get(batch)
      if (lease === undefined) continue
      this.#held.delete(batch)
      lease.left -= 1
      if (lease.left === 0) lease.release()
    }
  }
}
