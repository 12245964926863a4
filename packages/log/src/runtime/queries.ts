/** Reading a log: by offset for its users, by origin for its replicas (LOG-18, LOG-19). */
import type {
  BatchBounds,
  BatchRun,
  Chain,
  LogRecord,
  OriginId,
  ReadFrom,
  StoredOrigin,
} from '@kith/interface'
import { LogError } from '../errors.ts'
import { originChain } from '../wire/batch.ts'
import { mustRun } from './parts.ts'
import type { LogParts, ReadingParts } from './parts.ts'
import { chainBefore } from './reads.ts'
import type { CorruptDetails } from './reads.ts'
import { decodeRecords } from './records.ts'

export interface ReadOptions {
  /** The first record wanted. Default `earliest`. */
  readonly from?: ReadFrom
  /** Records at most; default 1 000, at most 100 000. */
  readonly limit?: number
  /**
   * Encoded bytes after which the page ends; default 1 MiB. A larger first record is still
   * returned.
   */
  readonly bytesMax?: number
}

export interface ReadResult {
  readonly records: readonly LogRecord[]
  /** Where the next read begins. */
  readonly next: number
}

export function readRecords(parts: ReadingParts, options: ReadOptions): ReadResult {
  mustRun(parts)
  const { limit = 1_000, bytesMax = 1024 * 1024 } = options
  const end = parts.writer.flushed.nextOffset
  const from = offsetOf(parts, options.from ?? 'earliest')
  if (!Number.isInteger(limit) || limit < 1 || limit > 100_000) {
    throw new LogError('ERR_LOG_OPTIONS', `limit must be an integer from 1 to 100000, got ${limit}`)
  }
  if (!Number.isInteger(bytesMax) || bytesMax < 1) {
    throw new LogError(
      'ERR_LOG_OPTIONS',
      `bytesMax must be an integer of at least 1, got ${bytesMax}`,
    )
  }
  const records: LogRecord[] = []
  let next = from
  let bytes = 0
  while (next < end && records.length < limit && (records.length === 0 || bytes < bytesMax)) {
    try {
      bytes += decodeRecords(parts.reads.holding(next), next, limit, bytesMax - bytes, records)
    } catch (cause) {
      // Damage behind good records is reported to whoever asks for it first.
      if (records.length === 0) throw cause
      break
    } finally {
      next = (records.at(-1)?.offset ?? next - 1) + 1
    }
  }
  return { records, next }
}

/** What is decided to go is not read any more, whether or not it went already. */
function floorOf({ writer }: ReadingParts): number {
  return writer.head.meta.floor
}

/** The offset meant; throws where the log has no such, or has dropped it (LOG-44). */
function offsetOf(parts: ReadingParts, from: ReadFrom): number {
  const next = parts.writer.flushed.nextOffset
  const floor = floorOf(parts)
  if (from === 'earliest') return floor
  if (from === 'latest') return next
  if (typeof from === 'object' && from !== null) return offsetAt(parts, from.time)
  if (!Number.isInteger(from) || from < 0 || from > next) {
    throw new LogError(
      'ERR_LOG_OFFSET_OUT_OF_RANGE',
      `offset ${from} is not in this log, which holds ${floor} to ${next}`,
      { details: { from, floor, next } },
    )
  }
  if (from >= floor) return from
  throw new LogError(
    'ERR_LOG_DROPPED',
    `offset ${from} was dropped by retention: this log holds ${floor} to ${next}`,
    { details: { from, floor, next } },
  )
}

/**
 * The offset of the first batch that was stored at `time` or later. Storing times never run
 * backwards along offsets (LOG-48), so half of what is left is passed over with each look.
 */
