/** When the write-ahead log is started over, with bounds that a test reaches in a moment. */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { nodeDigests } from '@kith/interface/node'
import { expect, it, onTestFinished, vi } from 'vitest'
import type { Log } from '../src/index.ts'
import type { CheckpointLimits } from '../src/runtime/checkpoints.ts'
import { createManagedStore } from '../src/runtime/managed.ts'
import { createSegmentStore } from '../src/store/segment/store.ts'
import { createSqliteStore } from '../src/store/sqlite/store.ts'
import type { SqliteStore } from '../src/store/sqlite/store.ts'
import { allValues, started, temporaryDirectory } from './support.ts'

const mebibyte = 1024 * 1024
const walBytesMax = mebibyte
const recordBytes = 60_000

/** So many bytes and a few more, one commit a record. */
async function appendBytes(log: Log, bytes: number): Promise<number> {
  const count = Math.ceil(bytes / recordBytes)
  const value = new Uint8Array(recordBytes).fill(9)
  for (let index = 0; index < count; index += 1) await log.append({ value })
  return count
}

interface SmallLog {
  readonly log: Log
  readonly store: SqliteStore
  readonly restarts: { readonly mock: { calls: unknown[][] } }
}

/** No thread ever begins to copy. */
const withoutThread = { backgroundBytes: walBytesMax, stepBytes: walBytesMax, walBytesMax }

/** A log whose write-ahead log is started over at `walBytesMax`. */
async function smallLog(
  directory: string,
  limits: CheckpointLimits = withoutThread,
): Promise<SmallLog> {
  const { store, checkpoints } = createManagedStore(directory, nodeDigests, limits)
  const restarts = vi.spyOn(store, 'restartWal')
  const log = await started({
    store: () => ({
      ...store,
      commit(changes, flush) {
        store.commit(changes, flush)
        checkpoints.grown(store.walBytes, store.freshBytes)
      },
    }),
  })
  onTestFinished(() => checkpoints.close())
  return { log, store, restarts }
}

it('LOG-28 grows past its bound while a reader stands still, and no further after', async () => {
  const directory = temporaryDirectory()
  const { log, restarts } = await smallLog(directory)
  const walBytes = (): number => statSync(join(directory, 'log.db-wal')).size
  let count = await appendBytes(log, 4 * walBytesMax)
  const before = restarts.mock.calls.length
  expect(before).toBeGreaterThanOrEqual(3)
  expect(walBytes()).toBeLessThan(2 * walBytesMax)

  const reader = new Database(join(directory, 'log.db'), { readonly: true })
  onTestFinished(() => void reader.close())
  const held = reader.prepare('SELECT count(*) FROM kith_batch').pluck()
  reader.exec('BEGIN')
  expect(held.get()).toBe(count)
  const seen = count
  count += await appendBytes(log, 4 * walBytesMax)
  expect(held.get(), 'what the reader stands on stays').toBe(seen)
  // It is tried once more each time the bound is reached, not at every commit, which would wait.
  const blocked = restarts.mock.calls.length - before
  expect(blocked).toBeGreaterThanOrEqual(3)
  expect(blocked).toBeLessThanOrEqual(8)
  expect(walBytes()).toBeGreaterThan(4 * walBytesMax)

  reader.exec('COMMIT')
  const longest = walBytes()
  count += await appendBytes(log, 8 * walBytesMax)
  expect(walBytes() - longest, 'it is used from its beginning again').toBeLessThan(2 * walBytesMax)
  expect(held.get()).toBe(count)
  expect((await allValues(log)).length).toBe(count)
  expect(await log.verify()).toMatchObject({ ok: true, records: count })
  await log.stop()
})

const copied = { backgroundBytes: mebibyte, stepBytes: mebibyte / 8, walBytesMax: 4 * mebibyte }

it('LOG-28 copies it in steps once its thread is there', async () => {
  const { log, store, restarts } = await smallLog(temporaryDirectory(), copied)
  const restarted = async (): Promise<void> => {
    await appendBytes(log, 2 * recordBytes)
    expect(restarts.mock.calls.length).toBeGreaterThan(0)
  }
  await vi.waitFor(restarted, { timeout: 10_000, interval: 10 })
  const ahead = async (): Promise<void> => {
    await appendBytes(log, recordBytes)
    const { bytes = 0, behindBytes = 0 } = store.walUse() ?? {}
    expect(bytes).toBeGreaterThan(mebibyte / 2)
    expect(bytes, 'before it is to be started over').toBeLessThan(0.9 * mebibyte)
    expect(behindBytes).toBeLessThan(mebibyte / 4)
  }
  await vi.waitFor(ahead, { timeout: 10_000, interval: 10 })
})

