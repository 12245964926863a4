/** An open segment store: writes frames, and brings the index after them. */
import type { Digests, StoreChanges, StoredBatch, StoreDamage } from '@kith/interface'
import { isKithError } from '@kith/interface'
import { LogError } from '../../errors.ts'
import type { SqliteStore } from '../sqlite/store.ts'
import type { EndMark } from '../end-mark.ts'
import type { IndexFigures, WalUse } from '../figures.ts'
import { copyStore } from './backup.ts'
import {
  fullError,
  headerProblem,
  headerReasons,
  isFull,
  listSegments,
  removeSegment,
  SEGMENT_HEADER_BYTES,
  segmentPath,
  syncDirectory,
  WritableSegment,
} from './files.ts'
import { FoldedChanges, standsAlone } from './fold.ts'
import { encodeFrame, FRAME_HEADER_BYTES } from './frame.ts'
import type { EncodedFrame } from './frame.ts'
import type { SegmentReader } from './reader.ts'
import { readReference } from './reference.ts'
import { prepareRepairs } from './repair.ts'
import { indexRows, saltOf } from './scan.ts'
import type { Frame } from './scan.ts'
import { SpareSegment } from './spare.ts'
import { putStamp } from './stamp.ts'
import type { FramePlace, Stamp } from './stamp.ts'
import { throwIfRefused } from '../unreadable.ts'

export interface SegmentPorts {
  readonly directory: string
  readonly digests: Digests
  readonly segmentBytesMax: number
  /** Frames after which the index follows. */
  readonly behindFramesMax: number
  readonly index: SqliteStore
  /** The session's own. */
  readonly reader: SegmentReader
  /** Which frames were flushed. */
  readonly endMark: EndMark
}

/** A frame that the index does not have yet. */
interface PendingFrame {
  readonly changes: StoreChanges
  readonly next: FramePlace
  readonly bytes: number
}

/**
 * The index follows once so much is behind it: what that costs for each time, and the pages that
 * every time writes again, are then shared by many small commits.
 */
export const BEHIND_FRAMES_MAX = 256
const behindBytesMax = 8 * 1024 * 1024
/** What may be behind where the index has no room; beyond it nothing more is taken. */
const behindFramesBound = 4_096
const behindBytesBound = 64 * 1024 * 1024

export class SegmentSession {
  private readonly ports: SegmentPorts
  private readonly storeId: Uint8Array
  private readonly digests: Digests
  /** Undefined where nothing may be written. */
  private current: WritableSegment | undefined
  private end: FramePlace
  /** Frames below this number are on the medium. */
  private flushed: number
  private pending: PendingFrame[] = []
  private pendingBytes = 0
  private checkpoints = 0
  private lastCheckpointMs: number | undefined
  private broken: Error | undefined
  /** Backups under way, which keep every file. */
  private backups = 0
  private closed = false
  private readonly spare: SpareSegment

  constructor(
    ports: SegmentPorts,
    storeId: Uint8Array,
    end: FramePlace,
    current: WritableSegment | undefined,
  ) {
    this.ports = ports
    this.storeId = storeId
    this.digests = ports.digests
    this.end = end
    this.flushed = end.number
    this.current = current
    this.spare = new SpareSegment(ports.directory, ports.segmentBytesMax)
    if (current !== undefined) return
    this.broken = new LogError('ERR_LOG_CORRUPT', `the log in ${ports.directory} is damaged`)
  }

  /**
   * Brings frames of an earlier life into the index. They are on the medium themselves: what of the
   * index is not, an opening finds in them again.
   */
  index(frames: readonly Frame[]): void {
    for (const frame of frames) {
      const changes = { ...frame.table.changes, batches: indexRows(frame) }
      this.pending.push({ changes, next: frame.next, bytes: 0 })
    }
    this.follow(false)
  }

  commit(changes: StoreChanges, flush: boolean): void {
    if (this.broken !== undefined) throw this.broken
    try {
      if ((changes.statements ?? []).length > 0) this.runStatements(changes)
      else if ((changes.repairs ?? []).length > 0) this.repair(changes)
      else this.append(changes, flush)
    } catch (cause) {
      throw this.explained(cause)
    }
  }

  /** After these nothing was stored, and the store goes on. */
  private explained(cause: unknown): unknown {
    const code = isKithError(cause) ? cause.code : ''
    if (['ERR_LOG_STORE_FULL', 'ERR_LOG_STATEMENT', 'ERR_LOG_REPAIR'].includes(code)) return cause
    this.broken = cause instanceof Error ? cause : new Error(String(cause))
    return cause
  }

