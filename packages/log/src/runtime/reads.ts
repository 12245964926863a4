/**
 * Reads of committed batches: every checksum is checked before a byte is handed out, and batches
 * that were checked lately are kept (LOG-18).
 */
import { releaseBytes } from '@kith/interface'
import type {
  Chain,
  Digests,
  LogStoreReader,
  OriginId,
  StoredBatch,
  StoredBatchRead,
} from '@kith/interface'
import { LogError } from '../errors.ts'
import { throwIfRefused } from '../store/unreadable.ts'
import { checkBatch } from '../wire/batch.ts'

/** A batch all of whose checksums were right. */
export interface CheckedRow {
  readonly batch: StoredBatch
  readonly timeMin: number
}

export interface CorruptDetails {
  /** Local offset of the damaged batch, where it is known. */
  readonly offset: number
  /** Where reading can go on; undefined where nothing is held behind it. */
  readonly resume: number | undefined
  readonly origin?: OriginId
  readonly sequence?: number
}

export interface RowPlace {
  readonly begin: number
  readonly end: number
  /** Undefined where no whole row was found. */
  readonly storedAt: number | undefined
}

export type ExaminedBatch =
  | { readonly ok: true; readonly row: CheckedRow }
  | { readonly ok: false; readonly problem: string }

/** Checks a stored batch against its own checksums and against its row. */
export function examineBatch(batch: StoredBatch, digests: Digests): ExaminedBatch {
  const checked = checkBatch(batch.bytes, digests)
  if (!checked.ok) {
    return { ok: false, problem: `the batch does not pass its checks (${checked.failure})` }
  }
  const { origin, first, count, timeMin } = checked.header
  const same = origin === batch.origin && first === batch.first && count === batch.count
  if (!same) return { ok: false, problem: 'the row belongs to another batch' }
  return { ok: true, row: { batch, timeMin } }
}

/** A batch that is kept. */
interface Kept {
  readonly row: CheckedRow
  /** Somebody may still have its bytes: they are freed by the collector alone. */
  lent: boolean
}

/** A reader that only looks is never listened to. */
const unheardMax = 1_024

/** Commits without a read after which new batches are not kept any more. */
const unreadCommitsMax = 64

export class BatchReads {
  private readonly reader: LogStoreReader
  private readonly digests: Digests
  private readonly cacheBytesMax: number
  /** By offset, least recently used first. */
  private readonly cache = new Map<number, Kept>()
  private readonly offsets = new Map<string, number>()
  private onCorrupt: ((offset: number, reason: string) => void) | undefined
  /** Damage that was met before anybody listened, as when the log is opened. */
  private readonly unheard = new Map<number, string>()
  private cacheBytes = 0
  private unreadCommits = unreadCommitsMax

  constructor(reader: LogStoreReader, digests: Digests, cacheBytesMax: number) {
    this.reader = reader
    this.digests = digests
    this.cacheBytesMax = cacheBytesMax
  }

  /** `onCorrupt` is told of every damaged batch that somebody meets, or met before. */
  listen(onCorrupt: (offset: number, reason: string) => void): void {
    this.onCorrupt = onCorrupt
    for (const [offset, reason] of this.unheard) onCorrupt(offset, reason)
    this.unheard.clear()
  }

  /** True where somebody read lately: new batches are then worth keeping. */
  wantsNew(): boolean {
    this.unreadCommits += 1
    return this.unreadCommits <= unreadCommitsMax
  }

  /** Keeps a batch that this log has just committed, so that tails need not read it back. */
  remember(row: CheckedRow): void {
    this.keep(row, true)
  }

  private keep(row: CheckedRow, lent: boolean): void {
    const { offset, origin, first, bytes } = row.batch
    if (bytes.length > this.cacheBytesMax || this.cache.has(offset)) return
    this.cache.set(offset, { row, lent })
    this.offsets.set(`${origin}:${first}`, offset)
    this.cacheBytes += bytes.length
    for (const [oldest, kept] of this.cache) {
      if (this.cacheBytes <= this.cacheBytesMax) break
      this.evict(oldest, kept)
    }
  }

