/**
 * Reads batches: those that the index has, and those of the frames behind it, which this reader
 * looks at itself (LOG-62). What it finds is asked for again where a segment went away meanwhile.
 */
import type { Digests, OriginId, StoredBatch, StoredBatchRead, StoreState } from '@kith/interface'
import { LogError } from '../../errors.ts'
import { openDatabase } from '../sqlite/driver.ts'
import type { Database, Statement } from '../sqlite/driver.ts'
import { createReader } from '../sqlite/reader.ts'
import type { SqliteReader } from '../sqlite/reader.ts'
import type { WalUse } from '../figures.ts'
import { SegmentFiles } from './files.ts'
import { FoldedChanges } from './fold.ts'
import { headCrcOf, readReference } from './reference.ts'
import type { BatchPlace } from './reference.ts'
import { indexRows, readFrame, saltOf } from './scan.ts'
import type { Frame } from './scan.ts'
import { prepareStamp, readStamp } from './stamp.ts'
import type { FramePlace, Stamp, StampRead } from './stamp.ts'

export interface SegmentReader extends SqliteReader {
  readonly files: SegmentFiles
  /** How far the index goes. */
  stamp(): StampRead
  /** Bytes of the frames that it did not have when it was last asked. */
  readonly behindBytes: number
  /**
   * Runs `ask` at one point: it sees nothing of what comes meanwhile. `place` is the one behind the
   * last frame that is there, `version` changes with every commit to the index.
   */
  atOnce<Result>(ask: (place: FramePlace, version: number) => Result): Result
  /** Segments that have frames which the index does not, and the last one. */
  openSegments(): ReadonlySet<number>
  /** The row of the index alone, with a reference in the place of the bytes. */
  indexed(offset: number): StoredBatchRead | undefined
  /** The first row of the index, likewise; empty where it has none. */
  oldestRow(): readonly StoredBatchRead[]
}

/** `index` is the database of the index. */
export function openSegmentReader(
  directory: string,
  index: string,
  digests: Digests,
): SegmentReader {
  const db = openDatabase(index, { readonly: true, fileMustExist: true, timeout: 1_000 })
  try {
    db.pragma('cell_size_check=ON')
    db.pragma('cache_size=-2000')
    return new Reader(directory, db, digests)
  } catch (cause) {
    db.close()
    throw cause
  }
}

/** Rows of the index that are asked for at once: few at first, since one is often enough. */
const firstRows = 2
const moreRows = 32
/** What a row counts for in a page of the index. */
const rowBytes = 64
/** Batches next to each other are read at once up to so many bytes, over gaps of so many. */
const spanBytesMax = 1024 * 1024
const spanGapMax = 4_096
/** A reader that is overtaken by retention as often as that says what it has. */
const attemptsMax = 4

class Reader implements SegmentReader {
  readonly givesCopies = true
  readonly files: SegmentFiles
  private readonly db: Database
  private readonly digests: Digests
  private readonly rows: SqliteReader
  private readonly snapshot: () => readonly [StampRead, StoreState]
  private select: Statement | undefined
  /** Frames that the index did not have when it was last asked, and where to look for more. */
  private tail: Frame[] = []
  private next: FramePlace | undefined
  /** The first frame that the index did not have. */
  private indexedTo = 0
  /** The batches of these frames. */
  private tailRows: StoredBatch[] = []
  /** What these frames drop. */
  private floor = 0
  /** A segment was not there. */
  private missed = false
  /** What comes is not looked at. */
  private held = false
  private readonly begin: Statement
  private readonly end: Statement

  constructor(directory: string, db: Database, digests: Digests) {
    this.files = new SegmentFiles(directory)
    this.db = db
    this.digests = digests
    this.rows = createReader(db, digests)
    this.begin = db.prepare('BEGIN')
    this.end = db.prepare('COMMIT')
    this.snapshot = db.transaction(() => [this.stamp(), this.rows.state()] as const)
  }

  stamp(): StampRead {
    this.select ??= prepareStamp(this.db)
    return readStamp(this.select, this.digests)
  }

  private refresh(): void {
    if (!this.held) this.follow(this.stamp())
  }

  atOnce<Result>(ask: (place: FramePlace, version: number) => Result): Result {
    for (let attempt = 1; ; attempt += 1) {
      this.begin.run()
      try {
        const version = this.db.pragma('data_version', { simple: true }) as number
        const place = this.follow(this.stamp())
        this.held = true
        this.missed = false
        try {
          const result = ask(place, version)
          if (!this.missed || attempt === attemptsMax) return result
        } catch (cause) {
          if (!this.missed || attempt === attemptsMax) throw cause
        }
        // What retention took away meanwhile is gone at a later point, and asked for there.
      } finally {
        this.held = false
        if (this.db.inTransaction) this.end.run()
      }
    }
  }