  private append(changes: StoreChanges, flush: boolean): void {
    const frames = this.pending.length
    if (frames >= this.ports.behindFramesMax || this.pendingBytes >= behindBytesMax)
      this.followIfRoom()
    const behind = this.pending.length >= behindFramesBound
    if (behind || this.pendingBytes >= behindBytesBound) this.follow(false)
    if (isEmpty(changes)) {
      if (flush) this.sync()
      return
    }
    this.writeFrame(changes, false)
    if (!flush) return
    this.sync()
    // What is dropped frees its segments at once, unless the index has no room for that either.
    if (changes.dropBelow !== undefined) this.followIfRoom()
  }

  /** Adds a frame; returns the rows that stand for its batches. */
  private writeFrame(changes: StoreChanges, hidden: boolean): readonly StoredBatch[] {
    const { number } = this.end
    const mark = { number, flushed: this.flushed, salt: saltOf(this.stampAt(this.end)) }
    const frame = encodeFrame(mark, changes, this.digests, hidden)
    const current = this.room(frame)
    const place = this.end
    try {
      current.write(frame.parts, place.byteAt)
    } catch (cause) {
      throw isFull(cause) ? fullError(cause) : cause
    }
    this.end = { ...place, byteAt: place.byteAt + frame.length, number: number + 1 }
    const batches: readonly StoredBatch[] = indexRows({
      header: { ...mark, tableLength: frame.body - FRAME_HEADER_BYTES, bodyLength: 0 },
      table: { batches: frame.batches, changes: {} },
      place,
    })
    const { batches: _, ...rest } = changes
    const shown = hidden ? {} : { ...rest, batches }
    this.pending.push({ changes: shown, next: this.end, bytes: frame.length })
    this.pendingBytes += frame.length
    return batches
  }

  private stampAt(place: FramePlace): Stamp {
    return { storeId: this.storeId, place }
  }

  /** Room for a frame at `end`, in a new segment where this one is full. */
  private room({ length }: EncodedFrame): WritableSegment {
    const { directory, segmentBytesMax } = this.ports
    let current = this.current
    if (current === undefined) throw new LogError('ERR_LOG_CLOSED', 'the store is closed')
    const { byteAt, number } = this.end
    const ends = byteAt > SEGMENT_HEADER_BYTES && byteAt + length > segmentBytesMax
    // Whatever a failed flush says, what was written before it cannot be trusted any more.
    if (ends) this.sync()
    try {
      if (ends) {
        const spare = this.spare.take()
        const next = WritableSegment.create(directory, number, this.storeId, this.digests, spare)
        current.close()
        current = next
        this.current = next
        this.end = { segment: number, byteAt: SEGMENT_HEADER_BYTES, number }
      }
      const end = this.end.byteAt + length
      current.reserve(end, segmentBytesMax)
      if (end > segmentBytesMax / 4) this.spare.begin()
      return current
    } catch (cause) {
      throw isFull(cause) ? fullError(cause) : cause
    }
  }

  private sync(): void {
    if (this.flushed === this.end.number) return
    this.current?.sync()
    this.flushed = this.end.number
    this.ports.endMark.write({ id: this.storeId, count: this.flushed })
  }

  /** The index may be behind for a while where it has no room. */
  private followIfRoom(): void {
    try {
      this.follow(false)
    } catch (cause) {
      if (!isKithError(cause) || cause.code !== 'ERR_LOG_STORE_FULL') throw cause
    }
  }

  /** Brings the frames that are on the medium into the index. */
  private follow(durable: boolean): void {
    let dropped = false
    const began = performance.now()
    const behind = this.pending.length
    while (this.pending.length > 0) {
      const run = this.nextRun()
      const last = run.at(-1)
      if (last === undefined) break
      const drops = last.changes.dropBelow !== undefined
      const folded = new FoldedChanges()
      for (const { changes } of run) folded.add(changes)
      const stamp = putStamp(this.stampAt(last.next), this.digests)
      const drop = drops ? { dropBelow: last.changes.dropBelow } : {}
      // A segment goes only once no power cut can bring back an index that leads to it.
      this.ports.index.commit(
        { ...folded.changes(), ...drop, statements: [stamp] },
        durable || drops,
      )
      this.pending.splice(0, run.length)
      dropped ||= drops
    }
    this.pendingBytes = this.pending.reduce((sum, { bytes }) => sum + bytes, 0)
    if (dropped) this.removeSegments()
    if (this.pending.length === behind) return
    this.checkpoints += 1
    this.lastCheckpointMs = performance.now() - began
  }

  get figures(): IndexFigures {
    const { pendingBytes: behindBytes, checkpoints, lastCheckpointMs } = this
    const last = lastCheckpointMs === undefined ? {} : { lastCheckpointMs }
    return { behindBytes, checkpoints, ...last }
  }

