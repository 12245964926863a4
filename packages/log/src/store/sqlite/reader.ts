/** Reads batches over a connection of its own, one short transaction each. */
import { toHex } from '@kith/interface'
import type { Digests, LogStoreReader, OriginId, StoredBatchRead } from '@kith/interface'
import { readAnew } from './anew.ts'
import { readBatchRow } from './batch-row.ts'
import { openDatabase } from './driver.ts'
import type { Database, Statement } from './driver.ts'
import { loadRows } from './load.ts'
import type { Value } from './rows.ts'
import { batchColumns } from './schema.ts'
import { walUse } from './wal.ts'
import type { WalUse } from '../figures.ts'

export interface SqliteReader extends LogStoreReader {
  /** Of the write-ahead log, now; undefined where that cannot be told. */
  walUse(): WalUse | undefined
}

export function openSqliteReader(path: string, digests: Digests): SqliteReader {
  const db = openDatabase(path, { readonly: true, fileMustExist: true, timeout: 1_000 })
  db.pragma('cell_size_check=ON')
  // What is read again is kept decoded elsewhere.
  db.pragma('cache_size=-2000')
  return createReader(db, digests)
}

export function createReader(db: Database, digests: Digests): SqliteReader {
  const columns = `${batchColumns.join(', ')}, crc`
  const select = (rest: string): Statement =>
    db.prepare<unknown[]>(`SELECT ${columns} FROM kith_batch ${rest}`).raw()
  const atOffset = select('WHERE offset <= ? ORDER BY offset DESC LIMIT 1')
  const fromOffset = select('WHERE offset >= ? ORDER BY offset')
  const atSequence = select('WHERE origin = ? AND first <= ? ORDER BY first DESC LIMIT 1')
  const fromSequence = select('WHERE origin = ? AND first >= ? ORDER BY first')
  const findOrigins = db.prepare('SELECT id, origin FROM kith_origin').raw()
  const askWal = db.prepare<unknown[]>('PRAGMA wal_checkpoint(NOOP)')
  const origins = new Map<number, OriginId>()
  const ids = new Map<OriginId, number>()
  const learn = (): void => {
    for (const [id, origin] of findOrigins.all() as [number, Uint8Array][]) {
      origins.set(id, toHex(origin))
      ids.set(toHex(origin), id)
    }
  }
  const originOf = (id: number): OriginId | undefined => {
    if (!origins.has(id)) learn()
    return origins.get(id)
  }
  const idOf = (origin: OriginId): number | undefined => {
    if (!ids.has(origin)) learn()
    return ids.get(origin)
  }
  const ask = <Result>(read: () => Result): Result => readAnew(db.name, [], read)
  const one = (select: () => unknown): StoredBatchRead | undefined =>
    ask(() => {
      const row = select()
      return row === undefined ? undefined : readBatchRow(row as Value[], originOf, digests)
    })
  const page = (select: () => Iterable<unknown>, bytesMax: number): readonly StoredBatchRead[] =>
    ask(() =>
      readPage(select() as Iterable<Value[]>, bytesMax, (row) =>
        readBatchRow(row, originOf, digests),
      ),
    )
  const snapshot = db.transaction(() => loadRows(db, digests).state)
  return {
    givesCopies: true,
    atOffset: (offset) => one(() => atOffset.get(offset)),
    fromOffset: (offset, bytesMax) => page(() => fromOffset.iterate(offset), bytesMax),
    atSequence(origin, sequence) {
      const id = ask(() => idOf(origin))
      return id === undefined ? undefined : one(() => atSequence.get(id, sequence))
    },
    fromSequence(origin, sequence, bytesMax) {
      const id = ask(() => idOf(origin))
      return id === undefined ? [] : page(() => fromSequence.iterate(id, sequence), bytesMax)
    },
    state: () => ask(() => snapshot()),
    walUse: () => walUse(askWal),
    close: () => void db.close(),
  }
}

function readPage(
  rows: Iterable<Value[]>,
  bytesMax: number,
  read: (row: readonly Value[]) => StoredBatchRead,
): readonly StoredBatchRead[] {
  const reads: StoredBatchRead[] = []
  let bytes = 0
  try {
    for (const row of rows) {
      const next = read(row)
      const size = next.ok ? next.batch.bytes.length : 0
      bytes += size
      if (reads.length > 0 && bytes > bytesMax) break
      reads.push(next)
      // Another one like this would be read for nothing.
      if (bytes + size > bytesMax) break
    }
  } catch (cause) {
    // What came before a damaged page is whole; asked for again as the first, the damage shows.
    if (reads.length === 0) throw cause
  }
  return reads
}
