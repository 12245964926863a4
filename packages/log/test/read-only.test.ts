/** Logs read beside their writer, as another process does. */
import { spawnSync } from 'node:child_process'
import fs, { copyFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import Database from 'better-sqlite3'
import type { LogRecord, LogStore } from '@kith/interface'
import { nodeDigests } from '@kith/interface/node'
import { describe, expect, it, onTestFinished } from 'vitest'
import { LogError, segmentStore } from '../src/index.ts'
import type { Log } from '../src/index.ts'
import { openSegmentReader } from '../src/store/segment/reader.ts'
import { createSqliteStore } from '../src/store/sqlite/store.ts'
import {
  allValues,
  bytes,
  codeOf,
  makeBatch,
  records,
  started,
  temporaryDirectory,
  text,
} from './support.ts'

const stranger = 'ab'.repeat(16)
const databaseOf = (directory: string): string => join(directory, 'log.db')
const reading = (directory: string): Promise<Log> =>
  started({ directory, readOnly: true, pollMs: 1 })

/** A connection to the same file, as a program of somebody else. */
function connection(directory: string): Database.Database {
  const db = new Database(databaseOf(directory))
  onTestFinished(() => void db.close())
  return db
}

async function take(tail: AsyncIterable<LogRecord>, count: number): Promise<readonly string[]> {
  const values: string[] = []
  for await (const record of tail) {
    values.push(text(record.value))
    if (values.length === count) break
  }
  return values
}

describe.each([
  ['inline', 'sqlite'],
  ['worker', 'sqlite'],
  ['worker', 'segment'],
] as const)('a reader beside a %s writer, storage %s', (writer, storage) => {
  it('LOG-52 sees everything committed, at once, and as the writer does', async () => {
    const directory = temporaryDirectory()
    const log = await started({ directory, writer, storage })
    await log.append(records(3))
    const reader = await reading(directory)
    expect(await allValues(reader)).toEqual(await allValues(log))
    await log.applyBatches([makeBatch(stranger).bytes], new Map([[stranger, 'ben']]))
    await log.cursor('c').commit({ next: 2 })
    await log.append(records(2, 3), { durability: 'os' })
    await log.append(records(1, 5))
    expect(reader.vector()).toEqual(log.vector())
    expect([reader.logId, reader.origin]).toEqual([log.logId, log.origin])
    expect(await allValues(reader)).toEqual(await allValues(log))
    expect(reader.cursor('c').get()).toEqual({ next: 2, revision: 1 })
    const run = { ...(await log.readBatches(stranger, 1, 1)), release: expect.any(Function) }
    expect(await reader.readBatches(stranger, 1, 1)).toEqual(run)
    expect(await reader.chainAt(stranger, 4)).toBe(await log.chainAt(stranger, 4))
    expect(await reader.fetchBatch(stranger, 1)).toEqual(await log.fetchBatch(stranger, 1))
    expect(await reader.verify()).toMatchObject({ ok: true, records: 9 })
    const { records: held, bytes: size, floor, next } = log.status()
    expect(reader.status()).toMatchObject({ records: held, bytes: size, floor, next })
    expect(reader.status()).toMatchObject({ writer: 'elsewhere', gate: 'readOnly' })
  })

  it('LOG-52 tails what is there and what comes, over the end of its writer and the next', async () => {
    const directory = temporaryDirectory()
    const first = await started({ directory, writer, storage })
    await first.append(records(2))
    const reader = await reading(directory)
    const taken = take(reader.tail(), 8)
    await first.append(records(3, 2))
    await first.stop()
    const second = await started({ directory, writer, storage })
    await second.append(records(3, 5))
    expect(await taken).toEqual(records(8).map(({ value }) => text(value)))
    // It ends as other tails do.
    const ended = codeOf(take(reader.tail({ from: 'latest' }), 1))
    await reader.stop()
    expect(await ended).toBe('ERR_LOG_CLOSED')
  })

  it('LOG-52 LOG-28 outlives its writer and costs it nothing', async () => {
    const directory = temporaryDirectory()
    const log = await started({ directory, writer, storage })
    await log.append(records(4))
    const reader = await reading(directory)
    await log.stop()
    expect((await allValues(reader)).length).toBe(4)
    await reader.stop()
    const again = await started({ directory, writer, storage })
    expect(await allValues(again)).toEqual(records(4).map(({ value }) => text(value)))
    expect(await again.verify()).toMatchObject({ ok: true })
  })

  it('LOG-52 LOG-44 hears that retention dropped what it was about to read', async () => {
    const directory = temporaryDirectory()
    const log = await started({ directory, writer, storage })
    for (let batch = 0; batch < 20; batch += 1) await log.append(records(100, batch * 100))
    const reader = await reading(directory)
    const tail = reader.tail()[Symbol.asyncIterator]()
    expect((await tail.next()).value).toMatchObject({ offset: 0 })
    // Verifying goes on while what it verifies goes.
    const report = reader.verify()
    await log.retain({ recordsMax: 100 })
    await log.append(records(10, 2_000))
    expect(await report).toMatchObject({ ok: true })
    expect(await codeOf(reader.read({ from: 0 }))).toBe('ERR_LOG_DROPPED')
    expect((await reader.read()).records[0]).toMatchObject({ offset: 1_900 })
    // What was read ahead is still given; what was not is not passed over in silence.
    const overtaken = async (): Promise<void> => {
      for (let at = 0; at < 2_000; at += 1) await tail.next()
    }
    expect(await codeOf(overtaken())).toBe('ERR_LOG_DROPPED')
    expect(await reader.verify()).toMatchObject({ ok: true, records: 110 })
  })
})

describe('a log opened with readOnly', () => {
  it('LOG-52 refuses everything that would change it, by name', async () => {
    const directory = temporaryDirectory()
    const log = await started({ directory, writer: 'inline' })
    await log.append(records(2))
    const before = log.vector()
    const reader = await reading(directory)
    const refused = [
      reader.append(records(1)),
      reader.applyBatches([makeBatch(stranger).bytes]),
      reader.recordGap(stranger, 9, '09'.repeat(32), 'why'),
      reader.quarantine(stranger, 'why'),
      reader.rotate('why'),
      reader.retain({ recordsMax: 0 }),
      reader.backup(join(directory, 'backup')),
      reader.cursor('c').commit({ next: 1 }),
    ]
    for (const each of refused) expect(await codeOf(each)).toBe('ERR_LOG_READ_ONLY')
    expect(() => reader.acknowledged(stranger, new Map())).toThrow(/readOnly/)
    reader.openGate()
    expect(log.vector()).toEqual(before)
    expect(await codeOf(reader.start())).toBe('ERR_LOG_CLOSED')
  })

  it('LOG-52 says what is not there, is no log, or was not begun', async () => {
    const directory = temporaryDirectory()
    const open = (): Promise<string> => codeOf(reading(directory))
    expect(await open()).toBe('ERR_LOG_DIRECTORY')
    writeFileSync(databaseOf(directory), '')
    expect(await open()).toBe('ERR_LOG_NOT_READY')
    const other = connection(directory)
    other.exec('CREATE TABLE theirs(x)')
    expect(await open()).toBe('ERR_LOG_FORMAT')
    writeFileSync(databaseOf(directory), Buffer.alloc(8_192, 7))
    expect(await open()).toBe('ERR_LOG_CORRUPT')
  })

  it('LOG-52 LOG-40 leaves an older format to the writer, and stops where one migrates', async () => {
    const directory = temporaryDirectory()
    const old = readFileSync(new URL('./fixtures/format-1.db.gz', import.meta.url))
    writeFileSync(databaseOf(directory), gunzipSync(old))
    expect(await codeOf(reading(directory))).toBe('ERR_LOG_FORMAT')
    const log = await started({ directory, writer: 'inline' })
    const reader = await reading(directory)
    expect(await allValues(reader)).toEqual(await allValues(log))
    await log.stop()
    // What a writer of a later version would do.
    connection(directory).pragma('user_version=3')
    expect(await codeOf(reader.read())).toBe('ERR_LOG_FORMAT')
  })

  it('LOG-52 notices that its file was replaced', async () => {
    const directory = temporaryDirectory()
    const other = temporaryDirectory()
    const log = await started({ directory, writer: 'inline' })
    await log.append(records(2))
    const reader = await reading(directory)
    const replacement = await started({ directory: other, writer: 'inline' })
    await replacement.stop()
    renameSync(databaseOf(directory), join(directory, 'old.db'))
    copyFileSync(databaseOf(other), databaseOf(directory))
    await log.append(records(1))
    expect(await codeOf(reader.read())).toBe('ERR_LOG_DIRECTORY')
  })

  it('LOG-52 LOG-18 serves no damaged byte and lists the damage', async () => {
    const directory = temporaryDirectory()
    const log = await started({ directory, writer: 'inline' })
    for (let batch = 0; batch < 3; batch += 1) await log.append(records(2, batch * 2))
    await log.stop()
    const db = connection(directory)
    const row = db.prepare('SELECT bytes FROM kith_batch WHERE offset = 2').pluck()
    const blob = Buffer.from(row.get() as Uint8Array)
    blob[80] = (blob[80] ?? 0) ^ 4
    db.prepare('UPDATE kith_batch SET bytes = ? WHERE offset = 2').run(blob)
    const reader = await reading(directory)
    expect(await codeOf(reader.read({ from: 2 }))).toBe('ERR_LOG_CORRUPT')
    expect((await reader.read({ from: 4 })).records.length).toBe(2)
    const report = await reader.verify()
    expect(report.damage).toMatchObject([{ table: 'batch', key: '2' }])
  })

  it('LOG-52 LOG-25 knows damage of a small row from its start', async () => {
    const directory = temporaryDirectory()
    const log = await started({ directory, writer: 'inline' })
    await log.append(records(2))
    await log.stop()
    connection(directory).exec('UPDATE kith_origin SET next = next + 1')
    const reader = await reading(directory)
    expect(reader.status()).toMatchObject({ gate: 'damaged', origins: [] })
    expect((await reader.verify()).ok).toBe(false)
  })

  it('LOG-52 LOG-28 standing still in the middle of a read it stops no commit', async () => {
    const directory = temporaryDirectory()
    const store = createSqliteStore({ directory, digests: nodeDigests, checkpoints: 'managed' })
    store.open()
    onTestFinished(() => store.close())
    const commit = (): void =>
      store.commit({ statements: [{ sql: 'INSERT INTO t VALUES(1)' }] }, true)
    store.commit({ statements: [{ sql: 'CREATE TABLE t(x)' }] }, true)
    commit()
    const still = connection(directory)
    still.exec('BEGIN; SELECT count(*) FROM t')
    commit()
    // It may not be started over while somebody reads it, and that is waited for only so long.
    const before = performance.now()
    expect(store.restartWal()).toBe('held')
    expect(performance.now() - before).toBeLessThan(3_000)
    commit()
    still.exec('COMMIT')
    expect(store.restartWal()).toBe('done')
    expect(still.prepare('SELECT count(*) FROM t').pluck().get()).toBe(3)
  })
})

/** Counts what this thread syncs by `fdatasync`: other threads and SQLite do it elsewhere. */
function countSyncs(): () => number {
  let syncs = 0
  const real = fs.fdatasyncSync
  fs.fdatasyncSync = (descriptor) => {
    syncs += 1
    real(descriptor)
  }
  syncBuiltinESMExports()
  onTestFinished(() => {
    fs.fdatasyncSync = real
    syncBuiltinESMExports()
  })
  return () => syncs
}

it.each(['sqlite', 'segment'] as const)(
  'LOG-52 what a look at a %s log found is synced also where the question fails',
  async (storage) => {
    const directory = temporaryDirectory()
    const log = await started({ directory, storage })
    await log.append(records(1))
    const reader = await reading(directory)
    await reader.read()
    const syncs = countSyncs()
    await log.append(records(1, 1), { durability: 'os' })
    const before = syncs()
    // It names the end of the log, which nobody else has flushed.
    expect(await codeOf(reader.read({ from: 99 }))).toBe('ERR_LOG_OFFSET_OUT_OF_RANGE')
    expect(syncs()).toBeGreaterThan(before)
    expect((await reader.read()).records.length).toBe(2)
  },
)

it('LOG-44 LOG-52 a reader of segments that retention overtakes is told so', async () => {
  const directory = temporaryDirectory()
  const stores: LogStore[] = []
  const make = segmentStore({ directory, segmentBytesMax: 2 ** 20 })
  const store = (): LogStore => {
    stores.push(make())
    return stores[0] ?? make()
  }
  const log = await started({ store })
  const value = new Uint8Array(150_000)
  for (let count = 0; count < 20; count += 1) await log.append({ value })
  const reader = openSegmentReader(directory, join(directory, 'index', 'log.db'), nodeDigests)
  onTestFinished(() => reader.close())
  const { meta } = reader.state()
  let asked = 0
  const answer = reader.atOnce(() => {
    asked += 1
    // The file goes that this look is about to read.
    if (asked === 1 && meta !== undefined) {
      reader.files.forget(0)
      stores[0]?.commit({ dropBelow: 10, meta: { ...meta, floor: 10 } }, true)
    }
    const read = reader.atOffset(0)
    if (read?.ok === false) throw new LogError('ERR_LOG_CORRUPT', read.reason)
    return read?.batch.offset ?? 'dropped'
  })
  expect([answer, asked]).toEqual(['dropped', 2])
})

it('LOG-52 a reader in another process reads while this one writes', async () => {
  const directory = temporaryDirectory()
  const log = await started({ directory })
  await log.append([{ value: bytes('from here') }])
  const child = new URL('./process/read-child.ts', import.meta.url).pathname
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['--conditions=@kith/source', child, directory, '1', 'verify'],
    { encoding: 'utf8', timeout: 60_000 },
  )
  expect(stderr).toBe('')
  expect(stdout.trim().split('\n')).toEqual(['0 from here', 'append ERR_LOG_READ_ONLY', 'ok'])
})
