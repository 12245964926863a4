/**
 * A store as another process may look at it while its writer goes on (LOG-52). Nothing is written,
 * no lock is taken that a commit or a checkpoint waits for longer than one read takes.
 */
import { closeSync, fdatasyncSync, openSync, statSync } from 'node:fs'
import type { Digests, LogStoreReader, StoreState } from '@kith/interface'
import { LogError } from '../../errors.ts'
import type { Database } from './driver.ts'
import { openDatabase, sqliteCode } from './driver.ts'
import { databasePath, openError } from './open.ts'
import { createReader } from './reader.ts'
import { APPLICATION_ID, FORMAT } from './schema.ts'

export interface SqliteView {
  readonly reader: LogStoreReader
  /**
   * Runs `ask` at one point of the log, and first tells `changed` of everything but the batches
   * where that is not what it was told last. What was read is on the medium when this returns.
   */
  atOnce<Result>(changed: (state: StoreState) => void, ask: () => Result): Result
  close(): void
}

/** How long a reader waits where another process recovers the file. */
const lockMs = 1_000

export function openSqliteView(directory: string, digests: Digests): SqliteView {
  const path = databasePath(directory)
  if (statSync(path, { throwIfNoEntry: false }) === undefined) {
    throw new LogError('ERR_LOG_DIRECTORY', `${directory} holds no log that could be read`)
  }
  let db: Database | undefined
  try {
    db = openDatabase(path, { readonly: true, fileMustExist: true, timeout: lockMs })
    db.pragma('cell_size_check=ON')
    db.pragma('cache_size=-2000')
    checkKind(db, path)
    return new View(db, path, digests)
  } catch (cause) {
    db?.close()
    throw busyError(cause, path) ?? openError(cause, path)
  }
}

function checkKind(db: Database, path: string): void {
  const id = db.pragma('application_id', { simple: true })
  // Nothing at all: a writer has made the file and not begun it.
  if (id === 0 && db.pragma('schema_version', { simple: true }) === 0) throw notBegun(path)
  if (id === APPLICATION_ID) return
  throw new LogError('ERR_LOG_FORMAT', `${path} is a SQLite file, but not a log of Kith`)
}

export function notBegun(path: string): LogError {
  return new LogError('ERR_LOG_NOT_READY', `${path} was not begun yet: start its writer first`)
}

/** Undefined where the cause is another one. */
function busyError(cause: unknown, path: string): LogError | undefined {
  if (!sqliteCode(cause).startsWith('SQLITE_BUSY')) return undefined
  return new LogError('ERR_LOG_LOCKED', `${path} is being recovered; read again later`, { cause })
}

class View implements SqliteView {
  readonly reader: LogStoreReader
  private readonly db: Database
  private readonly path: string
  private readonly file: { readonly dev: number; readonly ino: number }
  private readonly begin
  private readonly end
  private version = -1

  constructor(db: Database, path: string, digests: Digests) {
    this.db = db
    this.path = path
    this.file = statSync(path)
    this.reader = createReader(db, digests)
    this.begin = db.prepare('BEGIN')
    this.end = db.prepare('COMMIT')
  }

  atOnce<Result>(changed: (state: StoreState) => void, ask: () => Result): Result {
    let fresh = false
    let result: Result
    try {
      this.begin.run()
      try {
        const version = this.db.pragma('data_version', { simple: true }) as number
        fresh = version !== this.version
        if (fresh) this.look(changed)
        this.version = version
        result = ask()
      } finally {
        if (this.db.inTransaction) this.end.run()
      }
    } catch (cause) {
      throw busyError(cause, this.path) ?? cause
    }
    if (fresh) this.sync()
    return result
  }

  private look(changed: (state: StoreState) => void): void {
    const now = statSync(this.path, { throwIfNoEntry: false })
    if (now?.ino !== this.file.ino || now.dev !== this.file.dev) {
      throw new LogError(
        'ERR_LOG_DIRECTORY',
        `${this.path} is not the file that was opened: open the log again`,
      )
    }
    const format = this.db.pragma('user_version', { simple: true }) as number
    if (format !== FORMAT) throw formatError(this.path, format)
    changed(this.reader.state())
  }

  /**
   * A commit without flush can be read already, and another process does not know of it. The
   * write-ahead log has all that is not in the file yet; what is, was synced when it was copied.
   */
  private sync(): void {
    let descriptor: number | undefined
    try {
      descriptor = openSync(`${this.path}-wal`, 'r')
      fdatasyncSync(descriptor)
    } catch (cause) {
      const { code } = cause as { code?: string }
      // On a medium that nobody can write to there is nothing to wait for.
      if (code === 'ENOENT' || code === 'EROFS' || code === 'EINVAL') return
      this.version = -1
      const text = cause instanceof Error ? cause.message : String(cause)
      throw new LogError(
        'ERR_LOG_DIRECTORY',
        `whether what was read from ${this.path} is on the disk cannot be told: ${text}`,
        { cause },
      )
    } finally {
      if (descriptor !== undefined) closeSync(descriptor)
    }
  }

  close(): void {
    this.reader.close()
  }
}

function formatError(path: string, format: number): LogError {
  const what =
    format < FORMAT
      ? 'its writer brings it forward when it starts with this version'
      : 'run the version that writes it'
  return new LogError(
    'ERR_LOG_FORMAT',
    `${path} has format ${format}; a reader of this version knows format ${FORMAT} alone: ${what}`,
    { details: { format, known: FORMAT } },
  )
}