  /** Batches from `offset` on as rows, for what needs no more than their columns. */
  oldest(offset: number, bytesMax: number): readonly StoredBatchRead[] {
    try {
      return this.reader.fromOffset(offset, bytesMax)
    } catch (cause) {
      throwIfRefused(cause, `the batch at offset ${offset}`)
      const reason = cause instanceof Error ? cause.message : String(cause)
      return [{ ok: false, offset, reason }]
    }
  }

  /**
   * The row that holds `offset`, or where that is damaged the next whole one before `limit`;
   * `begin` is where the row that holds `offset` begins, whole or not.
   */
  rowFrom(offset: number, limit: number): RowPlace {
    this.unreadCommits = 0
    let read = this.ask(() => this.reader.atOffset(offset), offset)
    const begin = Math.min(offset, read === undefined ? offset : rowOffset(read))
    for (let at = offset; at < limit;) {
      if (read?.ok === true && read.batch.offset + read.batch.count > at) {
        return { begin, end: read.batch.offset + read.batch.count, storedAt: read.batch.storedAt }
      }
      const behind = at + 1
      read = this.ask(() => this.reader.fromOffset(behind, 1)[0], behind)
      if (read === undefined) break
      at = Math.max(behind, rowOffset(read))
    }
    return { begin, end: limit, storedAt: undefined }
  }

  /** Lets go of what was dropped below `floor`. */
  forget(floor: number): void {
    for (const [offset, kept] of this.cache) {
      if (offset < floor) this.evict(offset, kept)
    }
  }

  /**
   * Memory that waits for the collector makes it run: a reader that goes through a long log would
   * have it mark everything again and again, on threads beside, where others need the processors.
   */
  private evict(offset: number, { row: { batch }, lent }: Kept): void {
    this.cache.delete(offset)
    this.offsets.delete(`${batch.origin}:${batch.first}`)
    this.cacheBytes -= batch.bytes.length
    if (!lent && this.reader.givesCopies === true) releaseBytes(new Uint8Array(batch.bytes.buffer))
  }

  /** A kept batch, whose bytes are somebody else's too from now on. */
  private lend(offset: number | undefined): CheckedRow | undefined {
    const kept = offset === undefined ? undefined : this.cache.get(offset)
    if (kept !== undefined) kept.lent = true
    return kept?.row
  }

  /**
   * The checked batch that holds `offset`, which the caller knows to be held. Its bytes are the
   * caller's until the next one is asked for.
   */
  holding(offset: number): CheckedRow {
    this.unreadCommits = 0
    const cached = this.cache.get(offset)
    if (cached !== undefined) return cached.row
    const read = this.ask(() => this.reader.atOffset(offset), offset)
    const row = this.check(read, offset)
    if (row.batch.offset > offset || row.batch.offset + row.batch.count <= offset) {
      throw this.corrupt(offset, 'the row that holds it is missing')
    }
    return row
  }

  /** The last batch of `origin` that begins at or before `sequence`; kept unless `keep` is false. */
  atSequence(origin: OriginId, sequence: number, keep = true): CheckedRow | undefined {
    this.unreadCommits = 0
    const cached = this.lend(this.offsets.get(`${origin}:${sequence}`))
    if (cached !== undefined) return cached
    const read = this.ask(() => this.reader.atSequence(origin, sequence), -1)
    if (read === undefined) return undefined
    const row = this.check(read, -1, keep)
    this.lend(row.batch.offset)
    if (row.batch.origin === origin && row.batch.first <= sequence) return row
    throw this.corrupt(row.batch.offset, 'the index leads to another row')
  }

  /**
   * `row` and the batches of its origin that follow it, up to `limit`: at least one, and no more
   * bytes than `bytesMax` else. What is read is not kept: whoever reads runs reads on, and others
   * read what was just written, which is kept as it is written.
   */
  run(row: CheckedRow, limit: number, bytesMax: number): readonly CheckedRow[] {
    const { origin } = row.batch
    const rows = [row]
    let bytes = row.batch.bytes.length
    let last = row
    for (;;) {
      const next = last.batch.first + last.batch.count
      // Another one like the last would be read for nothing.
      if (next >= limit || bytes + last.batch.bytes.length > bytesMax) return rows
      const page = this.page(origin, next, bytesMax - bytes)
      for (const one of page) {
        const { batch } = one
        bytes += batch.bytes.length
        const follows = batch.first === last.batch.first + last.batch.count
        if (!follows || batch.first + batch.count > limit || bytes > bytesMax) return rows
        rows.push(one)
        last = one
      }
      if (page.length === 0) return rows
    }
  }