  walUse(): WalUse | undefined {
    return this.ports.index.walUse()
  }

  /** Frames that go into the index in one transaction. */
  private nextRun(): readonly PendingFrame[] {
    const first = this.pending[0]
    if (first === undefined || first.next.number > this.flushed) return []
    if (standsAlone(first.changes)) return [first]
    const end = this.pending.findIndex(
      ({ changes, next }) => standsAlone(changes) || next.number > this.flushed,
    )
    return this.pending.slice(0, end < 0 ? this.pending.length : end)
  }

  /** Segments in front of the oldest batch hold nothing any more. */
  private removeSegments(): void {
    if (this.backups > 0) return
    const { directory, reader } = this.ports
    const [oldest] = reader.oldestRow()
    if (oldest?.ok === false) return
    const place = oldest === undefined ? undefined : readReference(oldest.batch.bytes)
    const first = place?.segment ?? this.end.segment
    const gone = listSegments(directory).filter(
      (segment) => segment < first && segment < this.end.segment,
    )
    for (const segment of gone) {
      reader.files.forget(segment)
      removeSegment(directory, segment)
    }
    if (gone.length > 0) syncDirectory(directory)
  }

  /**
   * The user's statements run in the index, and everything else of their transaction with them: all
   * that came before has to be there first.
   */
  private runStatements(changes: StoreChanges): void {
    this.sync()
    this.follow(false)
    const { batches = [], statements = [], dropBelow } = changes
    const rows = batches.length === 0 ? [] : this.writeFrame({ batches }, true)
    this.sync()
    const stamp = putStamp(this.stampAt(this.end), this.digests)
    this.ports.index.commit(
      { ...changes, batches: rows, statements: [stamp, ...statements] },
      // Flushed, asked or not: frames that are flushed after it must not outlive it.
      true,
    )
    this.pending = []
    this.pendingBytes = 0
    if (dropBelow !== undefined) this.removeSegments()
  }

  private repair(changes: StoreChanges): void {
    this.sync()
    this.follow(false)
    const { reader, index, directory } = this.ports
    const { repairs = [], ...rest } = changes
    const salt = saltOf(this.stampAt(this.end))
    const prepared = prepareRepairs(reader, repairs, salt, this.digests)
    // The rows first: their checks are the stricter ones, and refuse before anything is written.
    index.commit({ ...rest, repairs: prepared.map(({ row }) => row) }, true)
    for (const { place, bytes } of prepared) {
      const segment = WritableSegment.open(directory, place.segment)
      try {
        segment.write([bytes], place.byteAt)
        segment.sync()
      } finally {
        segment.close()
      }
    }
  }

  /** Copies everything committed, and some of what is committed meanwhile, to a directory. */
  async backup(to: string, cancelled: () => boolean): Promise<void> {
    if (this.broken !== undefined) throw this.broken
    const { directory: from, index, digests } = this.ports
    try {
      this.sync()
      this.follow(false)
    } catch (cause) {
      throw this.explained(cause)
    }
    this.backups += 1
    try {
      await copyStore({
        ...{ from, to, digests },
        copyIndex: (path) => index.backup(path, cancelled),
        cancelled: () => this.closed || cancelled(),
      })
    } finally {
      this.backups -= 1
      // What was dropped meanwhile; where it fails now, the next drop takes it as well.
      if (!this.closed && this.broken === undefined) this.removeDropped()
    }
  }

  private removeDropped(): void {
    try {
      this.removeSegments()
    } catch {
      // Nothing rests on it.
    }
  }

  inspect(): readonly StoreDamage[] {
    const { index, reader, directory } = this.ports
    const damage = [...index.inspect()]
    try {
      for (const segment of listSegments(directory)) {
        const page = reader.files.read(segment, 0, SEGMENT_HEADER_BYTES)
        const problem = headerProblem(page, segment, this.storeId, this.digests)
        if (problem === undefined) continue
        const key = segmentPath('', segment)
        damage.push({ table: 'file', key, reason: headerReasons[problem] })
      }
    } catch (cause) {
      throwIfRefused(cause, directory)
      throw cause
    }
    return damage
  }

  close(): void {
    try {
      if (this.broken === undefined) {
        this.sync()
        this.follow(true)
      }
    } catch {
      // What was flushed is in the segments; the next start brings the index after it.
    }
    this.closed = true
    this.spare.close()
    this.current?.close()
    this.current = undefined
    this.ports.endMark.close()
    this.ports.reader.close()
    this.ports.index.close()
  }
}

function isEmpty(changes: StoreChanges): boolean {
  const { meta, dropBelow, ...lists } = changes
  if (meta !== undefined || dropBelow !== undefined) return false
  return Object.values(lists).every((rows: readonly unknown[]) => rows.length === 0)
}
