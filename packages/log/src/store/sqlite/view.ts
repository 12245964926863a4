/**
 * A store as another process may look at it while its writer goes on (LOG-52). Nothing is written,
 * no lock is taken that a commit or a checkpoint waits for longer than one read takes.
 */
import { statSync } from 'node:fs'
import type { Digests, StoreState } from '@kith/interface'
import { LogError } from '../../errors.ts'
import type { Database } from './driver.ts'
import { openDatabase, sqliteCode } from './driver.ts'
import { databasePath, openError } from './open.ts'
import { createReader } from './reader.ts'
import type { SqliteReader } from './reader.ts'
import { APPLICATION_ID, FORMAT } from './schema.ts'
import { checkFile, fileAt, syncRead } from '../view.ts'
import type { FileIdentity, StoreView, ViewFigures } from '../view.ts'
import { ioError } from '../unreadable.ts'

/** How long a reader waits where another process recovers the file. */
const lockMs = 1_000

export function openSqliteView(directory: string, digests: Digests): StoreView {
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

export function checkKind(db: Database, path: string): void {
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
export function busyError(cause: unknown, path: string): LogError | undefined {
  if (!sqliteCode(cause).startsWith('SQLITE_BUSY')) return undefined
  return new LogError('ERR_LOG_LOCKED', `${path} is being recovered; read again later`, { cause })
}

class View implements StoreView {
  readonly reader: SqliteReader
  synced = false
  private readonly db: Database
  private readonly path: string
  private readonly file: FileIdentity
  private readonly begin
  private readonly end
  private version = -1

  constructor(db: Database, path: string, digests: Digests) {
    this.db = db
    this.path = path
    this.file = fileAt(path)
    this.reader = createReader(db, digests)
    this.begin = db.prepare('BEGIN')
    this.end = db.prepare('COMMIT')
  }

  atOnce<Result>(changed: (state: StoreState) => void, ask: () => Result): Result {
    try {
      this.begin.run()
      try {
        const version = this.db.pragma('data_version', { simple: true }) as number
        if (version !== this.version) {
          this.synced = false
          this.look(changed)
        }
        this.version = version
        return ask()
      } finally {
        if (this.db.inTransaction) this.end.run()
      }
    } catch (cause) {
      throw busyError(cause, this.path) ?? ioError(cause, this.path) ?? cause
    } finally {
      // Also before an error, which may tell where the log ends.
      if (!this.synced) this.sync()
    }
  }

  private look(changed: (state: StoreState) => void): void {
    checkFile(this.path, this.file)
    const format = this.db.pragma('user_version', { simple: true }) as number
    if (format !== FORMAT) throw formatError(this.path, format)
    changed(this.reader.state())
  }

  /**
   * A commit without flush can be read already, and another process does not know of it. The
   * write-ahead log has all that is not in the file yet; what is, was synced when it was copied.
   */
  private sync(): void {
    syncRead(`${this.path}-wal`)
    this.synced = true
  }

  figures(): ViewFigures {
    const wal = this.reader.walUse()
    return wal === undefined ? {} : { walBytes: wal.bytes, checkpointLagBytes: wal.behindBytes }
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
