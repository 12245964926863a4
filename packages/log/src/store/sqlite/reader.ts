/** Reads batches over a connection of its own, one short transaction each. */
import { toHex } from '@kith/interface'
import type { Digests, LogStoreReader, OriginId, StoredBatchRead } from '@kith/interface'
import { HEADER_BYTES } from '../../wire/batch.ts'
import { openDatabase } from './driver.ts'
import type { Database, Statement } from './driver.ts'
import { loadRows } from './load.ts'
import { plainBytes, rowCrc } from './rows.ts'
import type { Value } from './rows.ts'
import { batchColumns } from './schema.ts'

/** The columns a batch's checksum covers: all but the body, which has its own. */
export function batchCrc(values: readonly Value[], bytes: Uint8Array, digests: Digests): number {
  return rowCrc([...values.slice(0, -1), bytes.subarray(0, HEADER_BYTES), bytes.length], digests)
}

/** A row of `batchColumns` and its checksum. */
export function readBatchRow(
  row: readonly Value[],
  originOf: (id: number) => OriginId | undefined,
  digests: Digests,
): StoredBatchRead {
  const [offset, originId, first, count, storedAt, previous, chain, bytes, crc] = row
  const at = Number(offset)
  if (!(bytes instanceof Uint8Array) || !(previous instanceof Uint8Array)) {
    return { ok: false, offset: at, reason: 'a column has another type' }
  }
  if (batchCrc(row.slice(0, -1), bytes, digests) !== crc) {
    return { ok: false, offset: at, reason: 'the checksum of the row is wrong' }
  }
  const origin = originOf(Number(originId))
  if (origin === undefined) return { ok: false, offset: at, reason: 'its origin has no row' }
  return {
    ok: true,
    batch: {
      offset: at,
      origin,
      first: first as number,
      count: count as number,
      storedAt: storedAt as number,
      previousChain: toHex(previous),
      chain: toHex(chain as Uint8Array),
      bytes: plainBytes(bytes),
    },
  }
}

export function openSqliteReader(path: string, digests: Digests): LogStoreReader {
  const db = openDatabase(path, { readonly: true, fileMustExist: true, timeout: 1_000 })
  db.pragma('cell_size_check=ON')
  return createReader(db, digests)
}

function createReader(db: Database, digests: Digests): LogStoreReader {
  const columns = `${batchColumns.join(', ')}, crc`
  const select = (rest: string): Statement =>
    db.prepare<unknown[]>(`SELECT ${columns} FROM kith_batch ${rest}`).raw()
  const atOffset = select('WHERE offset <= ? ORDER BY offset DESC LIMIT 1')
  const fromOffset = select('WHERE offset >= ? ORDER BY offset')
  const atSequence = select('WHERE origin = ? AND first <= ? ORDER BY first DESC LIMIT 1')
  const fromSequence = select('WHERE origin = ? AND first >= ? ORDER BY first')
  const findOrigins = db.prepare('SELECT id, origin FROM kith_origin').raw()
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
  const one = (row: unknown): StoredBatchRead | undefined =>
    row === undefined ? undefined : readBatchRow(row as Value[], originOf, digests)
  const page = (rows: Iterable<unknown>, bytesMax: number): readonly StoredBatchRead[] =>
    readPage(rows as Iterable<Value[]>, bytesMax, (row) => readBatchRow(row, originOf, digests))
  const snapshot = db.transaction(() => loadRows(db, digests).state)
  return {
    atOffset: (offset) => one(atOffset.get(offset)),
    fromOffset: (offset, bytesMax) => page(fromOffset.iterate(offset), bytesMax),
    atSequence(origin, sequence) {
      const id = idOf(origin)
      return id === undefined ? undefined : one(atSequence.get(id, sequence))
    },
    fromSequence(origin, sequence, bytesMax) {
      const id = idOf(origin)
      return id === undefined ? [] : page(fromSequence.iterate(id, sequence), bytesMax)
    },
    state: () => snapshot(),
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
      bytes += next.ok ? next.batch.bytes.length : 0
      if (reads.length > 0 && bytes > bytesMax) break
      reads.push(next)
    }
  } catch (cause) {
    // What came before a damaged page is whole; asked for again as the first, the damage shows.
    if (reads.length === 0) throw cause
  }
  return reads
}
