/**
 * Records of a checked batch, as they are handed out: copies, because what a caller does to them
 * must not reach the cache, from which members are served (LOG-18).
 */
import { markAsUntransferable } from 'node:worker_threads'
import type { LogRecord } from '@kith/interface'
import { LogError } from '../errors.ts'
import { HEADER_BYTES } from '../wire/batch.ts'
import { copyBytes } from '../wire/bytes.ts'
import { readEnds, readRecord } from '../wire/record.ts'
import type { CheckedRow, CorruptDetails } from './reads.ts'

/**
 * Records next to each other are copied at once, up to so many bytes: an allocation of its own
 * costs a small record more than its bytes do. It is also what one record that is held on to keeps
 * in memory at most, beyond its own size.
 */
export const SHARED_BYTES_MAX: number = 8 * 1024

/** Appends the records of a checked batch from `offset` on to `records`; returns their bytes. */
export function decodeRecords(
  row: CheckedRow,
  offset: number,
  limit: number,
  bytesMax: number,
  records: LogRecord[],
): number {
  const { batch } = row
  const body = batch.bytes.subarray(HEADER_BYTES)
  const ends = readEnds(body, batch.count)
  let index = offset - batch.offset
  if (ends === undefined) throw undecodable(row, index)
  const begin = ends[index] ?? 0
  const stop = stopOf(ends, index, limit - records.length, bytesMax, records.length === 0)
  while (index < stop) {
    const end = shareEnd(ends, index, stop)
    const from = ends[index] ?? 0
    const copy = copyBytes(body, from, ends[end])
    const shared = copy.length <= SHARED_BYTES_MAX
    // Given away to another thread with one record it would be gone from under the others.
    if (shared) markAsUntransferable(copy.buffer)
    for (; index < end; index += 1) {
      const [first, last] = [(ends[index] ?? 0) - from, (ends[index + 1] ?? 0) - from]
      const record = recordAt(row, index, copy, first, last)
      // A large value may be given away, and its key is not to go with it.
      const own = shared || record.key === undefined
      records.push(own ? record : { ...record, key: copyBytes(record.key) })
    }
  }
  return (ends[index] ?? 0) - begin
}

/** The place behind the last record that is wanted; the first one is, whatever its size. */
function stopOf(
  ends: Uint32Array,
  from: number,
  limit: number,
  bytesMax: number,
  first: boolean,
): number {
  const begin = ends[from] ?? 0
  const last = ends.length - 1
  let stop = from
  while (stop < last && stop - from < limit) {
    const wanted = (first && stop === from) || (ends[stop] ?? 0) - begin < bytesMax
    if (!wanted) break
    stop += 1
  }
  return stop
}

/** How far the records share one copy. */
function shareEnd(ends: Uint32Array, from: number, stop: number): number {
  const begin = ends[from] ?? 0
  let end = from + 1
  while (end < stop && (ends[end + 1] ?? 0) - begin <= SHARED_BYTES_MAX) end += 1
  return end
}

function recordAt(
  row: CheckedRow,
  index: number,
  bytes: Uint8Array,
  from: number,
  end: number,
): LogRecord {
  const { batch, timeMin } = row
  const record = readRecord(bytes, from, end)
  if (record === undefined) throw undecodable(row, index)
  const { key, headers, value, timeDelta } = record
  const place = {
    offset: batch.offset + index,
    origin: batch.origin,
    sequence: batch.first + index,
    time: timeMin + timeDelta,
    value,
  }
  if (key === undefined && headers === undefined) return place
  return {
    ...place,
    ...(key === undefined ? {} : { key }),
    ...(headers === undefined ? {} : { headers }),
  }
}

function undecodable({ batch }: CheckedRow, index: number): LogError<CorruptDetails> {
  return new LogError<CorruptDetails>(
    'ERR_LOG_CORRUPT',
    `record ${index} of the batch at offset ${batch.offset} does not decode`,
    { details: { offset: batch.offset, resume: batch.offset + batch.count } },
  )
}
