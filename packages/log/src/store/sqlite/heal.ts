/**
 * The row by which a log knows itself is stored twice, in one transaction and on one page. A copy
 * that is damaged is written anew from the other (LOG-72), where that is all that is wrong.
 */
import type { Digests } from '@kith/interface'
import { inspectPages } from './anew.ts'
import { sqliteCode } from './driver.ts'
import type { Database } from './driver.ts'
import type { LoadedRows } from './load.ts'
import { rowCrc } from './rows.ts'
import type { Value } from './rows.ts'
import { metaColumns } from './schema.ts'

/** The rows as they are after that; as they were where nothing was done. */
export function healMeta(db: Database, loaded: LoadedRows, digests: Digests): LoadedRows {
  const { state } = loaded
  const [copy, ...others] = state.damage
  if (copy?.table !== 'meta' || others.length > 0 || state.meta === undefined) return loaded
  // A row that reads wrong because of the page around it is not written over.
  if (inspectPages(db, '(kith_meta)').length > 0) return loaded
  return rewriteCopy(db, digests) ? { ...loaded, state: { ...state, damage: [] } } : loaded
}

function rewriteCopy(db: Database, digests: Digests): boolean {
  const names = [...metaColumns, 'crc']
  const rows = db
    .prepare(`SELECT ${names.join(', ')} FROM kith_meta ORDER BY id`)
    .raw()
    .all() as Value[][]
  if (rows.length !== 2 || rows.some(([id], index) => id !== index + 1)) return false
  const whole = rows.find((row) => rowCrc('kith_meta', row.slice(0, -1), digests) === row.at(-1))
  if (whole === undefined) return false
  const [from, ...columns] = whole.slice(0, -1)
  const values: readonly Value[] = [from === 1 ? 2 : 1, ...columns]
  const put = db.prepare<unknown[]>(
    `INSERT OR REPLACE INTO kith_meta(${names.join(', ')}) VALUES(${names.map(() => '?').join(', ')})`,
  )
  try {
    put.run(...values, rowCrc('kith_meta', values, digests))
    return true
  } catch (cause) {
    // Without room for it the damage stays, and is told.
    if (sqliteCode(cause) === 'SQLITE_FULL') return false
    throw cause
  }
}
