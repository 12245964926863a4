/** A whole batch in the place of a damaged one, in its segment (LOG-54). */
import type { Digests, StoredBatch } from '@kith/interface'
import { LogError } from '../../errors.ts'
import { differingBytes, damageBytesMax } from '../sqlite/repair.ts'
import { listSegments, SEGMENT_HEADER_BYTES } from './files.ts'
import { FRAME_HEADER_BYTES, frameLength, readFrameHeader, readFrameTable } from './frame.ts'
import type { SegmentReader } from './reader.ts'
import { encodeReference, headCrcOf, readReference } from './reference.ts'
import type { BatchPlace } from './reference.ts'

export interface PreparedRepair {
  /** For the index. */
  readonly row: StoredBatch
  readonly place: BatchPlace
  readonly bytes: Uint8Array
}

/** Throws `ERR_LOG_REPAIR`, and has changed nothing. */
export function prepareRepairs(
  reader: SegmentReader,
  batches: readonly StoredBatch[],
  salt: number,
  digests: Digests,
): readonly PreparedRepair[] {
  return batches.map((batch) => {
    const place = placeOf(reader, batch, salt, digests)
    if (place === undefined) throw refused(batch, 'no frame says where it lies')
    if (place.length !== batch.bytes.length)
      throw refused(batch, 'what is there has another length')
    const found = reader.files.read(place.segment, place.byteAt, place.length)
    if (found?.length !== place.length) throw refused(batch, 'its segment is gone or cut short')
    const differing = differingBytes(found, batch.bytes)
    if (differing > damageBytesMax) {
      throw refused(batch, `what is there differs over ${differing} bytes`)
    }
    const headCrc = headCrcOf(batch.bytes, digests)
    const row = { ...batch, bytes: encodeReference({ ...place, headCrc }) }
    return { row, place, bytes: batch.bytes }
  })
}

/** By its row, or, where that is damaged, by the frame that brought it. */
function placeOf(
  reader: SegmentReader,
  batch: StoredBatch,
  salt: number,
  digests: Digests,
): BatchPlace | undefined {
  const row = reader.indexed(batch.offset)
  if (row?.ok === true && row.batch.offset === batch.offset) return readReference(row.batch.bytes)
  const before = batch.offset === 0 ? undefined : reader.indexed(batch.offset - 1)
  const known = before?.ok === true ? readReference(before.batch.bytes)?.segment : undefined
  const segments = listSegments(reader.files.directory)
  // Right behind the batch before it, unless that one was the last of its segment.
  const likely = segments.filter((segment) => segment >= (known ?? 0)).slice(0, segmentsMax)
  for (const segment of likely) {
    const place = findInSegment(reader, segment, batch, salt, digests)
    if (place !== undefined) return place
  }
  return undefined
}

/** Looking through a segment takes a read a frame. */
const segmentsMax = 4

function findInSegment(
  { files }: SegmentReader,
  segment: number,
  batch: StoredBatch,
  salt: number,
  digests: Digests,
): BatchPlace | undefined {
  let byteAt = SEGMENT_HEADER_BYTES
  for (;;) {
    const head = files.read(segment, byteAt, FRAME_HEADER_BYTES)
    const header = head === undefined ? undefined : readFrameHeader(head, salt)
    if (header === undefined || byteAt + frameLength(header) > files.size(segment)) return undefined
    const body = FRAME_HEADER_BYTES + header.tableLength
    const bytes = files.read(segment, byteAt, body)
    const table = bytes === undefined ? undefined : readFrameTable(bytes, header, digests)
    if (table === undefined) return undefined
    const found = table.batches.find(({ offset }) => offset === batch.offset)
    if (found !== undefined) {
      const { start, length, headCrc } = found
      return { segment, byteAt: byteAt + body + start, length, headCrc }
    }
    byteAt += frameLength(header)
  }
}

function refused(batch: StoredBatch, problem: string): LogError {
  return new LogError(
    'ERR_LOG_REPAIR',
    `the batch at offset ${batch.offset} cannot be repaired in place: ${problem}`,
    { details: { offset: batch.offset, origin: batch.origin, first: batch.first } },
  )
}
