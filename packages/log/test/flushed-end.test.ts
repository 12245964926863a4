/** What was flushed and is damaged at the end of a killed log is missed (LOG-84). */
import { cpSync, existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { nodeDigests } from '@kith/interface/node'
import { describe, expect, it } from 'vitest'
import { createLog, restoreLog } from '../src/index.ts'
import type { LogOptions } from '../src/index.ts'
import { EndMark } from '../src/store/end-mark.ts'
import { createSegmentStore } from '../src/store/segment/store.ts'
import { openDatabase } from '../src/store/sqlite/driver.ts'
import { createSqliteStore } from '../src/store/sqlite/store.ts'
import {
  allValues,
  codeOf,
  home,
  records,
  sqliteKinds,
  started,
  temporaryDirectory,
} from './support.ts'

const walHeaderBytes = 32
const frameHeaderBytes = 24
const frameBytes = frameHeaderBytes + 16_384
const salts = 8
const segment = '000000000000000.seg'

/** What a process that is killed now leaves behind. */
function killed(options: LogOptions): LogOptions & { readonly directory: string } {
  const directory = temporaryDirectory()
  cpSync(options.directory ?? '', directory, {
    recursive: true,
    filter: (from) => !from.endsWith('-shm'),
  })
  return { ...options, directory }
}

async function killedAfter(kind: (typeof sqliteKinds)[number] | 'segment', appends: number) {
  const options = home(kind)
  const log = await started(options)
  for (let at = 0; at < appends; at += 1) await log.append(records(2, 2 * at))
  return killed(options)
}

function flip(path: string, at: number, mask = 1): void {
  const content = readFileSync(path)
  content[at] = (content[at] ?? 0) ^ mask
  writeFileSync(path, content)
}

describe.each(sqliteKinds)('the write-ahead log of a killed log, %s', (kind) => {
  it('LOG-84 refuses to start where a page that was flushed is damaged, and leaves all as it is', async () => {
    const whole = await killedAfter(kind, 4)
    const size = readFileSync(join(whole.directory, 'log.db-wal')).length
    const last = size - frameBytes
    const places = {
      'the magic number': 3,
      'the length of a page': 10,
      'the salt of the header': 17,
      'the checksum of the header': 25,
      'the salt of the first page': walHeaderBytes + salts,
      'the first page': walHeaderBytes + 5_000,
      'the head of the last page': last + 2,
      'the checksum of the last page': last + 20,
      'the last page': size - 1,
    }
    for (const [what, at] of Object.entries(places)) {
      const copy = killed(whole)
      const wal = join(copy.directory, 'log.db-wal')
      flip(wal, at)
      const damaged = readFileSync(wal)
      // Told at each start, not only at the first.
      for (let start = 1; start <= 2; start += 1) {
        const refusal = createLog(copy).start()
        await expect(refusal, what).rejects.toMatchObject({
          code: 'ERR_LOG_CORRUPT',
          message: expect.stringMatching(/log\.db-wal is damaged: it ends at page \d+ of the \d+/),
        })
        expect(readFileSync(wal).equals(damaged), what).toBe(true)
      }
    }
  })

  it('LOG-84 refuses to start where the write-ahead log was cut off, wherever there is some of it', async () => {
    const whole = await killedAfter(kind, 2)
    const size = readFileSync(join(whole.directory, 'log.db-wal')).length
    for (const length of [walHeaderBytes, walHeaderBytes + 20, size - frameBytes, size - 1]) {
      const copy = killed(whole)
      truncateSync(join(copy.directory, 'log.db-wal'), length)
      expect(await codeOf(createLog(copy).start()), `${length} bytes`).toBe('ERR_LOG_CORRUPT')
    }
  })

  it('LOG-84 reads what is before the damage, and goes on there once it is told to', async () => {
    const { directory, ...options } = await killedAfter(kind, 4)
    const wal = join(directory, 'log.db-wal')
    flip(wal, readFileSync(wal).length - 1)
    const reading = await started({ directory, readOnly: true })
    const before = ['record 0', 'record 1', 'record 2', 'record 3', 'record 4', 'record 5']
    expect(await allValues(reading)).toEqual(before)
    await reading.stop()
    rmSync(join(directory, 'log.db-end'))
    const log = await started({ directory, ...options })
    expect(await allValues(log)).toEqual(before)
    await log.append(records(1, 90))
    await log.stop()
    expect(await allValues(await started({ directory, ...options }))).toEqual([
      ...before,
      'record 90',
    ])
  })

  it('LOG-84 starts where the write-ahead log is another one, or none, or ends with what was not flushed', async () => {
    const options = await killedAfter(kind, 4)
    const mark = join(options.directory, 'log.db-end')
    const log = await started(options)
    const { next } = log.status()
    await log.append(records(2, 8), { durability: 'os' })
    const unflushed = killed(options)
    const wal = join(unflushed.directory, 'log.db-wal')
    flip(wal, readFileSync(wal).length - 1)
    expect((await started(unflushed)).status().next).toBe(next)
    await log.stop()
    // Copied into the file and gone: what the mark says is of one that was.
    expect(existsSync(mark)).toBe(true)
    const again = await started(options)
    expect(await allValues(again)).toHaveLength(10)
    await again.append(records(1, 10))
    // Nothing of it reached the medium, as after a power cut.
    const empty = killed(options)
    truncateSync(join(empty.directory, 'log.db-wal'), 0)
    expect((await started(empty)).status().next).toBe(10)
  })

  it('LOG-84 believes no mark that is damaged', async () => {
    const whole = await killedAfter(kind, 2)
    const { length } = readFileSync(join(whole.directory, 'log.db-end'))
    // The worker reads it as the log does that runs inline.
    for (let at = 0; at < length; at += kind === 'worker' ? 7 : 1) {
      const copy = killed(whole)
      flip(join(copy.directory, 'log.db-end'), at, 1 << (at % 8))
      const log = createLog(copy)
      await log.start()
      expect(log.status().next).toBe(4)
      await log.stop()
    }
  })
})

it('LOG-84 a write-ahead log that begins anew is told from one whose header is damaged', () => {
  const directory = temporaryDirectory()
  const store = createSqliteStore({ directory, checkpoints: 'managed' })
  store.open()
  const cursor = (revision: number) => ({ name: 'c', next: 1, revision, changedAt: 1 })
  for (let revision = 1; revision <= 9; revision += 1) {
    store.commit({ cursors: [cursor(revision)] }, true)
  }
  const header = readFileSync(join(directory, 'log.db-wal')).subarray(0, walHeaderBytes)
  const noted = readFileSync(join(directory, 'log.db-end'))
  expect(store.restartWal()).toBe('done')
  store.commit({ cursors: [cursor(10)] }, true)
  const next = killed({ directory }).directory
  store.close()
  const revisionIn = (copy: string): number | undefined => {
    const opened = createSqliteStore({ directory: copy })
    const { cursors } = opened.open()
    opened.close()
    return cursors[0]?.revision
  }
  expect(readFileSync(join(next, 'log.db-end')).equals(noted)).toBe(false)
  // Killed before the first page of the new one was noted, or written: the old pages are there yet.
  const unnoted = killed({ directory: next }).directory
  writeFileSync(join(unnoted, 'log.db-end'), noted)
  expect(revisionIn(unnoted)).toBe(10)
  const begun = killed({ directory: next }).directory
  const wal = readFileSync(join(begun, 'log.db-wal'))
  header.copy(wal, walHeaderBytes + salts, 16, 24)
  writeFileSync(join(begun, 'log.db-wal'), wal)
  writeFileSync(join(begun, 'log.db-end'), noted)
  expect(revisionIn(begun)).toBe(9)
  flip(join(next, 'log.db-wal'), walHeaderBytes + frameBytes - 1)
  expect(() => createSqliteStore({ directory: next }).open()).toThrow('of the 1 that were flushed')
})

describe('segments of a killed log', () => {
  it('LOG-84 LOG-61 are damaged where the last frame is, which no later one calls flushed', async () => {
    const options = await killedAfter('segment', 4)
    const path = join(options.directory, segment)
    const last = readFileSync(path).lastIndexOf('KFRM')
    flip(path, last + 50)
    const damaged = readFileSync(path)
    for (let start = 1; start <= 2; start += 1) {
      const log = await started(options)
      expect(log.status()).toMatchObject({ gate: 'damaged', next: 6 })
      expect(await allValues(log)).toHaveLength(6)
      expect(await codeOf(log.append(records(1)))).toBe('ERR_LOG_CORRUPT')
      expect((await log.verify()).damage).toMatchObject([{ table: 'file', key: segment }])
      await log.stop()
      expect(readFileSync(path).equals(damaged)).toBe(true)
    }
    // It says no more than was flushed, and of other segments nothing.
    rmSync(join(options.directory, 'segments-end'))
    const log = await started(options)
    expect(log.status()).toMatchObject({ gate: 'open', next: 6 })
  })

  it('LOG-84 that were not flushed at their end may be torn there', async () => {
    const options = home('segment')
    const log = await started(options)
    await log.append(records(2))
    await log.append(records(2, 2), { durability: 'os' })
    const copy = killed(options)
    const path = join(copy.directory, segment)
    flip(path, readFileSync(path).lastIndexOf('KFRM') + 50)
    expect((await started(copy)).status()).toMatchObject({ gate: 'open', next: 2 })
  })
})

it('LOG-31 LOG-62 a power cut takes no statements in front of frames that it leaves', () => {
  const directory = temporaryDirectory()
  const store = createSegmentStore({ directory })
  store.open()
  const cursor = (revision: number) => ({ name: 'c', next: 1, revision, changedAt: 1 })
  store.commit({ cursors: [cursor(1)], statements: [{ sql: 'CREATE TABLE mine(x)' }] }, true)
  const insert = { sql: 'INSERT INTO mine VALUES(2)' }
  store.commit({ cursors: [cursor(2)], statements: [insert] }, false)
  store.commit({ cursors: [cursor(3)] }, true)
  const copy = killed({ directory }).directory
  store.close()
  // Of the index what was flushed for sure is left.
  const index = join(copy, 'index', 'log.db')
  const flushed = new EndMark(`${index}-end`, nodeDigests).read()?.count ?? 0
  truncateSync(`${index}-wal`, walHeaderBytes + flushed * frameBytes)
  const opened = createSegmentStore({ directory: copy })
  const { cursors } = opened.open()
  const db = openDatabase(index, { readonly: true })
  expect([cursors[0]?.revision, db.prepare('SELECT x FROM mine').pluck().all()]).toEqual([3, [2]])
  db.close()
  opened.close()
})

it('LOG-84 LOG-50 the mark of the log that was there is nothing to one that is restored there', async () => {
  const options = home('segment')
  const { directory = '' } = options
  const log = await started(options)
  await log.append(records(2))
  const backup = join(temporaryDirectory(), 'backup')
  await log.backup(backup)
  for (let at = 1; at <= 9; at += 1) await log.append(records(2, 2 * at))
  await log.stop()
  for (const name of [segment, 'index']) rmSync(join(directory, name), { recursive: true })
  expect(existsSync(join(directory, 'segments-end'))).toBe(true)
  await restoreLog(backup, directory)
  expect((await started(options)).status()).toMatchObject({ gate: 'open', next: 2 })
})

it('LOG-84 a mark that cannot be written or read says nothing', () => {
  const directory = temporaryDirectory()
  const mark = new EndMark(join(directory, 'missing', 'mark'), nodeDigests)
  const id = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)
  mark.write({ id, count: 1 })
  expect(mark.read()).toBeUndefined()
  const there = new EndMark(join(directory, 'mark'), nodeDigests)
  for (const count of [7, 2 ** 40]) {
    there.write({ id, count })
    const read = there.read()
    expect([...(read?.id ?? []), read?.count]).toEqual([...id, count])
  }
  there.close()
  writeFileSync(join(directory, 'mark'), readFileSync(join(directory, 'mark')).subarray(0, 21))
  expect(there.read()).toBeUndefined()
})