function offsetAt(parts: ReadingParts, time: number): number {
  if (!Number.isFinite(time)) {
    throw new LogError('ERR_LOG_OPTIONS', `from.time must be milliseconds, got ${String(time)}`)
  }
  let low = floorOf(parts)
  let high = parts.writer.flushed.nextOffset
  while (low < high) {
    const middle = low + Math.floor((high - low) / 2)
    const at = parts.reads.rowFrom(middle, high)
    // Behind damaged rows alone nothing tells the time: reading begins with them, and says so.
    if (at.storedAt === undefined || at.storedAt >= time) high = at.begin
    else low = at.end
  }
  return low
}

export interface TailOptions {
  /** Where to begin; `latest` skips what is there. Default `earliest`. */
  readonly from?: ReadFrom
  /** Ends the iteration quietly. */
  readonly signal?: AbortSignal
}

/** Records a tail decodes ahead of its consumer. */
const tailPage = { limit: 1_000, bytesMax: 256 * 1024 } as const

/**
 * Every record from an offset on, then each new one after its flush. The consumer sets the pace:
 * nothing is read ahead of it but one page.
 */
export function tailRecords(parts: LogParts, options: TailOptions): AsyncIterable<LogRecord> {
  return tailPages(
    (page) => readRecords(parts, page),
    (next, signal) => nextCommit(parts, next, signal),
    options,
  )
}

/** `more` resolves when something past the offset may be there, or the signal aborted. */
export async function* tailPages(
  read: (options: ReadOptions) => ReadResult,
  more: (next: number, signal: AbortSignal | undefined) => Promise<void>,
  { from, signal }: TailOptions,
): AsyncGenerator<LogRecord, void, undefined> {
  let next: ReadFrom = from ?? 'earliest'
  while (!ended(signal)) {
    const page = read({ from: next, ...tailPage })
    for (const record of page.records) {
      yield record
      if (ended(signal)) return
    }
    next = page.next
    if (page.records.length === 0) await more(page.next, signal)
  }
}

function ended(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true
}

/** Resolves when there is something past `next`, the signal aborted, or the log stopped. */
function nextCommit(parts: LogParts, next: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const wake = (): void => {
      const more = parts.writer.flushed.nextOffset > next
      if (!more && !parts.stopped && !ended(signal)) return
      parts.wakers.delete(wake)
      signal?.removeEventListener('abort', wake)
      resolve()
    }
    parts.wakers.add(wake)
    signal?.addEventListener('abort', wake)
    wake()
  })
}

export function readBatches(
  parts: ReadingParts,
  origin: OriginId,
  from: number,
  bytesMax: number,
): BatchRun {
  mustRun(parts)
  const { flushed } = parts.writer
  const entry = flushed.origins.get(origin)
  if (entry === undefined) return { kind: 'unknown' }
  if (entry.status === 'quarantined') return { kind: 'quarantined' }
  if (from >= entry.next) return { kind: 'end', next: entry.next, chain: entry.chain }
  const resume = resumePast(parts, entry, from)
  if (resume !== undefined) return resume
  const row = parts.reads.atSequence(origin, from, false)
  const holds = row !== undefined && row.batch.first + row.batch.count > from
  if (!holds) throw missing(origin, from)
  if (row.batch.first < from) {
    return { kind: 'inside', first: row.batch.first, chain: row.batch.previousChain }
  }
  const rows = parts.reads.run(row, entry.next, bytesMax)
  const last = rows.at(-1) ?? row
  const release = parts.reads.releaseOf(rows)
  return {
    kind: 'batches',
    previousChain: row.batch.previousChain,
    batches: rows.map(({ batch }) => batch.bytes),
    next: last.batch.first + last.batch.count,
    ...(release === undefined ? {} : { release }),
  }
}

/** Where an origin begins now; what is decided to go is not served any more. */
function originFloor({ writer }: ReadingParts, { origin, floor }: StoredOrigin): number {
  return Math.max(floor, writer.head.origins.get(origin)?.floor ?? 1)
}

