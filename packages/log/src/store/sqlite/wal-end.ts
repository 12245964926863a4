/**
 * Up to which page the write-ahead log was flushed, and whether a start finds as much (LOG-84).
 * SQLite ends it at the first page that does not pass its check, as it must after a power cut, and
 * begins there anew.
 */
import { openSync, readSync } from 'node:fs'
import type { Digests } from '@kith/interface'
import { LogError } from '../../errors.ts'
import { closeQuietly, databaseEndPath, END_ID_BYTES, EndMark } from '../end-mark.ts'
import { openDatabase } from './driver.ts'
import type { Database, Statement } from './driver.ts'
import { at, framesInWal, headerBytes } from './wal.ts'
import type { WalRow } from './wal.ts'

/** The salt of the first page. */
const firstSaltAt = headerBytes + at.frameSalt
const headBytes = firstSaltAt + END_ID_BYTES
/** The lowest bit says in which order the checksums read their words. */
const magics = [0x377f_0682, 0x377f_0683]

export class WalEnd {
  private readonly path: string
  private readonly mark: EndMark
  private readonly salt: Uint8Array = new Uint8Array(END_ID_BYTES)
  private wal: number | undefined

  constructor(path: string, digests: Digests) {
    this.path = `${path}-wal`
    this.mark = new EndMark(databaseEndPath(path), digests)
  }

  /** After a flush: all of it is on the medium. `ask` is `PRAGMA wal_checkpoint(NOOP)`. */
  note(ask: Statement): void {
    try {
      const row = ask.get() as WalRow | undefined
      if (row === undefined || row.log <= 0) return
      // No lock of SQLite is on this file, so that closing it lets go of none.
      this.wal ??= openSync(this.path, 'r')
      // It begins anew under another salt, whenever SQLite finds all of it copied.
      if (readSync(this.wal, this.salt, 0, END_ID_BYTES, at.headerSalt) !== END_ID_BYTES) return
      this.mark.write({ id: this.salt, count: row.log })
    } catch {
      // What was noted before holds, for less.
    }
  }

  close(): void {
    if (this.wal !== undefined) closeQuietly(this.wal)
    this.wal = undefined
    this.mark.close()
  }
}

/** What is wrong where pages that were flushed are missing. */
export function lostPages(db: Database, path: string, digests: Digests): LogError | undefined {
  const flushed = flushedPages(path, digests)
  if (flushed === undefined) return undefined
  const there = framesInWal(db)
  if (there >= flushed) return undefined
  return new LogError(
    'ERR_LOG_CORRUPT',
    `${path}-wal is damaged: it ends at page ${there} of the ${flushed} that were flushed. ` +
      `Open the log with readOnly to read what is before, or delete ${databaseEndPath(path)} to go on without ` +
      'what is behind',
    { details: { path: `${path}-wal`, there, flushed } },
  )
}

/** Pages that the write-ahead log must have; undefined where it is another one, or none. */
function flushedPages(path: string, digests: Digests): number | undefined {
  const noted = new EndMark(databaseEndPath(path), digests).read()
  const head = noted === undefined ? undefined : headOf(`${path}-wal`)
  if (noted === undefined || head === undefined) return undefined
  const isOf = (saltAt: number): boolean =>
    head.subarray(saltAt, saltAt + END_ID_BYTES).equals(noted.id)
  // A header that was damaged is told from that of the next write-ahead log by the page behind it.
  const same = isOf(at.headerSalt) || (!isHeader(head) && isOf(firstSaltAt))
  return same ? noted.count : undefined
}

/** Header and, where there is one, the head of the first page; undefined where there is less. */
function headOf(path: string): Buffer | undefined {
  const head = Buffer.alloc(headBytes)
  let descriptor: number
  try {
    descriptor = openSync(path, 'r')
  } catch {
    return undefined
  }
  try {
    return readSync(descriptor, head, 0, headBytes, 0) >= headerBytes ? head : undefined
  } catch {
    return undefined
  } finally {
    closeQuietly(descriptor)
  }
}

/** Whether it passes the check of SQLite's format. */
function isHeader(head: Buffer): boolean {
  const magic = head.readUInt32BE(0)
  if (!magics.includes(magic)) return false
  const word = (byte: number): number =>
    (magic & 1) === 1 ? head.readUInt32BE(byte) : head.readUInt32LE(byte)
  let [one, two] = [0, 0]
  for (let byte = 0; byte < at.checksum; byte += 8) {
    one = (one + word(byte) + two) >>> 0
    two = (two + word(byte + 4) + one) >>> 0
  }
  return head.readUInt32BE(at.checksum) === one && head.readUInt32BE(at.checksum + 4) === two
}

/**
 * Closes the last connection that writes without what SQLite does then, which is to copy the
 * write-ahead log and to take it away: it stays for whoever looks at it.
 */
export function closeUnchanged(db: Database, path: string): void {
  const reader = openDatabase(path, { readonly: true })
  try {
    reader.exec('BEGIN')
    reader.prepare('SELECT count(*) FROM sqlite_schema').get()
  } finally {
    db.close()
    reader.close()
  }
}