it('LOG-28 tries but shortly to start it over while there is time, and again later', async () => {
  const directory = temporaryDirectory()
  const { log, store, restarts } = await smallLog(directory, copied)
  await log.append({ value: new Uint8Array(1) })
  const reader = new Database(join(directory, 'log.db'), { readonly: true })
  onTestFinished(() => void reader.close())
  reader.exec('BEGIN; SELECT count(*) FROM kith_batch')
  const bound = async (): Promise<void> => {
    await appendBytes(log, 2 * recordBytes)
    expect(restarts.mock.calls.at(-1)).toEqual([false])
  }
  await vi.waitFor(bound, { timeout: 10_000, interval: 10 })
  const shortly = restarts.mock.calls.slice(0, -1)
  expect(shortly.length).toBeLessThanOrEqual(4)
  expect(shortly.every(([hasTime]) => hasTime === true)).toBe(true)

  await appendBytes(log, recordBytes)
  const { walBytes } = store
  expect(walBytes).toBeGreaterThan(0)
  expect(store.restartWal(true)).toBe('held')
  expect(store.walBytes, 'its length still counts').toBe(walBytes)
  expect(store.restartWal()).toBe('held')
  expect(store.walBytes, 'it is counted anew').toBe(0)
})

it("LOG-28 counts what the user's own statements write", async () => {
  const directory = temporaryDirectory()
  const { log, restarts } = await smallLog(directory)
  await log.append({ value: new Uint8Array(1) })
  const cursor = log.cursor('c')
  const table = { sql: 'CREATE TABLE mine(x)' }
  const rows = { sql: `INSERT INTO mine VALUES (zeroblob(${walBytesMax / 4}))` }
  await cursor.commit({ next: 1, statements: [table] })
  for (let revision = 1; revision <= 16; revision += 1) {
    await cursor.commit({ next: 1, revision, statements: [rows] })
  }
  expect(restarts.mock.calls.length).toBeGreaterThanOrEqual(3)
  expect(statSync(join(directory, 'log.db-wal')).size).toBeLessThan(2 * walBytesMax)
  await log.stop()
})

/** Lets the next checkpoint fail as one does whose flush fails. */
function failNext(mode: 'RESTART' | 'PASSIVE'): void {
  const pragma = Database.prototype.pragma
  const spy = vi.spyOn(Database.prototype, 'pragma')
  onTestFinished(() => spy.mockRestore())
  spy.mockImplementation(function (this: Database.Database, source, options) {
    if (!source.includes(mode)) return pragma.call(this, source, options)
    spy.mockRestore()
    throw new Database.SqliteError('disk I/O error', 'SQLITE_IOERR_FSYNC')
  })
}

it.each([true, false])(
  'LOG-36 a checkpoint that cannot flush (all flushed before: %s)',
  (flush) => {
    const directory = temporaryDirectory()
    const open = (): ReturnType<typeof createSqliteStore> => {
      const store = createSqliteStore({ directory, checkpoints: 'managed' })
      store.open()
      onTestFinished(() => store.close())
      return store
    }
    const row = { name: 'c', next: 1, revision: 1, changedAt: 1 }
    const store = open()
    store.commit({ cursors: [row] }, flush)
    failNext('RESTART')
    expect(() => store.restartWal()).toThrow('disk I/O error')
    const again = (): void => store.commit({ cursors: [{ ...row, revision: 2 }] }, true)
    if (flush) again()
    else {
      // Its own flush would say nothing of the first one, also when the disk does what it is told.
      expect(again).toThrow('disk I/O error')
      expect(again).toThrow('disk I/O error')
      store.close()
      open().commit({ cursors: [{ ...row, revision: 2 }] }, true)
    }
  },
)

/** More than the pages after which a store copies them by itself. */
const longBytes = 17 * mebibyte

it.each(['sqlite', 'segment'])(
  'LOG-36 a checkpoint that a store makes by itself and that cannot flush (%s)',
  (storage) => {
    const directory = temporaryDirectory()
    const store =
      storage === 'segment' ? createSegmentStore({ directory }) : createSqliteStore({ directory })
    store.open()
    onTestFinished(() => store.close())
    const run = (sql: string): void => store.commit({ statements: [{ sql }] }, false)
    run('CREATE TABLE mine(x)')
    failNext('PASSIVE')
    // It is committed, and no flush was asked for.
    run(`INSERT INTO mine VALUES (zeroblob(${longBytes}))`)
    const flushed = (): void =>
      store.commit({ statements: [{ sql: 'INSERT INTO mine VALUES (1)' }] }, true)
    // Segments flush statements, asked or not: nothing is lost with it.
    if (storage === 'segment') return flushed()
    expect(flushed).toThrow('disk I/O error')
    expect(flushed).toThrow('disk I/O error')
  },
)
