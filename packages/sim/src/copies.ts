/**
 * Copies of packets, cut from slabs: an allocation for each packet costs more than all the rest of
 * the network together.
 */
const slabBytes = 256 * 1024

export class Copies {
  #slab = new Uint8Array(0)
  #used = 0

  /** A copy that belongs to whoever gets it. Its `buffer` is shared with other copies. */
  of(bytes: Uint8Array): Uint8Array {
    const { length } = bytes
    if (length > slabBytes / 16) return bytes.slice()
    if (this.#used + length > this.#slab.length) {
      this.#slab = new Uint8Array(slabBytes)
      this.#used = 0
    }
    const copy = this.#slab.subarray(this.#used, this.#used + length)
    this.#used += length
    copy.set(bytes)
    return copy
  }
}
