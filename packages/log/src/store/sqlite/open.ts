/** Opening the file: the directory, the writer's lock, recovery, and what errors there mean. */
import { closeSync, fsyncSync, mkdirSync, openSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import type { Digests, StoreDamage } from '@kith/interface'
import { LogError } from '../../errors.ts'
import { openDatabase, sqliteCode } from './driver.ts'
import type { Database } from './driver.ts'
import { PAGE_BYTES, prepareSchema } from './schema.ts'
import { framesInWal, rewriteWal } from './wal.ts'
import type { FlushMark, WalRow } from './wal.ts'
import { closeUnchanged, lostPages } from './wal-end.ts'
import { isIoError } from '../unreadable.ts'

/**
 * A write-ahead log that grew beyond this is cut back when it is started over. Under load it grows
 * to as much each time, and writing over what is there is cheaper than growing again.
 */
const WAL_KEPT_BYTES = 128 * 1024 * 1024

/** How long the writer waits for a lock that a reader of another process may have. */
export const LOCK_MS = 5_000

export function databasePath(directory: string): string {
  return join(directory, 'log.db')
}

/**
 * Makes the directory and syncs every parent that got a new entry, so that it outlives a power
 * cut.
 */
export function makeDirectory(directory: string): void {
  try {
    const made = mkdirSync(directory, { recursive: true })
    if (made === undefined) return
    const top = dirname(resolve(made))
    for (let path = resolve(directory); path !== top; path = dirname(path)) syncPath(dirname(path))
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause)
    throw new LogError('ERR_LOG_DIRECTORY', `cannot use the directory ${directory}: ${text}`, {
      cause,
    })
  }
}

function syncPath(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** The lock is an open transaction on a database beside the log: the system frees it on death. */
export function takeLock(directory: string): Database {
  const path = join(directory, 'writer.lock')
  let lock: Database | undefined
  try {
    lock = openDatabase(path, { timeout: 0 })
    lock.exec('BEGIN EXCLUSIVE')
    return lock
  } catch (cause) {
    lock?.close()
    if (!sqliteCode(cause).startsWith('SQLITE_BUSY')) throw openError(cause, path)
    throw new LogError(
      'ERR_LOG_LOCKED',
      `another writer, in this process or another, has the log in ${directory} open`,
      { cause, details: { directory } },
    )
  }
}

interface WritingOptions {
  readonly fileBytesMax?: number
}

export function openForWriting(
  path: string,
  { fileBytesMax }: WritingOptions,
  digests: Digests,
  mark: FlushMark,
): Database {
  const db = openDatabase(path, { timeout: LOCK_MS })
  try {
    // Takes effect for a new file only.
    db.pragma(`page_size=${PAGE_BYTES}`)
    db.pragma('cell_size_check=ON')
    beginWal(db, path)
    const lost = lostPages(db, path, digests)
    if (lost !== undefined) {
      closeUnchanged(db, path)
      throw lost
    }
    // Before anything else is written: it is the end of the life before that is in doubt.
    const settled = rewriteWal(db, path, mark.left)
    prepareSchema(db, path, digests)
    // Old row contents are overwritten, so that a damaged pointer cannot bring one back.
    db.pragma('secure_delete=ON')
    if (fileBytesMax !== undefined) {
      db.pragma(`max_page_count=${Math.max(1, Math.floor(fileBytesMax / PAGE_BYTES))}`)
    }
    // What fails in one that SQLite makes by itself nobody would hear of.
    db.pragma('wal_autocheckpoint=0')
    if (!settled) {
      mark.forget()
      recoverWal(db, path)
    }
    db.pragma(`journal_size_limit=${WAL_KEPT_BYTES}`)
    return db
  } catch (cause) {
    db.close()
    throw cause
  }
}

/**
 * Copies all of it into the file, and syncs that. Readers of other processes may hold it up for as
 * long as the lock is waited for, not longer.
 */
function recoverWal(db: Database, path: string): void {
  const [row] = db.pragma('wal_checkpoint(TRUNCATE)') as WalRow[]
  if (row?.busy === 0 || (row !== undefined && row.log >= 0 && row.log === row.checkpointed)) return
  throw new LogError(
    'ERR_LOG_LOCKED',
    `a reader of another process stands still in ${path} and keeps what a crash left from being ` +
      'recovered: end it, and start the log again',
    { details: { directory: dirname(path) } },
  )
}

function beginWal(db: Database, path: string): void {
  const mode = db.pragma('journal_mode=WAL', { simple: true })
  if (mode !== 'wal') {
    throw new LogError(
      'ERR_LOG_DIRECTORY',
      `${path} cannot use a write-ahead log (SQLite stays in mode ${String(mode)}): the file ` +
        'system must be a local one',
    )
  }
  db.pragma('synchronous=FULL')
}

export function openError(cause: unknown, path: string): unknown {
  if (cause instanceof LogError && !isIoError(cause)) return cause
  const code = sqliteCode(cause)
  const text = cause instanceof Error ? cause.message : String(cause)
  const damaged = code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB'
  if (damaged || code === 'SQLITE_ERROR') {
    return new LogError('ERR_LOG_CORRUPT', `${path} is damaged: ${text}`, { cause })
  }
  if (code === 'SQLITE_FULL') {
    return new LogError('ERR_LOG_STORE_FULL', `no space to open ${path}: ${text}`, { cause })
  }
  return new LogError('ERR_LOG_DIRECTORY', `cannot open ${path}: ${text}`, { cause })
}

/** A header that speaks of another length would have new pages written over old ones. */
export function fileDamage(db: Database, path: string): readonly StoreDamage[] {
  const pages = db.pragma('page_count', { simple: true }) as number
  const size = db.pragma('page_size', { simple: true }) as number
  const length = statSync(path).size
  // What is in the write-ahead log alone makes the file longer once it is copied.
  const whole = length === pages * size || (length < pages * size && framesInWal(db) > 0)
  if (whole) return []
  const reason = `the file has ${length} bytes, its header speaks of ${pages} pages of ${size}`
  return [{ table: 'file', key: '', reason }]
}