  openSegments(): ReadonlySet<number> {
    const last = this.next === undefined ? [] : [this.next.segment]
    return new Set([...this.tail.map(({ place }) => place.segment), ...last])
  }

  private follow(read: StampRead): FramePlace {
    const stamp = mustHave(read)
    const { number } = stamp.place
    const begin = this.tail.length
    // What retention removed takes its space for as long as it is open.
    if (number !== this.indexedTo) this.files.forgetRemoved()
    this.indexedTo = number
    if (this.next === undefined || this.next.number < number) {
      this.tail = []
      this.next = stamp.place
    } else if ((this.tail[0]?.place.number ?? number) < number) {
      this.tail = this.tail.filter(({ place }) => place.number >= number)
    }
    const kept = this.tail.length === begin ? begin : 0
    const found = this.scan(this.next, saltOf(stamp))
    if (found || this.tail.length !== begin) this.noteTail(kept)
    return this.next
  }

  /** True where a frame was found. */
  private scan(from: FramePlace, salt: number): boolean {
    let found = false
    let place = from
    for (;;) {
      const read = readFrame(this.files, place, salt, this.digests)
      if (read.kind !== 'frame') break
      this.tail.push(read.frame)
      place = read.frame.next
      found = true
    }
    // A segment that was begun and given up may have been made anew.
    if (!found && this.files.has(place.number)) this.files.forgetRemoved()
    this.next = place
    return found
  }

  /** What so many frames hold is known already. */
  private noteTail(known: number): void {
    if (known === 0) this.tailRows = []
    for (const frame of this.tail.slice(known)) this.tailRows.push(...indexRows(frame))
    this.floor = Math.max(0, ...this.tail.map(({ table }) => table.changes.dropBelow ?? 0))
  }

  atOffset(offset: number): StoredBatchRead | undefined {
    return this.one(
      () => this.rows.atOffset(offset),
      () => this.tailRows.findLast((row) => row.offset <= offset),
    )
  }

  atSequence(origin: OriginId, sequence: number): StoredBatchRead | undefined {
    return this.one(
      () => this.rows.atSequence(origin, sequence),
      () => this.tailRows.findLast((row) => row.origin === origin && row.first <= sequence),
    )
  }

  fromOffset(offset: number, bytesMax: number): readonly StoredBatchRead[] {
    return this.steadily(() => {
      const page = new Page(bytesMax, this.floor)
      const from = Math.max(offset, this.floor)
      const next = page.takeRows(from, ({ batch }) => batch.offset, this.rows.fromOffset)
      if (next === undefined) return page.reads
      page.takeTail(this.tailRows.filter((row) => row.offset >= next))
      return page.reads
    })
  }

  fromSequence(origin: OriginId, sequence: number, bytesMax: number): readonly StoredBatchRead[] {
    return this.steadily(() => {
      const page = new Page(bytesMax, this.floor)
      const ask: AskRows = (from, max) => this.rows.fromSequence(origin, from, max)
      const next = page.takeRows(sequence, ({ batch }) => batch.first, ask)
      if (next === undefined) return page.reads
      page.takeTail(this.tailRows.filter((row) => row.origin === origin && row.first >= next))
      return page.reads
    })
  }

  indexed(offset: number): StoredBatchRead | undefined {
    return this.rows.atOffset(offset)
  }

  oldestRow(): readonly StoredBatchRead[] {
    return this.rows.fromOffset(0, 1)
  }

  state(): StoreState {
    const [read, state] = this.snapshot()
    if (!this.held) this.follow(read)
    const changes = new FoldedChanges()
    for (const frame of this.tail) {
      changes.add({ ...frame.table.changes, batches: indexRows(frame) })
    }
    return changes.over(state)
  }

  get behindBytes(): number {
    return this.tail.reduce((sum, { place, next }) => sum + next.byteAt - place.byteAt, 0)
  }

  walUse(): WalUse | undefined {
    return this.rows.walUse()
  }

  close(): void {
    this.rows.close()
    this.files.close()
  }

  private one(
    indexed: () => StoredBatchRead | undefined,
    tail: () => StoredBatch | undefined,
  ): StoredBatchRead | undefined {
    return this.steadily(() => {
      const [later, row] = [tail(), indexed()]
      const read: StoredBatchRead | undefined =
        later === undefined || (row !== undefined && offsetOf(row) > later.offset)
          ? row
          : { ok: true, batch: later }
      return read === undefined || offsetOf(read) < this.floor ? [] : [read]
    })[0]
  }

  /** Reads what the rows refer to; anew where a segment was dropped between the two. */
  private steadily(ask: () => readonly StoredBatchRead[]): readonly StoredBatchRead[] {
    this.refresh()
    if (this.held) return this.resolve(ask())
    this.missed = false
    const reads = this.resolve(ask())
    if (!this.missed) return reads
    this.refresh()
    return this.resolve(ask())
  }

