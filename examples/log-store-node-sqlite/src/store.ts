import { closeSync, fsyncSync, mkdirSync, openSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { isKithError, KithError } from '@kith/interface'
import type {
  LogStore,
  LogStoreFactory,
  LogStoreReader,
  StoreChanges,
  StoreDamage,
  StoreState,
} from '@kith/interface'
import { Batches } from './batches.ts'
import { SmallRows } from './small-rows.ts'

export interface NodeSqliteStoreOptions {
  /** Made where it is missing. The log is `log.sqlite` in it. */
  readonly directory: string
}

/** For `createLog({ store: nodeSqliteStore({ directory }) })`. */
export function nodeSqliteStore({ directory }: NodeSqliteStoreOptions): LogStoreFactory {
  return () => new NodeSqliteStore(directory)
}

class NodeSqliteStore implements LogStore {
  readonly durable = true
  /** Nobody else's tables are in this file. */
  readonly statements = false
  private readonly directory: string
  private session: Session | undefined

  constructor(directory: string) {
    this.directory = directory
  }

  open(): StoreState {
    this.session = openSession(this.directory)
    return this.session.state()
  }

  commit(changes: StoreChanges, flush: boolean): void {
    this.opened().commit(changes, flush)
  }

  /**
   * Over the connection that writes: calls come one at a time, and between them no transaction is
   * open, so that it sees what is committed and nothing else.
   */
  reader(): LogStoreReader {
    const { batches } = this.opened()
    return {
      atOffset: (offset) => batches.atOffset(offset),
      fromOffset: (offset, bytesMax) => batches.fromOffset(offset, bytesMax),
      atSequence: (origin, sequence) => batches.atSequence(origin, sequence),
      fromSequence: (origin, sequence, bytesMax) =>
        batches.fromSequence(origin, sequence, bytesMax),
      state: () => this.opened().state(),
      close: () => {},
    }
  }

  inspect(): readonly StoreDamage[] {
    return this.session?.inspect() ?? []
  }

  close(): void {
    this.session?.db.close()
    this.session = undefined
  }

  private opened(): Session {
    if (this.session !== undefined) return this.session
    throw new KithError('ERR_LOG_CLOSED', `the store in ${this.directory} is not open`)
  }
}

/** `SQLITE_BUSY`, `SQLITE_FULL` and so on, without what SQLite adds in the higher bits. */
const codes = { busy: 5, io: 10, corrupt: 11, full: 13, notADatabase: 26 }

/** A page that could not be read is listed among what was found, with the code of an I/O error. */
const pageRefused = /failed to get page|error code=(10|266|8458)$/

function unreadable(code: string, text: string, cause?: unknown): KithError {
  return new KithError('ERR_LOG_IO', `the log cannot be read: ${text}`, {
    cause,
    details: { code },
  })
}

function codeOf(cause: unknown): number {
  return ((cause as { errcode?: number }).errcode ?? 0) & 0xff
}

const attemptsMax = 3

/**
 * SQLite calls malformed what the medium refused to give as well. Only what is so again, over
 * connections that know no page yet, is damage: a disk that is gone is told as what it is then.
 */
function openSession(directory: string): Session {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return tryToOpen(directory)
    } catch (cause) {
      const doubtful = codeOf(cause) === codes.corrupt && attempt < attemptsMax
      if (!doubtful) throw openError(cause, directory)
    }
  }
}

function tryToOpen(directory: string): Session {
  const path = join(directory, 'log.sqlite')
  let db: DatabaseSync | undefined
  try {
    makeDirectory(directory)
    db = new DatabaseSync(path, { timeout: 0 })
    // The writer's lock: held from the first transaction on, and freed by the system on death.
    db.exec('PRAGMA locking_mode=EXCLUSIVE')
    db.exec('PRAGMA journal_mode=WAL')
    db.exec('PRAGMA synchronous=FULL')
    // What was deleted is overwritten, so that no damaged pointer brings it back.
    db.exec('PRAGMA secure_delete=ON')
    db.exec('PRAGMA cell_size_check=ON')
    const session = new Session(db)
    // What a crash left was perhaps never flushed: now it is.
    db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
    return session
  } catch (cause) {
    db?.close()
    throw cause
  }
}

function openError(cause: unknown, directory: string): KithError {
  const code = codeOf(cause)
  const text = cause instanceof Error ? cause.message : String(cause)
  if (code === codes.busy) {
    return new KithError('ERR_LOG_LOCKED', `another writer has the log in ${directory} open`, {
      cause,
    })
  }
  if (code === codes.corrupt || code === codes.notADatabase) {
    return new KithError('ERR_LOG_CORRUPT', `the log in ${directory} is damaged: ${text}`, {
      cause,
    })
  }
  return new KithError('ERR_LOG_DIRECTORY', `cannot open the log in ${directory}: ${text}`, {
    cause,
  })
}

/** A directory that is new outlives a power cut only where the one above it was flushed. */
function makeDirectory(directory: string): void {
  const made = mkdirSync(directory, { recursive: true })
  if (made === undefined) return
  const top = dirname(resolve(made))
  for (let path = resolve(directory); path !== top; path = dirname(path)) {
    const above = openSync(dirname(path), 'r')
    fsyncSync(above)
    closeSync(above)
  }
}

class Session {
  readonly db: DatabaseSync
  readonly batches: Batches
  private readonly rows: SmallRows
  private flushing = true

  constructor(db: DatabaseSync) {
    this.db = db
    this.batches = new Batches(db)
    this.rows = new SmallRows(db)
  }

  state(): StoreState {
    return { ...this.rows.state(), nextOffset: this.batches.nextOffset() }
  }

  commit(changes: StoreChanges, flush: boolean): void {
    // In a write-ahead log one flush covers everything that was committed before it.
    if (flush !== this.flushing) this.db.exec(`PRAGMA synchronous=${flush ? 'FULL' : 'NORMAL'}`)
    this.flushing = flush
    try {
      this.db.exec('BEGIN IMMEDIATE')
      this.batches.write(changes)
      // Always writes a row, so that a commit without changes flushes as well.
      this.rows.write(changes)
      this.db.exec('COMMIT')
    } catch (cause) {
      this.rollback()
      this.rows.reload()
      if (codeOf(cause) !== codes.full) throw cause
      throw new KithError('ERR_LOG_STORE_FULL', 'no space for the commit', { cause })
    }
  }

  /** Some errors have rolled back already. */
  private rollback(): void {
    try {
      this.db.exec('ROLLBACK')
    } catch {
      // Where it failed for another reason the next call fails as well.
    }
  }

  inspect(): readonly StoreDamage[] {
    const found: StoreDamage[] = []
    try {
      for (const row of this.db.prepare('PRAGMA integrity_check(100)').iterate()) {
        const reason = String(row['integrity_check'])
        if (pageRefused.test(reason)) throw unreadable('SQLITE_IOERR', reason)
        if (reason !== 'ok') found.push({ table: 'file', key: '', reason })
      }
      return found
    } catch (cause) {
      // Who could not look has not seen damage.
      if (isKithError(cause)) throw cause
      if (codeOf(cause) === codes.io) throw unreadable('SQLITE_IOERR', String(cause), cause)
      return [{ table: 'file', key: '', reason: `it cannot be inspected: ${String(cause)}` }]
    }
  }
}
