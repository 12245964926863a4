/**
 * Of each origin the range of sequences that a log stored without a gap up to its end, and how such
 * ranges are written down (ADR 30).
 */
import { fromHex, invariant, toHex } from '@kith/interface'
import type { OriginId, StoredHole, StoredOrigin } from '@kith/interface'
import { readU48, writeU48 } from '../wire/bytes.ts'

/** `[from, next)` was stored, all of it; what retention dropped since counts with it. */
export interface StoredRange {
  readonly from: number
  readonly next: number
}

/** A byte that names the form, then of each origin: its id of 16 bytes, `from` u48, `next` u48. */
const form = 1
const entryBytes = 28
const sequenceMax = 2 ** 48 - 1

export function isRange({ from, next }: StoredRange): boolean {
  return Number.isInteger(from) && Number.isInteger(next) && inOrder(from, next)
}

function inOrder(from: number, next: number): boolean {
  return from >= 1 && from <= next && next <= sequenceMax
}

export function encodeRanges(ranges: ReadonlyMap<OriginId, StoredRange>): Uint8Array {
  const bytes = new Uint8Array(1 + ranges.size * entryBytes)
  bytes[0] = form
  let at = 1
  for (const [origin, { from, next }] of ranges) {
    const id = fromHex(origin)
    invariant(id?.length === 16, 'an origin id is 16 bytes')
    bytes.set(id, at)
    writeU48(bytes, at + 16, from)
    writeU48(bytes, at + 22, next)
    at += entryBytes
  }
  return bytes
}

/**
 * Nothing where the form is another one. Earlier rows, of 22 bytes an origin, say nothing of
 * `from`: they are of even length, so that they are never taken for these.
 */
export function decodeRanges(bytes: Uint8Array): Map<OriginId, StoredRange> {
  const ranges = new Map<OriginId, StoredRange>()
  if (bytes[0] !== form || bytes.length % entryBytes !== 1) return ranges
  for (let at = 1; at < bytes.length; at += entryBytes) {
    const range = { from: readU48(bytes, at + 16), next: readU48(bytes, at + 22) }
    if (isRange(range)) ranges.set(toHex(bytes.subarray(at, at + 16)), range)
  }
  return ranges
}

/** From where on an origin is held without a gap. */
export function heldFrom({ floor }: StoredOrigin, holes: readonly StoredHole[] = []): number {
  return Math.max(floor, holes.at(-1)?.to ?? 1)
}

/**
 * From where on an origin was stored without a gap: as it was noted when retention began to drop of
 * it, else by what its row adds up to. Where that leaves open whether what is below the floor was
 * ever stored here, it counts as never stored.
 */
export function storedFrom(
  row: StoredOrigin,
  holes: readonly StoredHole[] = [],
  noted?: number,
): number {
  const stored = noted ?? (row.floor - 1 === row.dropped ? 1 : row.floor)
  return Math.max(stored, holes.at(-1)?.to ?? 1)
}

/** What is said with no word of from where on is left out: it may be of records never stored. */
export function rangesOf(
  nexts: ReadonlyMap<OriginId, number>,
  froms: ReadonlyMap<OriginId, number> | undefined,
): Map<OriginId, StoredRange> {
  const ranges = new Map<OriginId, StoredRange>()
  for (const [origin, next] of nexts) {
    const from = froms?.get(origin)
    if (from !== undefined) ranges.set(origin, { from, next })
  }
  return ranges
}