  private page(origin: OriginId, from: number, bytesMax: number): readonly CheckedRow[] {
    const cached = this.lend(this.offsets.get(`${origin}:${from}`))
    if (cached !== undefined) return [cached]
    const bound = Math.min(Math.max(1, bytesMax), pageBytesMax)
    const reads = this.ask(() => this.reader.fromSequence(origin, from, bound), -1)
    const rows: CheckedRow[] = []
    for (const read of reads) {
      // A damaged row ends the page; asked for again as the first, it is the error.
      if (rows.length > 0 && !read.ok) break
      const row = this.check(read, -1, false)
      this.lend(row.batch.offset)
      rows.push(row)
    }
    return rows
  }

  /** Frees what of `rows`, which were just read, is nobody else's; called again it does nothing. */
  releaseOf(rows: readonly CheckedRow[]): (() => void) | undefined {
    if (this.reader.givesCopies !== true) return undefined
    const own = rows.filter((row) => this.cache.get(row.batch.offset)?.row !== row)
    const buffers = new Set(own.map(({ batch }) => batch.bytes.buffer))
    return () => {
      for (const buffer of buffers) releaseBytes(new Uint8Array(buffer))
      buffers.clear()
    }
  }

  private check(read: StoredBatchRead | undefined, asked: number, keep = true): CheckedRow {
    if (read === undefined) throw this.corrupt(asked, 'the row that holds it is missing')
    if (!read.ok) throw this.corrupt(read.offset, read.reason)
    const { batch } = read
    const cached = this.cache.get(batch.offset)
    if (cached !== undefined) return cached.row
    const examined = examineBatch(batch, this.digests)
    if (!examined.ok) throw this.corrupt(batch.offset, examined.problem)
    if (keep) this.keep(examined.row, false)
    return examined.row
  }

  private ask<Result>(read: () => Result, offset: number): Result {
    try {
      return read()
    } catch (cause) {
      throwIfRefused(cause, offset < 0 ? 'a batch' : `the batch at offset ${offset}`)
      if (cause instanceof LogError) throw cause
      const text = cause instanceof Error ? cause.message : String(cause)
      throw this.corrupt(offset, `the store cannot read it (${text})`, cause)
    }
  }

  private corrupt(offset: number, reason: string, cause?: unknown): LogError<CorruptDetails> {
    if (offset >= 0) this.met(offset, reason)
    const resume = this.resumeAfter(offset)
    const where = offset < 0 ? 'a batch' : `the batch at offset ${offset}`
    const onward = resume === undefined ? '' : `; reading can go on at offset ${resume}`
    return new LogError('ERR_LOG_CORRUPT', `${where} is damaged: ${reason}${onward}`, {
      cause,
      details: { offset, resume },
    })
  }

  private met(offset: number, reason: string): void {
    if (this.onCorrupt !== undefined) this.onCorrupt(offset, reason)
    else if (this.unheard.size < unheardMax) this.unheard.set(offset, reason)
  }

  private resumeAfter(offset: number): number | undefined {
    if (offset < 0) return undefined
    try {
      const read = this.reader.fromOffset(offset + 1, 1)[0]
      if (read === undefined) return undefined
      return read.ok ? read.batch.offset : read.offset
    } catch {
      return undefined
    }
  }
}

function rowOffset(read: StoredBatchRead): number {
  return read.ok ? read.batch.offset : read.offset
}

/** A page read at once blocks the caller's thread: this bounds it to a few milliseconds. */
const pageBytesMax = 1024 * 1024

/** The chain before `sequence` where `row` tells it. */
export function chainBefore(row: CheckedRow, sequence: number): Chain | undefined {
  if (row.batch.first === sequence) return row.batch.previousChain
  return row.batch.first + row.batch.count === sequence ? row.batch.chain : undefined
}