/** The gap that `from` lies in, where it lies in one. */
function resumePast(parts: ReadingParts, entry: StoredOrigin, from: number): BatchRun | undefined {
  const holes = parts.writer.flushed.holes.get(entry.origin) ?? []
  const floor = originFloor(parts, entry)
  // Right behind what was dropped more may be lost, and then nothing is held before its end.
  const asked = Math.max(from, floor)
  const hole = holes.find((one) => asked >= one.from && asked < one.to)
  if (hole !== undefined) return { kind: 'gap', resume: hole.to, chainBefore: hole.chain }
  if (from >= floor) return undefined
  // Where all of it was dropped only the end is left, and its chain.
  if (floor >= entry.next) {
    return { kind: 'gap', resume: entry.next, chainBefore: entry.chain }
  }
  const row = parts.reads.atSequence(entry.origin, floor)
  if (row?.batch.first !== floor) throw missing(entry.origin, floor)
  return { kind: 'gap', resume: floor, chainBefore: row.batch.previousChain }
}

export function chainAt(
  parts: ReadingParts,
  origin: OriginId,
  sequence: number,
): Chain | undefined {
  mustRun(parts)
  const { flushed } = parts.writer
  const entry = flushed.origins.get(origin)
  if (entry === undefined || sequence > entry.next || sequence < 1) return undefined
  if (sequence === entry.next) return entry.chain
  if (sequence === 1) return originChain(origin, parts.digests)
  const holes = flushed.holes.get(origin) ?? []
  const ended = holes.find(({ to }) => to === sequence)
  if (ended !== undefined) return ended.chain
  const floor = originFloor(parts, entry)
  const lost = holes.some(({ from, to }) => sequence > from && sequence < to)
  // Of a loss right at the floor nothing before it is held that would tell.
  const bare = sequence === floor && holes.some(({ from }) => from === floor)
  if (lost || bare || sequence < floor) return undefined
  const row = parts.reads.atSequence(origin, sequence)
  const end = row === undefined ? 0 : row.batch.first + row.batch.count
  // Before a hole the last batch ends; anywhere else one holds the sequence.
  const beforeHole = holes.some(({ from }) => from === sequence)
  if (beforeHole ? end !== sequence : end <= sequence) throw missing(origin, sequence)
  return row && chainBefore(row, sequence)
}

/** Also of a quarantined origin: what is held of it is evidence (LOG-79). */
export function batchBounds(
  parts: ReadingParts,
  origin: OriginId,
  sequence: number,
): BatchBounds | undefined {
  mustRun(parts)
  const entry = parts.writer.flushed.origins.get(origin)
  if (entry === undefined || !Number.isInteger(sequence)) return undefined
  if (sequence < originFloor(parts, entry) || sequence >= entry.next) return undefined
  const { batch } = parts.reads.atSequence(origin, sequence) ?? {}
  // In a hole the batch before it ends before.
  if (batch === undefined || batch.first + batch.count <= sequence) return undefined
  const { first, previousChain, chain } = batch
  return { first, next: first + batch.count, previousChain, chain }
}

export function fetchBatch(
  parts: ReadingParts,
  origin: OriginId,
  first: number,
): Uint8Array | undefined {
  mustRun(parts)
  const entry = parts.writer.flushed.origins.get(origin)
  if (entry === undefined || entry.status === 'quarantined') return undefined
  if (!Number.isInteger(first) || first < originFloor(parts, entry) || first >= entry.next)
    return undefined
  const holes = parts.writer.flushed.holes.get(origin) ?? []
  if (holes.some(({ from, to }) => first >= from && first < to)) return undefined
  const row = parts.reads.atSequence(origin, first)
  if (row === undefined || row.batch.first + row.batch.count <= first) throw missing(origin, first)
  return row.batch.first === first ? row.batch.bytes : undefined
}

function missing(origin: OriginId, sequence: number): LogError<CorruptDetails> {
  return new LogError(
    'ERR_LOG_CORRUPT',
    `the batch of origin ${origin} that holds sequence ${sequence} is missing`,
    { details: { offset: -1, resume: undefined, origin, sequence } },
  )
}
