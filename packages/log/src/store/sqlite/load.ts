/** Reads every row of the small tables, checks it, and names what is damaged. */
import type { Digests, OriginId, StoreDamage, StoredHole, StoreState } from '@kith/interface'
import type { Database } from './driver.ts'
import { readAnew } from './anew.ts'
import { batchRowWhole } from './batch-row.ts'
import {
  readCursor,
  readHole,
  readMeta,
  readOrigin,
  readReplica,
  readProducer,
  rowCrc,
} from './rows.ts'
import type { MetaRow, TableCounts, Value } from './rows.ts'
import { batchColumns, metaColumns, smallTableNames, smallTables } from './schema.ts'
import type { SmallTable } from './schema.ts'
import { isIoError, throwIfRefused } from '../unreadable.ts'

/** The state, and where each row stands. */
export interface LoadedRows {
  readonly state: StoreState
  readonly originIds: ReadonlyMap<OriginId, number>
  readonly ids: Readonly<Record<SmallTable, ReadonlyMap<string, number>>>
  readonly nextIds: TableCounts
  readonly counts: TableCounts
}

interface TableRows {
  readonly rows: readonly (readonly Value[])[]
  /** Largest id seen, damaged rows included, so that no id is given out twice. */
  readonly idMax: number
}

export function loadRows(db: Database, digests: Digests): LoadedRows {
  const damage: StoreDamage[] = []
  const meta = loadMeta(db, digests, damage)
  const tables = Object.fromEntries(
    smallTableNames.map((name) => [name, loadTable(db, name, digests, damage)]),
  ) as Record<SmallTable, TableRows>
  const origins = tables.origin.rows.map(readOrigin)
  const originIds = new Map(
    tables.origin.rows.map((row) => [readOrigin(row).origin, Number(row[0])]),
  )
  const holes = loadHoles(tables.hole.rows, originIds, damage)
  const cursors = tables.cursor.rows.map(readCursor)
  const producers = tables.producer.rows.map(readProducer)
  const replicas = tables.replica.rows.map(readReplica)
  const ids = {
    origin: originIds,
    hole: keyed(tables.hole.rows, (row) => `${String(row[1])}:${String(row[2])}`),
    cursor: keyed(tables.cursor.rows, (row) => readCursor(row).name),
    producer: keyed(tables.producer.rows, (row) => readProducer(row).id),
    replica: keyed(tables.replica.rows, (row) => readReplica(row).logId),
  }
  const counts = countsOf((name) => tables[name].rows.length)
  checkCounts(meta, ids, tables, damage)
  return {
    state: {
      meta: meta?.meta,
      origins,
      holes,
      cursors,
      producers,
      replicas,
      nextOffset: endOfLastBatch(db, digests),
      damage,
    },
    originIds,
    ids,
    nextIds: countsOf((name) => tables[name].idMax + 1),
    counts: meta?.counts ?? counts,
  }
}

function countsOf(count: (name: SmallTable) => number): TableCounts {
  return {
    origin: count('origin'),
    hole: count('hole'),
    cursor: count('cursor'),
    producer: count('producer'),
    replica: count('replica'),
  }
}

function keyed(
  rows: readonly (readonly Value[])[],
  key: (row: readonly Value[]) => string,
): ReadonlyMap<string, number> {
  return new Map(rows.map((row) => [key(row), Number(row[0])]))
}

function loadMeta(db: Database, digests: Digests, damage: StoreDamage[]): MetaRow | undefined {
  const select = db.prepare(`SELECT ${metaColumns.join(', ')}, crc FROM kith_meta ORDER BY id`)
  const rows = readAnew(db.name, ['kith_meta'], () => select.raw().all() as Value[][])
  const whole = rows.filter((row) => {
    const ok = crcMatches('kith_meta', row, digests)
    if (!ok) damage.push({ table: 'meta', key: String(row[0]), reason: wrongCrc })
    return ok
  })
  const first = whole[0]
  if (rows.length === 0 && isNew(db)) return undefined
  for (const id of [1, 2]) {
    if (!rows.some((row) => row[0] === id)) {
      damage.push({ table: 'meta', key: String(id), reason: 'the row is missing' })
    }
  }
  return first === undefined ? undefined : readMeta(first)
}

/** Nothing was ever committed. */
function isNew(db: Database): boolean {
  const row = db.prepare('SELECT count(*) AS n FROM kith_origin').get() as { n: number }
  return row.n === 0
}

const wrongCrc = 'the checksum of the row is wrong'

function crcMatches(table: string, row: readonly Value[], digests: Digests): boolean {
  return rowCrc(table, row.slice(0, -1), digests) === row.at(-1)
}

function loadTable(
  db: Database,
  name: SmallTable,
  digests: Digests,
  damage: StoreDamage[],
): TableRows {
  const { table, columns } = smallTables[name]
  const select = db.prepare(`SELECT ${columns.join(', ')}, crc FROM ${table} ORDER BY id`)
  const rows: Value[][] = []
  let idMax = 0
  const found: StoreDamage[] = []
  const readAll = (): void => {
    rows.length = 0
    found.length = 0
    for (const row of select.raw().iterate() as Iterable<Value[]>) {
      idMax = Math.max(idMax, Number(row[0]))
      if (crcMatches(table, row, digests)) rows.push(row)
      else found.push({ table: name, key: String(row[0]), reason: wrongCrc })
    }
  }
  try {
    readAnew(db.name, [table], readAll)
  } catch (cause) {
    if (isIoError(cause)) throw cause
    const text = cause instanceof Error ? cause.message : String(cause)
    found.push({ table: name, key: '', reason: `the table cannot be read: ${text}` })
  }
  damage.push(...found)
  return { rows, idMax }
}

function loadHoles(
  rows: readonly (readonly Value[])[],
  originIds: ReadonlyMap<OriginId, number>,
  damage: StoreDamage[],
): readonly StoredHole[] {
  const origins = new Map([...originIds].map(([origin, id]) => [id, origin]))
  const holes: StoredHole[] = []
  for (const row of rows) {
    const origin = origins.get(Number(row[1]))
    if (origin !== undefined) holes.push(readHole(row, origin))
    else damage.push({ table: 'hole', key: String(row[0]), reason: 'its origin has no row' })
  }
  return holes
}

/** Rows that vanished without a trace, or that appear twice. */
function checkCounts(
  meta: MetaRow | undefined,
  ids: Readonly<Record<SmallTable, ReadonlyMap<string, number>>>,
  tables: Readonly<Record<SmallTable, TableRows>>,
  damage: StoreDamage[],
): void {
  if (meta === undefined) return
  for (const name of smallTableNames) {
    const expected = meta.counts[name]
    const found = tables[name].rows.length
    const known = damage.some(({ table }) => table === name)
    if (!known && (found !== expected || ids[name].size !== expected)) {
      const reason = `${expected} rows were written, ${found} are there`
      damage.push({ table: name, key: '', reason })
    }
  }
}

/** By the batch rows alone: an origin whose own row is damaged still has its records. */
function endOfLastBatch(db: Database, digests: Digests): number {
  const select = db.prepare(
    `SELECT ${batchColumns.join(', ')}, crc FROM kith_batch ORDER BY offset DESC LIMIT 1`,
  )
  try {
    const row = select.raw().get() as Value[] | undefined
    return row !== undefined && batchRowWhole(row, digests) ? Number(row[0]) + Number(row[3]) : 0
  } catch (cause) {
    throwIfRefused(cause, 'the last batch')
    // Whoever reads there meets the damage; here it only means that nothing is known.
    return 0
  }
}
