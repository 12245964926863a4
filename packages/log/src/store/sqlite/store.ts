/** The SQLite store (LOG-20 to LOG-28): one file, one writer, every transaction all or nothing. */
import type {
  Digests,
  LogStatement,
  LogStore,
  LogStoreFactory,
  OriginId,
  StoreChanges,
  StoredBatch,
  StoreDamage,
  StoredMeta,
} from '@kith/interface'
import { nodeDigests } from '@kith/interface/node'
import { LogError } from '../../errors.ts'
import { indexPath } from '../segment/place.ts'
import { inspectPages, readAnew } from './anew.ts'
import { batchCrc } from './batch-row.ts'
import { WalKeeper } from './checkpoint.ts'
import { sqliteCode } from './driver.ts'
import type { Database, Statement } from './driver.ts'
import { healMeta } from './heal.ts'
import { loadRows } from './load.ts'
import type { LoadedRows } from './load.ts'
import {
  databasePath,
  fileDamage,
  makeDirectory,
  openError,
  openForWriting,
  takeLock,
} from './open.ts'
import { openSqliteReader } from './reader.ts'
import { repairBatch } from './repair.ts'
import {
  bytesOf,
  cursorValues,
  holeValues,
  metaValues,
  originValues,
  replicaValues,
  producerValues,
  rowCrc,
} from './rows.ts'
import type { Value } from './rows.ts'
import {
  batchColumns,
  FORMAT,
  metaColumns,
  PAGE_BYTES,
  prepareInsert,
  smallTableNames,
  smallTables,
} from './schema.ts'
import type { SmallTable } from './schema.ts'
import { FlushMark, framesInWal, framesSince, walBytesOf, walUse } from './wal.ts'
import { WalEnd } from './wal-end.ts'
import type { WalRestart, WalUse } from '../figures.ts'
import { isIoError, isThere } from '../unreadable.ts'

export interface SqliteStoreOptions {
  readonly directory: string
  /**
   * Who copies the write-ahead log into the file: `automatic`, within a commit now and then
   * (default), or `managed`, where the caller does with `checkpoint`.
   */
  readonly checkpoints?: 'automatic' | 'managed'
  /**
   * Bytes the database file may have, rounded down to pages of 16 KiB; a transaction beyond fails
   * with `ERR_LOG_STORE_FULL`, as on a full disk. Default: as the disk allows.
   */
  readonly fileBytesMax?: number
  readonly digests?: Digests
}

export interface SqliteStore extends LogStore {
  /** Throws `ERR_LOG_IO` where it could not look, which says nothing of damage (LOG-71). */
  inspect(): readonly StoreDamage[]
  /**
   * Copies what is left of the write-ahead log into the file, and starts it over. `hasTime`: where
   * readers are in the way for more than a moment, later will do.
   */
  restartWal(hasTime?: boolean): WalRestart
  /**
   * Copies everything committed, and what is committed meanwhile, to a new file at `path`, a few
   * pages at a time; gives up where `cancelled` says so.
   */
  backup(path: string, cancelled: () => boolean): Promise<void>
  /** Bytes written to the write-ahead log since it was started over, roughly. */
  readonly walBytes: number
  /** What is to be copied of it, since the store was opened: batches, and pages of statements. */
  readonly freshBytes: number
  /** Exactly, from the file's shared memory; undefined where that cannot be told. */
  walUse(): WalUse | undefined
  /** Closes it for another that opens it at once; a reader that has it open keeps its log. */
  handOver(): void
}

/** Pages copied at a time: 1 MiB, between which commits get their turn. */
const backupPages = 64

/** A store in `directory`, which is made where missing. */
export function sqliteStore(options: SqliteStoreOptions): LogStoreFactory {
  return () => createSqliteStore(options)
}

