/**
 * What one commit adds to a segment (LOG-60): a header, a table of what changed, and the batches
 * back to back. Numbers count frames without a gap, so that nothing left over from an earlier life
 * can pass for the next one.
 *
 * | at | size | meaning |
 * | -: | ---: | --- |
 * | 0 | 4 | `KFRM` |
 * | 4 | 4 | CRC-32 of everything behind it up to the end of the table |
 * | 8 | 6 | number of the frame |
 * | 14 | 6 | every frame below this number was on the medium when this one was written |
 * | 20 | 4 | bytes of the table |
 * | 24 | 4 | bytes of all batches |
 * | 28 | 4 | CRC-32 of all batches |
 * | 32 | 4 | salt: the first bytes of the store's id |
 * | 36 | 4 | zero |
 */
import type { Digests, StoreChanges } from '@kith/interface'
import { readU32, readU48, writeU32, writeU48 } from '../../wire/bytes.ts'
import { headCrcOf } from './reference.ts'
import { decodeTable, encodeTable } from './table.ts'
import type { FrameBatch, FrameTable } from './table.ts'

export const FRAME_HEADER_BYTES = 40
/** Far above what a transaction can hold; a header that speaks of more is none. */
export const FRAME_BYTES_MAX: number = 1024 * 1024 * 1024

const magic = 0x4d52464b
const at = { magic: 0, crc: 4, number: 8, flushed: 14, table: 20, body: 24, bodyCrc: 28, salt: 32 }

export interface FrameMark {
  readonly number: number
  readonly flushed: number
  readonly salt: number
}

export interface FrameHeader extends FrameMark {
  readonly tableLength: number
  readonly bodyLength: number
}

export interface EncodedFrame {
  /** Header, table and batches, in order. */
  readonly parts: readonly Uint8Array[]
  readonly length: number
  /** Where the batches begin. */
  readonly body: number
  readonly batches: readonly FrameBatch[]
}

/** `hidden`: the batches are there, and belong to nobody yet. */
export function encodeFrame(
  mark: FrameMark,
  { batches = [], ...changes }: StoreChanges,
  digests: Digests,
  hidden = false,
): EncodedFrame {
  let bodyLength = 0
  let bodyCrc = 0
  const placed = batches.map(({ bytes, ...row }): FrameBatch => {
    const start = bodyLength
    bodyLength += bytes.length
    bodyCrc = digests.crc32(bytes, bodyCrc)
    return { ...row, start, length: bytes.length, headCrc: headCrcOf(bytes, digests) }
  })
  const table = encodeTable(hidden ? { batches: [], changes: {} } : { batches: placed, changes })
  const head = new Uint8Array(FRAME_HEADER_BYTES + table.length)
  head.set(table, FRAME_HEADER_BYTES)
  writeU32(head, at.magic, magic)
  writeU48(head, at.number, mark.number)
  writeU48(head, at.flushed, mark.flushed)
  writeU32(head, at.table, table.length)
  writeU32(head, at.body, bodyLength)
  writeU32(head, at.bodyCrc, bodyCrc)
  writeU32(head, at.salt, mark.salt)
  writeU32(head, at.crc, digests.crc32(head.subarray(at.number)))
  return {
    parts: [head, ...batches.map(({ bytes }) => bytes)],
    length: head.length + bodyLength,
    body: head.length,
    batches: placed,
  }
}

/** What a header claims; undefined where it cannot be one of this store. Nothing is checked yet. */
export function readFrameHeader(bytes: Uint8Array, salt: number): FrameHeader | undefined {
  if (bytes.length < FRAME_HEADER_BYTES || readU32(bytes, at.magic) !== magic) return undefined
  const header: FrameHeader = {
    number: readU48(bytes, at.number),
    flushed: readU48(bytes, at.flushed),
    salt: readU32(bytes, at.salt),
    tableLength: readU32(bytes, at.table),
    bodyLength: readU32(bytes, at.body),
  }
  const whole = frameLength(header) <= FRAME_BYTES_MAX && readU32(bytes, 36) === 0
  return whole && header.salt === salt ? header : undefined
}

export function frameLength({ tableLength, bodyLength }: FrameHeader): number {
  return FRAME_HEADER_BYTES + tableLength + bodyLength
}

/** The table where header and table are whole, undefined otherwise; never throws. */
export function readFrameTable(
  bytes: Uint8Array,
  header: FrameHeader,
  digests: Digests,
): FrameTable | undefined {
  const end = FRAME_HEADER_BYTES + header.tableLength
  if (bytes.length < end) return undefined
  if (digests.crc32(bytes.subarray(at.number, end)) !== readU32(bytes, at.crc)) return undefined
  return decodeTable(bytes.subarray(FRAME_HEADER_BYTES, end))
}

/** True where the batches of a frame whose header is whole are so too. */
export function frameBodyWhole(bytes: Uint8Array, header: FrameHeader, digests: Digests): boolean {
  const begin = FRAME_HEADER_BYTES + header.tableLength
  const body = bytes.subarray(begin, begin + header.bodyLength)
  return body.length === header.bodyLength && digests.crc32(body) === readU32(bytes, at.bodyCrc)
}