  private resolve(reads: readonly StoredBatchRead[]): readonly StoredBatchRead[] {
    const places = reads.map((read) => (read.ok ? readReference(read.batch.bytes) : undefined))
    const resolved: StoredBatchRead[] = []
    for (let at = 0; at < reads.length;) {
      const end = spanEnd(places, at)
      const first = places[at]
      const last = places[end - 1]
      if (first === undefined || last === undefined) {
        const read = reads[at]
        if (read !== undefined) resolved.push(read.ok ? damaged(read.batch, noPlace) : read)
        at += 1
        continue
      }
      const length = last.byteAt + last.length - first.byteAt
      const bytes = this.files.read(first.segment, first.byteAt, length)
      if (bytes === undefined) this.missed = true
      for (; at < end; at += 1) {
        resolved.push(cut(reads[at], places[at], first.byteAt, bytes, this.digests))
      }
    }
    return resolved
  }
}

type AskRows = (from: number, bytesMax: number) => readonly StoredBatchRead[]
type WholeRead = Extract<StoredBatchRead, { ok: true }>

/** What is handed out at once: up to a number of bytes, and at least one batch. */
class Page {
  readonly reads: StoredBatchRead[] = []
  private readonly bytesMax: number
  private readonly floor: number
  private bytes = 0

  constructor(bytesMax: number, floor: number) {
    this.bytesMax = bytesMax
    this.floor = floor
  }

  /** Takes rows of the index, and says where the tail goes on; undefined where the page ends. */
  takeRows(from: number, keyOf: (read: WholeRead) => number, ask: AskRows): number | undefined {
    let next = from
    for (let rows = firstRows; ; rows = moreRows) {
      const page = this.ask(() => ask(next, rows * rowBytes))
      if (page === undefined) return undefined
      for (const read of page) {
        if (!this.take(read)) return undefined
        // Behind a damaged row nobody knows the next sequence: asked for again, it is the first.
        if (!read.ok) return undefined
        next = keyOf(read) + 1
      }
      if (page.length === 0) return next
    }
  }

  takeTail(rows: readonly StoredBatch[]): void {
    for (const batch of rows) if (!this.take({ ok: true, batch })) return
  }

  /** What came before a damaged page is whole; asked for again as the first, the damage shows. */
  private ask(run: () => readonly StoredBatchRead[]): readonly StoredBatchRead[] | undefined {
    try {
      return run()
    } catch (cause) {
      if (this.reads.length === 0) throw cause
      return undefined
    }
  }

  private take(read: StoredBatchRead): boolean {
    if (offsetOf(read) < this.floor) return true
    const length = read.ok ? (readReference(read.batch.bytes)?.length ?? 0) : 0
    if (this.reads.length > 0 && this.bytes + length > this.bytesMax) return false
    this.bytes += length
    this.reads.push(read)
    return true
  }
}

function offsetOf(read: StoredBatchRead): number {
  return read.ok ? read.batch.offset : read.offset
}

/** Where the run of batches that lie next to each other ends. */
function spanEnd(places: readonly (BatchPlace | undefined)[], start: number): number {
  const first = places[start]
  if (first === undefined) return start + 1
  let end = first.byteAt + first.length
  let at = start + 1
  for (; at < places.length; at += 1) {
    const place = places[at]
    if (place?.segment !== first.segment) break
    const gap = place.byteAt - end
    if (gap < 0 || gap > spanGapMax) break
    if (place.byteAt + place.length - first.byteAt > spanBytesMax) break
    end = place.byteAt + place.length
  }
  return at
}

const noPlace = 'the row does not say where its batch lies'

function damaged(batch: StoredBatch, reason: string): StoredBatchRead {
  const { offset, previousChain, chain } = batch
  return { ok: false, offset, reason, chains: [previousChain, chain] }
}

function cut(
  read: StoredBatchRead | undefined,
  place: BatchPlace | undefined,
  start: number,
  span: Uint8Array | undefined,
  digests: Digests,
): StoredBatchRead {
  if (read?.ok !== true || place === undefined) throw new Error('a span has only whole rows')
  if (span === undefined) return damaged(read.batch, 'the segment that holds it is missing')
  const from = place.byteAt - start
  const bytes = span.subarray(from, from + place.length)
  if (bytes.length < place.length) return damaged(read.batch, 'its segment ends before it does')
  if (headCrcOf(bytes, digests) !== place.headCrc) {
    return damaged(read.batch, 'what is there does not begin as it does')
  }
  return { ok: true, batch: { ...read.batch, bytes } }
}

function mustHave(read: StampRead): Stamp {
  if (read.kind === 'stamp') return read.stamp
  throw new LogError('ERR_LOG_CORRUPT', 'the index does not know its own end any more')
}
