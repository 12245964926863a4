/**
 * Where a batch lies. The index keeps a row for each batch, with this in the place of its bytes, so
 * that the row's checksum covers it.
 */
import type { Digests } from '@kith/interface'
import { HEADER_BYTES } from '../../wire/batch.ts'
import { readU32, readU48, writeU32, writeU48 } from '../../wire/bytes.ts'

export interface BatchPlace {
  /** Names the segment: the number of its first frame. */
  readonly segment: number
  readonly byteAt: number
  readonly length: number
  /** CRC-32 of its first 64 bytes, which the row's checksum covers in other stores. */
  readonly headCrc: number
}

/** As long as what a row's checksum covers of the bytes. */
const REFERENCE_BYTES = HEADER_BYTES
const magic = 0x4645_524b

export function encodeReference({ segment, byteAt, length, headCrc }: BatchPlace): Uint8Array {
  const bytes = new Uint8Array(REFERENCE_BYTES)
  writeU32(bytes, 0, magic)
  writeU48(bytes, 4, segment)
  writeU48(bytes, 10, byteAt)
  writeU32(bytes, 16, length)
  writeU32(bytes, 20, headCrc)
  return bytes
}

export function readReference(bytes: Uint8Array): BatchPlace | undefined {
  if (bytes.length !== REFERENCE_BYTES || readU32(bytes, 0) !== magic) return undefined
  return {
    segment: readU48(bytes, 4),
    byteAt: readU48(bytes, 10),
    length: readU32(bytes, 16),
    headCrc: readU32(bytes, 20),
  }
}

export function headCrcOf(bytes: Uint8Array, digests: Digests): number {
  return digests.crc32(bytes.subarray(0, HEADER_BYTES))
}
