/**
 * Which instance a key belongs to (REG-17): rendezvous hashing, by slot rather than by key, so that
 * who owns a slot is worked out once for as long as the instances stay the same.
 */
import type { ServiceInstance } from '@kith/interface'

/**
 * The same number at every member and for every number of instances, or keys would move. With 1,000
 * instances one has 65 slots, and in two cases of three its share is within an eighth of that.
 */
export const slotCount = 65_536
/** Below that asking all of them is as fast as a table, which has 128 KiB. */
const tableInstancesMin = 16
/** An entry of a table is an index and one more, in 16 bits. */
const tableInstancesMax = 65_534

/** Instances that stay as they are, and the owners of those slots that were asked for. */
export class Placing {
  readonly #instances: readonly ServiceInstance[]
  readonly #hashes: Uint32Array
  /** By slot the index of its owner and one more; 0 where nobody asked yet. */
  readonly #owners: Uint16Array | undefined

  constructor(instances: readonly ServiceInstance[]) {
    this.#instances = instances
    this.#hashes = hashesOf(instances)
    const { length } = instances
    if (length >= tableInstancesMin && length <= tableInstancesMax) {
      this.#owners = new Uint16Array(slotCount)
    }
  }

  of(key: string): ServiceInstance | undefined {
    const slot = slotOf(key)
    const known = this.#owners?.[slot] ?? 0
    if (known > 0) return this.#instances[known - 1]
    const index = ownerOf(slot, this.#instances, this.#hashes)
    if (this.#owners !== undefined) this.#owners[slot] = index + 1
    return this.#instances[index]
  }
}

/** The slot of a key: from 0 up to `slotCount`. */
function slotOf(key: string): number {
  return scramble(hash(key, 0x811c_9dc5)) % slotCount
}

/** The index of whoever scores highest; when it goes, only its own slots have another owner. */
function ownerOf(slot: number, instances: readonly ServiceInstance[], hashes: Uint32Array): number {
  const seed = scramble(slot + 1)
  let best = -1
  let bestScore = -1
  for (let index = 0; index < instances.length; index += 1) {
    const first = hashes[2 * index] ?? 0
    const second = hashes[2 * index + 1] ?? 0
    // Two hashes, or two instances that meet in one would be as one for every slot.
    const score = scramble(scramble(first ^ seed) + second)
    if (score < bestScore) continue
    if (score === bestScore && !comesBefore(instances[index], instances[best])) continue
    best = index
    bestScore = score
  }
  return best
}

function hashesOf(instances: readonly ServiceInstance[]): Uint32Array {
  const hashes = new Uint32Array(2 * instances.length)
  for (const [index, { id, member }] of instances.entries()) {
    hashes[2 * index] = hash(id, hash(member, 0x811c_9dc5))
    hashes[2 * index + 1] = hash(member, hash(id, 0x9e37_79b9))
  }
  return hashes
}

/** Between equals the order of the list must not decide: others may have another. */
function comesBefore(a: ServiceInstance | undefined, b: ServiceInstance | undefined): boolean {
  if (a === undefined || b === undefined) return a !== undefined
  return a.member === b.member ? a.id < b.id : a.member < b.member
}

/** FNV-1a over the code units of `text`, and an end mark. */
function hash(text: string, seed: number): number {
  let value = seed
  for (let index = 0; index < text.length; index += 1) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x0100_0193)
  }
  return Math.imul(value ^ 0x2f, 0x0100_0193)
}

/** FNV leaves the last characters in the low bits; every bit is to have its say in the order. */
function scramble(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x85eb_ca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}
