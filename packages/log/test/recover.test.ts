/** What a start does with the write-ahead log that a kill left (LOG-65). */
import { cpSync, existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { StoredCursor } from '@kith/interface'
import { expect, it, onTestFinished } from 'vitest'
import { openDatabase } from '../src/store/sqlite/driver.ts'
import type { Database } from '../src/store/sqlite/driver.ts'
import { createSqliteStore } from '../src/store/sqlite/store.ts'
import type { SqliteStore } from '../src/store/sqlite/store.ts'
import { framesInWal, runInDoubt, walBytesOf } from '../src/store/sqlite/wal.ts'
import { allValues, databaseIn, durableKinds, inDirectory } from './support.ts'
import { records, started, temporaryDirectory } from './support.ts'

const walHeaderBytes = 32

/** A store that copies nothing into its file, and a connection that looks at it. */
function openBeside(): { directory: string; store: SqliteStore; db: Database } {
  const directory = temporaryDirectory()
  const store = createSqliteStore({ directory, checkpoints: 'managed' })
  store.open()
  const db = openDatabase(join(directory, 'log.db'), { readonly: true })
  onTestFinished(() => void db.close())
  onTestFinished(() => store.close())
  return { directory, store, db }
}

const cursor = (revision: number): StoredCursor => ({
  name: 'c'.repeat(200),
  next: revision,
  revision,
  changedAt: revision,
})

const create = { sql: 'CREATE TABLE IF NOT EXISTS t(x)' }
const insert = { sql: 'INSERT INTO t VALUES(zeroblob(100000))' }

it('LOG-65 in doubt is the last commit where each was flushed, and everything after one was not', () => {
  const { directory, store, db } = openBeside()
  const path = join(directory, 'log.db')
  const mark = `${path}-flushed`
  for (let revision = 1; revision <= 20; revision += 1) {
    const before = framesInWal(db)
    // Of one page, or of many.
    const statements = revision % 3 === 0 ? [create, insert] : []
    store.commit({ cursors: [cursor(revision)], statements }, true)
    const to = walHeaderBytes + walBytesOf(framesInWal(db))
    const from = before === 0 ? 0 : walHeaderBytes + walBytesOf(before)
    expect(runInDoubt(db, path, true)).toEqual({ from, to })
    expect(runInDoubt(db, path, false)).toEqual({ from: 0, to })
  }
  expect(existsSync(mark)).toBe(true)
  store.commit({ cursors: [cursor(21)] }, false)
  expect(existsSync(mark)).toBe(false)
  store.commit({ cursors: [cursor(22)] }, true)
  expect(existsSync(mark)).toBe(false)
  store.close()
  store.open()
  expect(existsSync(mark)).toBe(true)
  store.close()
  expect(existsSync(mark)).toBe(false)
})

it('LOG-65 a first commit is in doubt with the header before it', () => {
  const { directory, store, db } = openBeside()
  const path = join(directory, 'log.db')
  store.restartWal()
  store.close()
  expect(runInDoubt(db, path, true)).toBe(undefined)
  store.open()
  store.commit({ cursors: [cursor(1)] }, true)
  const to = walHeaderBytes + walBytesOf(framesInWal(db))
  expect(runInDoubt(db, path, true)).toEqual({ from: 0, to })
})

it.each(durableKinds)(
  'LOG-65 LOG-55 a %s log holds what it acknowledged, and neither waits for a checkpoint nor for a reader',
  async (kind) => {
    const home = inDirectory(kind, temporaryDirectory())
    const log = await started(home)
    for (let from = 0; from < 300; from += 10) {
      // Some of them are answered before their flush.
      const durability = from % 40 === 0 && kind === 'inline' ? 'os' : 'disk'
      await log.append(records(10, from), { durability })
    }
    const directory = temporaryDirectory()
    cpSync(home.directory ?? '', directory, { recursive: true })
    const left = inDirectory(kind, directory)
    const wal = `${databaseIn(left)}-wal`
    const [size, file] = [statSync(wal).size, statSync(databaseIn(left)).size]
    // A reader that stands still keeps everything in the write-ahead log.
    const reader = openDatabase(databaseIn(left), { readonly: true })
    onTestFinished(() => void reader.close())
    reader.exec('BEGIN')
    reader.prepare('SELECT count(*) FROM kith_meta').get()
    const again = await started(left)
    expect(statSync(databaseIn(left)).size).toBe(file)
    expect(statSync(wal).size).toBeGreaterThanOrEqual(size)
    expect((await allValues(again)).length).toBe(300)
    await again.append(records(10, 300))
    expect(await again.verify()).toMatchObject({ ok: true })
    reader.exec('COMMIT')
    await again.stop()
    const last = await started(left)
    expect(last.status().next).toBe(310)
    expect(await last.verify()).toMatchObject({ ok: true })
  },
)
