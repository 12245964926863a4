/**
 * How far the index goes: the place of the first frame that is not in it. Written in the
 * transaction that brings the index there, in two copies.
 */
import type { Digests, LogStatement } from '@kith/interface'
import { readAnew } from '../sqlite/anew.ts'
import type { Database, Statement } from '../sqlite/driver.ts'
import { rowCrc } from '../sqlite/rows.ts'
import type { Value } from '../sqlite/rows.ts'
import { SEGMENT_FORMAT } from './files.ts'
import { isIoError } from '../unreadable.ts'

export interface FramePlace {
  readonly segment: number
  readonly byteAt: number
  /** Number of the frame. */
  readonly number: number
}

export interface Stamp {
  /** 16 bytes, in the first page of each segment too. */
  readonly storeId: Uint8Array
  readonly place: FramePlace
}

const table = 'kith_segment'
const columns = 'id format store_id segment byte_at number'.split(' ')

export const createStamp: LogStatement = {
  sql:
    `CREATE TABLE ${table}(id INTEGER PRIMARY KEY, format INTEGER NOT NULL,` +
    ' store_id BLOB NOT NULL, segment INTEGER NOT NULL, byte_at INTEGER NOT NULL,' +
    ' number INTEGER NOT NULL, crc INTEGER NOT NULL) STRICT',
}

export function putStamp({ storeId, place }: Stamp, digests: Digests): LogStatement {
  const rows = [1, 2].map((id) => {
    const { segment, byteAt, number } = place
    const values = [id, SEGMENT_FORMAT, storeId, segment, byteAt, number]
    return [...values, rowCrc(table, values, digests)]
  })
  const marks = `(${[...columns, 'crc'].map(() => '?').join(', ')})`
  return {
    sql: `INSERT OR REPLACE INTO ${table} VALUES ${marks}, ${marks}`,
    params: rows.flat(),
  }
}

export type StampRead =
  | { readonly kind: 'none' }
  | { readonly kind: 'newer'; readonly format: number }
  | { readonly kind: 'damaged' }
  | { readonly kind: 'stamp'; readonly stamp: Stamp }

/** Prepared once the table is there. */
export function prepareStamp(db: Database): Statement | undefined {
  const found = db.prepare('SELECT 1 FROM sqlite_schema WHERE name = ?').get(table)
  if (found === undefined) return undefined
  return db.prepare<unknown[]>(`SELECT ${columns.join(', ')}, crc FROM ${table} ORDER BY id`).raw()
}

export function readStamp(select: Statement | undefined, digests: Digests): StampRead {
  if (select === undefined) return { kind: 'none' }
  let rows: Value[][]
  try {
    rows = readAnew(select.database.name, [table], () => select.all() as Value[][])
  } catch (cause) {
    if (isIoError(cause)) throw cause
    return { kind: 'damaged' }
  }
  const whole = rows.find((row) => rowCrc(table, row.slice(0, -1), digests) === row.at(-1))
  if (whole === undefined) return rows.length === 0 ? { kind: 'none' } : { kind: 'damaged' }
  const [, format, storeId, segment, byteAt, number] = whole
  if (format !== SEGMENT_FORMAT) return { kind: 'newer', format: Number(format) }
  const place = {
    segment: Number(segment),
    byteAt: Number(byteAt),
    number: Number(number),
  }
  return { kind: 'stamp', stamp: { storeId: Uint8Array.from(storeId as Uint8Array), place } }
}
