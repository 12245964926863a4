/**
 * What happened on the network: a digest of all of it, and listeners for those who want to read it.
 */
import { crc32 } from 'node:zlib'
import type { Address, Unsubscribe } from '@kith/interface'

export type NetworkEventKind =
  | 'deliver'
  | 'lose'
  | 'partition'
  | 'oversize'
  | 'refuse'
  | 'swallow'
  | 'overflow'
  | 'request'
  | 'reply'
  | 'fail'
  | 'pause'
  | 'resume'
  | 'crash'
  | 'attach'

export interface NetworkEvent {
  /** Virtual milliseconds. */
  readonly at: number
  readonly kind: NetworkEventKind
  readonly from: Address
  readonly to: Address
  /** Empty where the kind carries nothing. Must not be changed. */
  readonly bytes: Uint8Array
}

const noBytes = new Uint8Array(0)
const kinds: Readonly<Record<NetworkEventKind, number>> = {
  deliver: 1,
  lose: 2,
  partition: 3,
  oversize: 4,
  refuse: 5,
  swallow: 6,
  overflow: 7,
  request: 8,
  reply: 9,
  fail: 10,
  pause: 11,
  resume: 12,
  crash: 13,
  attach: 14,
}

/** A place on the network, as far as a trace needs to know it. */
export interface Place {
  readonly id: number
  readonly address: Address
}

export class Trace {
  #bytesDigest = 0
  #orderDigest = 0x811c9dc5
  readonly #listeners = new Set<(event: NetworkEvent) => void>()

  /** 16 hex digits over everything so far: times, places, kinds and bytes, in order. */
  digest(): string {
    const hex = (value: number): string => (value >>> 0).toString(16).padStart(8, '0')
    return hex(this.#orderDigest) + hex(this.#bytesDigest)
  }

  tap(listener: (event: NetworkEvent) => void): Unsubscribe {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  add(
    at: number,
    kind: NetworkEventKind,
    from: Place,
    to: Place,
    bytes: Uint8Array = noBytes,
  ): void {
    this.#bytesDigest = crc32(bytes, this.#bytesDigest)
    // Thousandths of a millisecond tell apart all times that jitter can make differ in practice.
    this.#mix(Math.round(at * 1000) | 0)
    this.#mix(kinds[kind] + from.id * 16 + to.id * 65_536)
    if (this.#listeners.size === 0) return
    for (const listener of this.#listeners) {
      listener({ at, kind, from: from.address, to: to.address, bytes })
    }
  }

  #mix(value: number): void {
    this.#orderDigest = Math.imul(this.#orderDigest ^ value, 0x01000193)
    this.#orderDigest ^= this.#orderDigest >>> 15
  }
}
