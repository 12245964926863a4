/** Reads one frame after another, from a place on, over the ends of segments. */
import type { Digests, StoredBatch } from '@kith/interface'
import { readU32 } from '../../wire/bytes.ts'
import {
  FRAME_HEADER_BYTES,
  frameBodyWhole,
  frameLength,
  readFrameHeader,
  readFrameTable,
} from './frame.ts'
import type { FrameHeader } from './frame.ts'
import { SEGMENT_HEADER_BYTES } from './files.ts'
import type { SegmentFiles } from './files.ts'
import { encodeReference } from './reference.ts'
import type { FramePlace, Stamp } from './stamp.ts'
import type { FrameTable } from './table.ts'

export interface Frame {
  readonly header: FrameHeader
  readonly table: FrameTable
  readonly place: FramePlace
  /** Where the frame behind it begins. */
  readonly next: FramePlace
}

export type FrameRead =
  | { readonly kind: 'frame'; readonly frame: Frame; readonly bytes: Uint8Array }
  /** Nothing was ever written there. */
  | { readonly kind: 'end' }
  /** Something is there, and it is no whole frame. */
  | { readonly kind: 'broken' }

export function saltOf({ storeId }: Stamp): number {
  return readU32(storeId, 0)
}

/** The frame at `place`, or that at the front of the next segment where this one ends there. */
export function readFrame(
  files: SegmentFiles,
  place: FramePlace,
  salt: number,
  digests: Digests,
): FrameRead {
  const read = readFrameHere(files, place, salt, digests)
  if (read.kind === 'frame' || place.number === place.segment) return read
  // A segment bears the number of its first frame.
  if (!files.has(place.number)) return read
  const onward = { ...place, segment: place.number, byteAt: SEGMENT_HEADER_BYTES }
  const next = readFrameHere(files, onward, salt, digests)
  return next.kind === 'end' ? read : next
}

function readFrameHere(
  files: SegmentFiles,
  place: FramePlace,
  salt: number,
  digests: Digests,
): FrameRead {
  const { segment, byteAt, number } = place
  const head = files.read(segment, byteAt, FRAME_HEADER_BYTES)
  if (head === undefined || head.every((byte) => byte === 0)) return { kind: 'end' }
  const header = readFrameHeader(head, salt)
  if (header?.number !== number) return { kind: 'broken' }
  const length = frameLength(header)
  if (byteAt + length > files.size(segment)) return { kind: 'broken' }
  const bytes = files.read(segment, byteAt, length)
  if (bytes?.length !== length) return { kind: 'broken' }
  const table = readFrameTable(bytes, header, digests)
  if (table === undefined || !frameBodyWhole(bytes, header, digests)) return { kind: 'broken' }
  const next = { segment, byteAt: byteAt + length, number: number + 1 }
  return { kind: 'frame', frame: { header, table, place, next }, bytes }
}

/** Batches of a frame as rows of the index: a reference in the place of the bytes. */
export function indexRows({ table, header, place }: Omit<Frame, 'next'>): readonly StoredBatch[] {
  const body = place.byteAt + FRAME_HEADER_BYTES + header.tableLength
  const { segment } = place
  return table.batches.map(({ start, length, headCrc, ...row }) => ({
    ...row,
    bytes: encodeReference({ segment, byteAt: body + start, length, headCrc }),
  }))
}
