/**
 * What a fuzz target is. A target names one decoder, where to begin, how its bytes are best bent,
 * and what must hold for every input.
 */
import type { Random } from '@kith/interface'

/** Bends `bytes` in a way that only this format knows; `other` is another input of the corpus. */
export type Mutator = (bytes: Uint8Array, random: Random, other: Uint8Array) => Uint8Array

export interface FuzzTarget {
  /** Well-formed inputs, and those near an edge. */
  readonly seeds: () => readonly Uint8Array[]
  /** Words of the format, put into inputs. */
  readonly words: readonly Uint8Array[]
  readonly mutators: readonly Mutator[]
  /** Longer inputs are cut. */
  readonly bytesMax: number
  /**
   * Reads the input and checks what must hold, and says in one word how it ended. Whatever it needs
   * by chance it takes from `random`, which depends on the input alone: an input replays itself.
   */
  readonly check: (bytes: Uint8Array, random: Random) => string
  /** Ends that must be met, or the target tests less than it says. */
  readonly ends: readonly string[]
}

export function holds(condition: boolean, otherwise: string): asserts condition {
  if (!condition) throw new Error(otherwise)
}

/** Whether both are the same bytes. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

export function ascii(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text))
}

/** Calls `push` with the bytes in pieces: all at once, one by one, or of sizes between. */
export function inPieces(
  random: Random,
  bytes: Uint8Array,
  push: (piece: Uint8Array) => void,
): void {
  const size = [bytes.length, 1, 3, 7, 64][random.below(5)] ?? 1
  // Thousands of pieces show nothing that dozens do not.
  const piecesMax = random.below(16) === 0 ? 256 : 24
  const least = Math.max(1, size, Math.ceil(bytes.length / piecesMax))
  for (let at = 0; at < bytes.length; at += least) push(bytes.slice(at, at + least))
}

/** Small mostly: a few large ones show what many would, and cost as much as thousands. */
export function sizeOfBomb(random: Random, bytesMax: number): number {
  return random.below(random.below(512) === 0 ? bytesMax : 700)
}
