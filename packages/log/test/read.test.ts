import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import Database from 'better-sqlite3'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { LogRecord } from '@kith/interface'
import type { Log } from '../src/index.ts'
import {
  allValues,
  bytes,
  codeOf,
  databaseIn,
  durableKinds,
  home,
  kinds,
  records,
  started,
  text,
} from './support.ts'

/** A page of a tail has 256 KiB of records, or the one record that is larger. */
const pageBytesMax = 512 * 1024
/** What the process itself gains and loses meanwhile. */
const slackBytes = 8 * 1024 * 1024

/** Bytes that somebody still refers to. */
function heldBytes(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

async function take(log: Log, count: number, from?: number | 'latest'): Promise<LogRecord[]> {
  const taken: LogRecord[] = []
  for await (const record of log.tail(from === undefined ? {} : { from })) {
    taken.push(record)
    if (taken.length === count) break
  }
  return taken
}

describe.each(kinds)('reading a %s log', (kind) => {
  it('LOG-18 pages by count and by bytes, and names offsets that are not there', async () => {
    const log = await started({ ...home(kind), cacheBytesMax: 0 })
    await log.append(records(50))
    await log.append(records(50, 50))
    const page = await log.read({ from: 45, limit: 10 })
    expect(page.next).toBe(55)
    expect(page.records.map(({ offset }) => offset)).toEqual([
      45, 46, 47, 48, 49, 50, 51, 52, 53, 54,
    ])
    expect((await log.read({ bytesMax: 1 })).records.length).toBe(1)
    expect(await log.read({ from: 100 })).toEqual({ records: [], next: 100 })
    expect(await codeOf(log.read({ from: 101 }))).toBe('ERR_LOG_OFFSET_OUT_OF_RANGE')
    expect(await codeOf(log.read({ from: -1 }))).toBe('ERR_LOG_OFFSET_OUT_OF_RANGE')
    expect(await codeOf(log.read({ limit: 0 }))).toBe('ERR_LOG_OPTIONS')
    expect(await codeOf(log.read({ bytesMax: 0.5 }))).toBe('ERR_LOG_OPTIONS')
  })

  it('LOG-18 hands out copies: a caller that scribbles on them harms nobody', async () => {
    const log = await started(home(kind))
    await log.append({ value: bytes('mine'), key: bytes('k') })
    const [record] = (await log.read()).records
    record?.value.fill(0)
    record?.key?.fill(0)
    expect(await allValues(log)).toEqual(['mine'])
  })

  it('LOG-18 small records share a little buffer, which nobody can take from the others', async () => {
    const log = await started(home(kind))
    const sizes = [0, 1, 700, 3_000, 5_000, 9_000, 200, 100_000, 50]
    const sent = sizes.map((size, index) => new Uint8Array(size).fill(index + 1))
    await log.append(sent.map((value) => ({ value })))
    const { records: all } = await log.read()
    expect(all.map(({ value }) => value)).toEqual(sent)
    for (const { value } of all) {
      const buffer = value.buffer as ArrayBuffer
      expect(buffer.byteLength).toBeLessThan(Math.max(8 * 1024, value.length + 16) + 1)
      const give = (): unknown => structuredClone(value, { transfer: [buffer] })
      if (value.length < 8_000) expect(give).toThrow('transfer')
    }
    expect(new Set(all.map(({ value }) => value.buffer)).size).toBeLessThan(sizes.length)
    // One at a time has its own.
    const [alone] = (await log.read({ from: 2, limit: 1 })).records
    expect(alone?.value.buffer.byteLength).toBeLessThan(720)
    expect(all.map(({ value }) => value)).toEqual(sent)
    await log.append({ value: new Uint8Array(20_000).fill(7), key: bytes('key') })
    const [large] = (await log.read({ from: sizes.length })).records
    structuredClone(large?.value, { transfer: [large?.value.buffer as ArrayBuffer] })
    expect(text(large?.key ?? new Uint8Array())).toBe('key')
  })

  it('LOG-18 LOG-48 a page ends where its bounds say, over the ends of batches', async () => {
    const log = await started(home(kind))
    const sizes = Array.from({ length: 60 }, (_, index) => (index * 7_919) % 12_000)
    for (let at = 0; at < sizes.length; at += 7) {
      await log.append(sizes.slice(at, at + 7).map((size) => ({ value: new Uint8Array(size) })))
    }
    for (const limit of [1, 2, 6, 7, 8, 100]) {
      for (const bytesMax of [1, 5_000, 8_192, 40_000, 1_000_000]) {
        for (let from = 0; from < sizes.length;) {
          const { records: page, next } = await log.read({ from, limit, bytesMax })
          expect(page.map(({ value }) => value.length)).toEqual(sizes.slice(from, next))
          expect(page.length).toBeGreaterThan(0)
          expect(page.length).toBeLessThanOrEqual(limit)
          const before = page.slice(0, -1).reduce((sum, { value }) => sum + value.length + 2, 0)
          // The bound is looked at before each record.
          if (page.length > 1) expect(before).toBeLessThan(bytesMax)
          if (next < sizes.length && page.length < limit) {
            const last = page.at(-1)?.value.length ?? 0
            expect(before + last + 4).toBeGreaterThanOrEqual(bytesMax)
          }
          from = next
        }
      }
    }
  })

  it('LOG-32 a tail goes over from history to live without a gap or a repetition', async () => {
    const log = await started(home(kind))
    const total = 600
    await log.append(records(100))
    const tails = [take(log, total), take(log, total - 30, 30)]
    for (let at = 100; at < total; at += 5) {
      const appended = log.append(records(5, at))
      if (at % 50 === 0) await appended
    }
    const [all, rest] = await Promise.all(tails)
    expect(all?.map(({ offset }) => offset)).toEqual(Array.from({ length: total }, (_, at) => at))
    expect(all?.map(({ value }) => text(value))).toEqual(
      Array.from({ length: total }, (_, at) => `record ${at}`),
    )
    expect(rest?.[0]?.offset).toBe(30)
  })

  it('LOG-32 a tail from the latest sees only what comes, ends with its signal and with the log', async () => {
    const log = await started(home(kind))
    await log.append(records(3))
    const controller = new AbortController()
    const seen: string[] = []
    const live = (async () => {
      for await (const { value } of log.tail({ from: 'latest', signal: controller.signal })) {
        seen.push(text(value))
        if (seen.length === 2) controller.abort()
      }
      return 'ended'
    })()
    const stopped = codeOf(take(log, 99))
    await new Promise((resolve) => setImmediate(resolve))
    await log.append(records(2, 3))
    expect(await live).toBe('ended')
    expect(seen).toEqual(['record 3', 'record 4'])
    await log.stop()
    expect(await stopped).toBe('ERR_LOG_CLOSED')
  })

  it('LOG-32 a stopped consumer holds up nobody', async () => {
    const log = await started(home(kind))
    await log.append(records(10))
    const iterator = log.tail()[Symbol.asyncIterator]()
    expect((await iterator.next()).value?.offset).toBe(0)
    await log.append(records(2_000, 10))
    expect((await take(log, 2_010)).length).toBe(2_010)
    await iterator.return?.()
  })

  it('LOG-32 a stopped consumer holds no more than one page, whatever comes', async () => {
    const log = await started({ ...home(kind), cacheBytesMax: 0 })
    const count = 256
    const large = Array.from({ length: count }, () => ({ value: new Uint8Array(16 * 1024) }))
    // Twice, so that what a log gets once and keeps was got before it is measured.
    for (let round = 0; round < 2; round += 1) await log.append(large)
    const before = heldBytes()
    const tails = Array.from({ length: 32 }, () => log.tail()[Symbol.asyncIterator]())
    for (const tail of tails) expect((await tail.next()).value?.offset).toBe(0)
    await log.append(large)
    // What a log in memory stores is not what its consumers hold.
    const stored = kind === 'memory' ? log.status().bytes / 3 : 0
    expect(heldBytes() - before - stored).toBeLessThan(tails.length * pageBytesMax + slackBytes)
    const [first] = tails
    for (let offset = 1; offset < 3 * count; offset += 1) {
      expect((await first?.next())?.value?.offset).toBe(offset)
    }
    for (const tail of tails) await tail.return?.()
  })

  it('LOG-30 a cursor is durable, moves by compare-and-set, and one commit follows the other', async () => {
    const options = home(kind)
    const log = await started(options)
    await log.append(records(10))
    const cursor = log.cursor('worker/1')
    expect(cursor.get()).toEqual({ next: 0, revision: 0 })
    expect(await cursor.commit({ next: 4 })).toEqual({ next: 4, revision: 1 })
    const both = await Promise.all(
      [5, 6].map((next) => codeOf(cursor.commit({ next, revision: 1 }))),
    )
    expect(both.sort()).toEqual(['ERR_LOG_CURSOR_CONFLICT', 'resolved'])
    expect(cursor.get().revision).toBe(2)
    expect(await codeOf(cursor.commit({ next: 11 }))).toBe('ERR_LOG_OFFSET_OUT_OF_RANGE')
    expect(await codeOf(cursor.commit({ next: 0.5 }))).toBe('ERR_LOG_OFFSET_OUT_OF_RANGE')
    expect(() => log.cursor('no spaces')).toThrow('1 to 128')
    await log.cursor('other').commit({ next: 1 })
    await log.stop()
    const again = await started(options)
    expect(again.cursor('worker/1').get()).toEqual({ next: 5, revision: 2 })
    expect(again.cursor('other').get()).toEqual({ next: 1, revision: 1 })
  })
})

describe.each(durableKinds)('statements with a cursor of a %s log', (kind) => {
  it('LOG-31 happen together with its commit or not at all', async () => {
    const options = home(kind)
    const log = await started(options)
    await log.append(records(5))
    const cursor = log.cursor('c')
    const insert = (id: number) => ({
      sql: 'INSERT INTO seen(id, body) VALUES (?, ?)',
      params: [id, bytes(`body ${id}`)],
    })
    await cursor.commit({
      next: 1,
      statements: [{ sql: 'CREATE TABLE seen(id INTEGER PRIMARY KEY, body)' }],
    })
    await cursor.commit({ next: 2, statements: [insert(1), insert(2)] })
    const failed = codeOf(cursor.commit({ next: 3, statements: [insert(3), insert(1)] }))
    const beside = log.append(records(1))
    expect(await failed).toBe('ERR_LOG_STATEMENT')
    expect((await beside).first).toBe(6)
    expect(cursor.get()).toEqual({ next: 2, revision: 2 })
    expect(await cursor.commit({ next: 3, revision: 2, statements: [insert(3)] })).toEqual({
      next: 3,
      revision: 3,
    })
    for (const sql of [
      'COMMIT',
      ' pragma user_version=9',
      'DELETE FROM kith_batch',
      'attach x as y',
    ]) {
      expect(await codeOf(cursor.commit({ next: 4, statements: [{ sql }] }))).toBe(
        'ERR_LOG_OPTIONS',
      )
    }
    // What cannot be bound is refused before anything else hears of it.
    for (const param of [Promise.resolve(1), () => 1, undefined, true, Symbol('a'), new Date()]) {
      const [{ sql }, params] = [insert(4), [param]]
      const commit = cursor.commit({ next: 4, statements: [{ sql, params: params as never }] })
      expect(await codeOf(commit)).toBe('ERR_LOG_OPTIONS')
    }
    const none = { sql: 'SELECT ?', params: {} as never }
    expect(await codeOf(cursor.commit({ next: 4, statements: [none] }))).toBe('ERR_LOG_OPTIONS')
    const all = [1n, 1.5, Number.NaN, 'a', null, bytes('b')]
    const bound = { sql: 'SELECT ?, ?, ?, ?, ?, ?', params: all }
    expect(await cursor.commit({ next: 3, statements: [bound] })).toMatchObject({ revision: 4 })
    expect((await log.append(records(1))).first).toBe(7)
    expect(await log.verify()).toMatchObject({ ok: true })
    await log.stop()
    const { default: Database } = await import('better-sqlite3')
    const db = new Database(databaseIn(options), { readonly: true })
    expect(db.prepare('SELECT id FROM seen ORDER BY id').pluck().all()).toEqual([1, 2, 3])
    expect(db.prepare("SELECT next FROM kith_cursor WHERE name = 'c'").pluck().get()).toBe(3)
    db.close()
  })
})

it('LOG-31 a memory log says that it runs no statements', async () => {
  const log = await started()
  const commit = log.cursor('c').commit({ next: 0, statements: [{ sql: 'SELECT 1' }] })
  expect(await codeOf(commit)).toBe('ERR_LOG_STATEMENTS_UNSUPPORTED')
})

describe.each(durableKinds)('a reader of a %s log', (kind) => {
  it('REP-16 LOG-28 that stands still, or is in the middle of a scan, keeps nothing', async () => {
    const options = home(kind)
    const log = await started({ ...options, cacheBytesMax: 0 })
    for (let batch = 0; batch < 10; batch += 1) await log.append(records(200, batch * 200))
    const tail = log.tail()[Symbol.asyncIterator]()
    expect((await tail.next()).value).toMatchObject({ offset: 0 })
    const scans = [log.verify(), log.scrub({ bytesPerSecond: 1_024 })]
    // Of segments it is the index that has a write-ahead log.
    const other = new Database(databaseIn(options))
    onTestFinished(() => void other.close())
    for (let round = 0; round < 3; round += 1) {
      await log.append(records(1))
      // Only a reader in a transaction would keep all of it from being copied and cut off.
      const [row] = other.pragma('wal_checkpoint(TRUNCATE)') as { busy: number; log: number }[]
      expect(row).toMatchObject({ busy: 0, log: 0 })
    }
    await scans[0]
    const stopped = scans[1]?.catch(() => {})
    await log.stop()
    await stopped
  })
})