/** `locked`: the caller has the writer's lock, and keeps it for as long as the store is open. */
export function createSqliteStore(options: SqliteStoreOptions, locked = false): SqliteStore {
  const { directory, digests = nodeDigests, checkpoints = 'automatic' } = options
  const path = databasePath(directory)
  let session: Session | undefined
  const mustBeOpen = (): Session => {
    if (session !== undefined) return session
    throw new LogError('ERR_LOG_CLOSED', `the store in ${directory} is not open`)
  }
  return {
    durable: true,
    statements: true,
    get walBytes() {
      return session?.wal.bytes ?? 0
    },
    get freshBytes() {
      return session?.wal.freshBytes ?? 0
    },
    open() {
      refuseSegments(directory, path)
      makeDirectory(directory)
      const lock = locked ? undefined : takeLock(directory)
      try {
        const mark = new FlushMark(path)
        return readAnew(path, tablesAtStart, () => {
          const opened = openAndLoad(path, options, digests, mark)
          const { db, loaded, damage } = opened
          const wal = new WalKeeper(db, mark)
          const end = new WalEnd(path, digests)
          session = new Session({ db, lock, mark, wal, end }, digests, loaded)
          return { ...loaded.state, damage }
        })
      } catch (cause) {
        lock?.close()
        throw openError(cause, path)
      }
    },
    walUse: () => session?.walUse(),
    commit(changes, flush) {
      mustBeOpen().commit(changes, flush)
      if (checkpoints === 'automatic') session?.wal.copyIfLong()
    },
    reader: () => openSqliteReader(path, digests),
    inspect: () => mustBeOpen().inspect(),
    restartWal: (hasTime = false) => mustBeOpen().wal.restart(hasTime),
    async backup(to, cancelled) {
      await mustBeOpen().backup(to, cancelled)
    },
    handOver() {
      session?.closeConnection()
      session = undefined
    },
    close() {
      session?.close()
      session = undefined
    },
  }
}

function refuseSegments(directory: string, path: string): void {
  try {
    if (!isThere(indexPath(directory))) return
  } catch (cause) {
    throw openError(cause, path)
  }
  throw new LogError(
    'ERR_LOG_FORMAT',
    `${directory} holds a log in segments: open it with the segment store`,
  )
}

/** What an opening reads. */
const tablesAtStart = [
  'sqlite_schema',
  'kith_meta',
  ...smallTableNames.map((name) => smallTables[name].table),
]

interface Loaded {
  readonly db: Database
  readonly loaded: LoadedRows
  readonly damage: readonly StoreDamage[]
}

function openAndLoad(
  path: string,
  options: SqliteStoreOptions,
  digests: Digests,
  mark: FlushMark,
): Loaded {
  const db = openForWriting(path, options, digests, mark)
  try {
    const found = loadRows(db, digests)
    const ofFile = fileDamage(db, path)
    const loaded = ofFile.length > 0 ? found : healMeta(db, found, digests)
    return { db, loaded, damage: [...loaded.state.damage, ...ofFile] }
  } catch (cause) {
    db.close()
    throw cause
  }
}

/** What an open store has of the system. */
interface Opened {
  readonly db: Database
  /** Undefined where the caller has it. */
  readonly lock: Database | undefined
  readonly mark: FlushMark
  readonly wal: WalKeeper
  readonly end: WalEnd
}

/** An open store. */
class Session {
  readonly wal: WalKeeper
  private readonly db: Database
  private readonly lock: Database | undefined
  private readonly mark: FlushMark
  private readonly flushedEnd: WalEnd
  private readonly digests: Digests
  private readonly ids: Record<SmallTable, Map<string, number>>
  private readonly nextIds: Record<SmallTable, number>
  private readonly counts: Record<SmallTable, number>
  private meta: StoredMeta | undefined
  /** Takes back what the transaction under way noted in memory. */
  private undo: (() => void)[] = []
  private synchronous: 'FULL' | 'NORMAL' = 'FULL'
  private readonly begin: Statement
  private readonly end: Statement
  private readonly insertBatch: Statement
  private readonly dropBatches: Statement
  private readonly putMeta: Statement
  private readonly touch: Statement
  private readonly askWal: Statement
  private readonly put: Record<SmallTable, Statement>
  private readonly remove: Record<SmallTable, Statement>

  constructor({ db, lock, mark, wal, end }: Opened, digests: Digests, loaded: LoadedRows) {
    this.db = db
    this.lock = lock
    this.mark = mark
    this.flushedEnd = end
    this.wal = wal
    this.digests = digests
    this.meta = loaded.state.meta
    this.nextIds = { ...loaded.nextIds }
    this.counts = { ...loaded.counts }
    const perTable = <Result>(make: (name: SmallTable) => Result): Record<SmallTable, Result> =>
      Object.fromEntries(smallTableNames.map((name) => [name, make(name)])) as Record<
        SmallTable,
        Result
      >
    this.ids = perTable((name) => new Map(loaded.ids[name]))
    this.begin = db.prepare('BEGIN IMMEDIATE')
    this.end = db.prepare('COMMIT')
    this.insertBatch = prepareInsert(db, 'INSERT', 'kith_batch', batchColumns)
    this.dropBatches = db.prepare('DELETE FROM kith_batch WHERE offset < ?')
    this.putMeta = prepareInsert(db, 'INSERT OR REPLACE', 'kith_meta', metaColumns)
    this.touch = db.prepare('UPDATE kith_meta SET id = id WHERE id = 1')
    this.askWal = db.prepare<unknown[]>('PRAGMA wal_checkpoint(NOOP)')
    this.put = perTable((name) => {
      const { table, columns } = smallTables[name]
      return prepareInsert(db, 'INSERT OR REPLACE', table, columns)
    })
    this.remove = perTable((name) =>
      db.prepare(`DELETE FROM ${smallTables[name].table} WHERE id = ?`),
    )
    mark.set()
  }

