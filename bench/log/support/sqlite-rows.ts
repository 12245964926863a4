/** Plain SQLite, one row a record: what somebody writes who needs a log and has a database. */
import { join } from 'node:path'
import Database from 'better-sqlite3'
import type { Contender } from './contender.ts'
import { packageVersion, pageRecords } from './contender.ts'

export function openSqliteRows(directory: string): Contender {
  const db = new Database(join(directory, 'rows.db'))
  db.pragma('journal_mode = WAL')
  db.pragma('synchronous = FULL')
  db.exec('CREATE TABLE record (at INTEGER PRIMARY KEY, value BLOB NOT NULL)')
  const insert = db.prepare('INSERT INTO record (value) VALUES (?)')
  const select = db.prepare('SELECT at, value FROM record WHERE at > ? ORDER BY at LIMIT ?').raw()
  const append = db.transaction((values: readonly Uint8Array[]) => {
    for (const value of values) insert.run(value)
  })
  let last = 0
  return {
    name: 'sqlite rows',
    version: packageVersion('better-sqlite3'),
    directory,
    guarantee: {
      acknowledged: 'on the disk',
      checksum: 'none of records (of the pages in the write-ahead log only)',
      flushes: 'SQLite (synchronous=FULL, WAL), one a transaction',
    },
    append: (values) => append(values),
    read() {
      const rows = select.all(last, pageRecords) as [number, Uint8Array][]
      last = rows.length < pageRecords ? 0 : (rows.at(-1)?.[0] ?? 0)
      return { records: rows.length, bytes: rows.reduce((sum, [, value]) => sum + value.length, 0) }
    },
    stop() {
      db.close()
    },
  }
}
