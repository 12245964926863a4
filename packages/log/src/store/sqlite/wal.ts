/**
 * What a killed process left in the write-ahead log. A flush that failed before may have left pages
 * readable and yet not on the medium, so that what a start finds is written anew, where it is, and
 * synced before it is believed (LOG-65). Where every commit was flushed before the next one began,
 * only the last can be in doubt, and it alone is written; an empty file beside the log says so. It
 * need not outlive the system: after a power cut what can be read is what is on the medium.
 */
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  openSync,
  readSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import type { Database, Statement } from './driver.ts'
import { PAGE_BYTES } from './schema.ts'
import { isThere } from '../unreadable.ts'
import type { WalUse } from '../figures.ts'

/** One row of `PRAGMA wal_checkpoint`. */
export interface WalRow {
  /** 0: nothing was in the way. */
  readonly busy: number
  /** Pages in the write-ahead log, and how many of them are in the file; -1: not looked at. */
  readonly log: number
  readonly checkpointed: number
}

/** Says that every commit since the store was opened was flushed before the next one began. */
export class FlushMark {
  private readonly path: string
  private there = false

  /** `path` is that of the database. */
  constructor(path: string) {
    this.path = `${path}-flushed`
  }

  /** Of the life before. */
  get left(): boolean {
    return existsSync(this.path)
  }

  set(): void {
    try {
      writeFileSync(this.path, '')
      this.there = true
    } catch {
      // The next start after a crash takes longer.
    }
  }

  /** Before anything that makes it untrue; false where that could not be said. */
  remove(): boolean {
    if (!this.there) return true
    try {
      unlinkSync(this.path)
      this.there = false
      return true
    } catch {
      return this.isGone()
    }
  }

  /** False also where that cannot be told. */
  private isGone(): boolean {
    try {
      return !isThere(this.path)
    } catch {
      return false
    }
  }

  /** Takes away that of the life before. */
  forget(): void {
    rmSync(this.path, { force: true })
  }
}

/** The layout of the file, which SQLite's documentation fixes. */
export const headerBytes = 32
const frameHeaderBytes = 24
const frameBytes = frameHeaderBytes + PAGE_BYTES
/** Of the header, and of the head of a page. */
export const at = {
  pageBytes: 8,
  headerSalt: 16,
  checksum: 24,
  committed: 4,
  frameSalt: 8,
} as const
const saltBytes = 8

const chunkBytes = 1024 * 1024

/** What is written anew and synced in a few milliseconds. */
const soonBytesMax = 4 * 1024 * 1024

/** An opening has little to write anew, as far as the files say; `path` is that of the database. */
export function settlesSoon(path: string): boolean {
  try {
    if (new FlushMark(path).left) return true
    return (statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) <= soonBytesMax
  } catch {
    return false
  }
}

/** Bytes of `frames` pages in the write-ahead log. */
export function walBytesOf(frames: number): number {
  return frames * frameBytes
}

/** Pages in the write-ahead log that count. Nothing is copied. */
export function framesInWal(db: Database): number {
  const [row] = db.pragma('wal_checkpoint(NOOP)') as WalRow[]
  return Math.max(0, row?.log ?? 0)
}

/** Copies nothing and waits for nobody. `ask` is `PRAGMA wal_checkpoint(NOOP)`. */
export function walUse(ask: Statement): WalUse | undefined {
  try {
    const row = ask.get() as WalRow | undefined
    if (row === undefined || row.log < 0) return undefined
    const behind = Math.max(0, row.log - Math.max(0, row.checkpointed))
    return { bytes: walBytesOf(row.log), behindBytes: walBytesOf(behind) }
  } catch {
    // A connection that is closed or in a transaction, or a disk that cannot be read.
    return undefined
  }
}

/** Pages written to it since there were `before` in it; it may have begun anew between. */
export function framesSince(db: Database, before: number): number {
  const frames = framesInWal(db)
  return frames > before ? frames - before : frames
}

/** A run of bytes of the file. */
export interface WalRun {
  readonly from: number
  readonly to: number
}

/**
 * The last transaction of the write-ahead log, or all that counts of it. Undefined where there is
 * nothing in it, or where the file is not as it should be.
 */
export function runInDoubt(db: Database, path: string, lastOnly: boolean): WalRun | undefined {
  const frames = framesInWal(db)
  if (frames === 0) return undefined
  // No lock of SQLite is on this file, so that closing it lets go of none.
  const descriptor = openSync(`${path}-wal`, 'r')
  try {
    const last = firstOfLastCommit(descriptor, frames)
    if (last === undefined) return undefined
    // The header goes with the first frame behind it.
    return { from: lastOnly && last > 0 ? placeOf(last) : 0, to: placeOf(frames) }
  } finally {
    closeSync(descriptor)
  }
}

/** Writes what is in doubt anew and syncs it; false where there was nothing. */
export function rewriteWal(db: Database, path: string, lastOnly: boolean): boolean {
  const run = runInDoubt(db, path, lastOnly)
  if (run === undefined) return false
  const descriptor = openSync(`${path}-wal`, 'r+')
  try {
    rewrite(descriptor, run)
    fdatasyncSync(descriptor)
    return true
  } finally {
    closeSync(descriptor)
  }
}

function placeOf(frame: number): number {
  return headerBytes + frame * frameBytes
}

/** Number of the frame with which the last transaction begins. */
function firstOfLastCommit(descriptor: number, frames: number): number | undefined {
  const header = Buffer.alloc(headerBytes)
  if (readSync(descriptor, header, 0, headerBytes, 0) !== headerBytes) return undefined
  if (header.readUInt32BE(at.pageBytes) !== PAGE_BYTES) return undefined
  const salt = header.subarray(at.headerSalt, at.headerSalt + saltBytes)
  const frame = Buffer.alloc(frameHeaderBytes)
  for (let number = frames - 1; number >= 0; number -= 1) {
    const got = readSync(descriptor, frame, 0, frameHeaderBytes, placeOf(number))
    if (got !== frameHeaderBytes) return undefined
    if (!frame.subarray(at.frameSalt, at.frameSalt + saltBytes).equals(salt)) return undefined
    const ends = frame.readUInt32BE(at.committed) !== 0
    if (number === frames - 1) {
      if (!ends) return undefined
    } else if (ends) return number + 1
  }
  return 0
}

function rewrite(descriptor: number, { from, to }: WalRun): void {
  const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, to - from))
  for (let byteAt = from; byteAt < to;) {
    const got = readSync(descriptor, chunk, 0, Math.min(chunk.length, to - byteAt), byteAt)
    if (got === 0) throw new Error('the write-ahead log ended while it was read')
    for (let written = 0; written < got;) {
      written += writeSync(descriptor, chunk, written, got - written, byteAt + written)
    }
    byteAt += got
  }
}