  commit(changes: StoreChanges, flush: boolean): void {
    if (this.wal.lostFlush !== undefined) throw this.wal.lostFlush
    this.setSynchronous(flush || !this.mark.remove() ? 'FULL' : 'NORMAL')
    this.undo = []
    // What others' statements write is not known from what they say.
    const counted = (changes.statements?.length ?? 0) > 0 ? framesInWal(this.db) : undefined
    try {
      this.begin.run()
      this.write(changes, flush)
      this.end.run()
    } catch (cause) {
      for (const revert of this.undo.reverse()) revert()
      throw this.commitError(cause)
    }
    this.wal.unflushed = !flush
    if (flush) this.flushedEnd.note(this.askWal)
    if (changes.meta !== undefined) this.meta = changes.meta
    if (counted === undefined) return
    const byStatements = walBytesOf(framesSince(this.db, counted))
    this.wal.bytes += byStatements
    this.wal.freshBytes += byStatements
  }

  /** What a failed transaction means; it is rolled back wherever the store can go on. */
  private commitError(cause: unknown): unknown {
    const code = sqliteCode(cause)
    const text = cause instanceof Error ? cause.message : String(cause)
    try {
      if (this.db.inTransaction) this.db.exec('ROLLBACK')
    } catch (failed) {
      return failed
    }
    if (code !== 'SQLITE_FULL') {
      this.mark.remove()
      return cause
    }
    return new LogError('ERR_LOG_STORE_FULL', `no space for the transaction: ${text}`, { cause })
  }

  private setSynchronous(mode: 'FULL' | 'NORMAL'): void {
    if (this.synchronous === mode) return
    this.db.pragma(`synchronous=${mode}`)
    this.synchronous = mode
  }

  private write(changes: StoreChanges, flush: boolean): void {
    const counts = { ...this.counts }
    const { bytes } = this.wal
    if (changes.dropBelow !== undefined) this.dropBelow(changes.dropBelow)
    for (const { origin, from } of changes.holesRemoved ?? []) {
      this.removeRow('hole', this.holeKey(origin, from))
    }
    for (const row of changes.origins ?? []) {
      this.putRow('origin', row.origin, (id) => originValues(id, row))
    }
    for (const batch of changes.batches ?? []) this.writeBatch(batch)
    if (changes.repairs !== undefined) this.repair(changes.repairs)
    for (const row of changes.holes ?? []) {
      const origin = this.ids.origin.get(row.origin) ?? 0
      this.putRow('hole', this.holeKey(row.origin, row.from), (id) => holeValues(id, origin, row))
    }
    for (const row of changes.cursors ?? []) {
      this.putRow('cursor', row.name, (id) => cursorValues(id, row))
    }
    for (const id of changes.producersRemoved ?? []) this.removeRow('producer', id)
    for (const row of changes.producers ?? []) {
      this.putRow('producer', row.id, (id) => producerValues(id, row))
    }
    for (const logId of changes.replicasRemoved ?? []) this.removeRow('replica', logId)
    for (const row of changes.replicas ?? []) {
      this.putRow('replica', row.logId, (id) => replicaValues(id, row))
    }
    for (const statement of changes.statements ?? []) this.runStatement(statement)
    const counted = smallTableNames.some((name) => counts[name] !== this.counts[name])
    const meta = changes.meta ?? this.meta
    if (meta !== undefined && (counted || changes.meta !== undefined)) this.writeMeta(meta)
    // An empty transaction would not reach the disk, and a flush is what was asked for.
    else if (flush && this.wal.bytes === bytes) this.touch.run()
  }

  private holeKey(origin: OriginId, from: number): string {
    return `${this.ids.origin.get(origin) ?? 0}:${from}`
  }

  /**
   * Pages of dropped batches are freed as they are: overwriting them would write everything once
   * more, and a batch that came back through a damaged pointer lies below the floor.
   */
  private dropBelow(offset: number): void {
    this.db.pragma('secure_delete=FAST')
    try {
      this.wal.bytes += this.dropBatches.run(offset).changes * PAGE_BYTES
    } finally {
      this.db.pragma('secure_delete=ON')
    }
  }

  private writeMeta(meta: StoredMeta): void {
    for (const id of [1, 2]) {
      const values = metaValues(id, FORMAT, { meta, counts: this.counts })
      this.putMeta.run(...values, rowCrc('kith_meta', values, this.digests))
      this.wal.bytes += PAGE_BYTES / 2
    }
  }

  private putRow(table: SmallTable, key: string, values: (id: number) => readonly Value[]): void {
    const row = values(this.ids[table].get(key) ?? this.addId(table, key))
    this.put[table].run(...row, rowCrc(smallTables[table].table, row, this.digests))
    this.wal.bytes += PAGE_BYTES
  }

  private addId(table: SmallTable, key: string): number {
    const id = this.nextIds[table]
    this.nextIds[table] += 1
    this.counts[table] += 1
    this.ids[table].set(key, id)
    this.undo.push(() => {
      this.ids[table].delete(key)
      this.counts[table] -= 1
      this.nextIds[table] = id
    })
    return id
  }

  private removeRow(table: SmallTable, key: string): void {
    const id = this.ids[table].get(key)
    if (id === undefined) return
    this.remove[table].run(id)
    this.wal.bytes += PAGE_BYTES
    this.ids[table].delete(key)
    this.counts[table] -= 1
    this.undo.push(() => {
      this.ids[table].set(key, id)
      this.counts[table] += 1
    })
  }

  private writeBatch(batch: StoredBatch): void {
    const values = [
      batch.offset,
      this.ids.origin.get(batch.origin) ?? 0,
      batch.first,
      batch.count,
      batch.storedAt,
      bytesOf(batch.previousChain),
      bytesOf(batch.chain),
      batch.bytes,
    ]
    this.insertBatch.run(...values, batchCrc(values, batch.bytes, this.digests))
    // Its own pages, and those of the tree and of the index that it is entered in.
    this.wal.bytes += (Math.ceil(batch.bytes.length / PAGE_BYTES) + 2) * PAGE_BYTES
    this.wal.freshBytes += batch.bytes.length
  }

  private repair(batches: readonly StoredBatch[]): void {
    for (const batch of batches) {
      repairBatch(this.db, batch, this.ids.origin.get(batch.origin) ?? 0, this.digests)
      this.wal.bytes += (Math.ceil(batch.bytes.length / PAGE_BYTES) + 2) * PAGE_BYTES
    }
  }

  private runStatement({ sql, params = [] }: LogStatement): void {
    try {
      const statement = this.db.prepare<unknown[]>(sql)
      if (statement.reader) statement.all(...params)
      else statement.run(...params)
      if (this.db.inTransaction) return
    } catch (cause) {
      const code = sqliteCode(cause)
      if (/^SQLITE_(FULL|IOERR|CANTOPEN|NOMEM|CORRUPT|NOTADB)/.test(code)) throw cause
      const text = cause instanceof Error ? cause.message : String(cause)
      throw new LogError('ERR_LOG_STATEMENT', `a statement failed, nothing was stored: ${text}`, {
        cause,
        details: { sql },
      })
    }
    throw new Error(`a statement ended the transaction: ${sql}`)
  }

  walUse(): WalUse | undefined {
    return walUse(this.askWal)
  }

  /**
   * Over the connection that writes: what it commits meanwhile goes into the copy as well, where
   * commits of another connection would make the copy begin anew each time.
   */
  async backup(path: string, cancelled: () => boolean): Promise<void> {
    await this.db.backup(path, {
      progress: () => {
        if (cancelled()) throw new Error('the backup was cancelled')
        return backupPages
      },
    })
  }

  inspect(): readonly StoreDamage[] {
    const { db } = this
    try {
      const lines = readAnew(db.name, ['sqlite_schema'], () => inspectPages(db, '(100)'))
      return lines.map((reason) => ({ table: 'file', key: '', reason }))
    } catch (cause) {
      if (isIoError(cause)) throw cause
      const text = cause instanceof Error ? cause.message : String(cause)
      return [{ table: 'file', key: '', reason: `it cannot be inspected: ${text}` }]
    }
  }

  /** What the mark says stays true. */
  closeConnection(): void {
    this.flushedEnd.close()
    this.db.close()
    this.lock?.close()
  }

  close(): void {
    this.flushedEnd.close()
    this.db.close()
    this.mark.remove()
    this.lock?.close()
  }
}
