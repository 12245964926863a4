import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import type { LogStore } from '@kith/interface'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createLog, LogError, memoryStore, sqliteStore } from '../src/index.ts'
import type { Log, LogOptions } from '../src/index.ts'
import {
  allValues,
  codeOf,
  durableKinds,
  home,
  inDirectory,
  kinds,
  manualClock,
  pulled,
  records,
  sqliteKinds,
  started,
  temporaryDirectory,
} from './support.ts'

describe.each(kinds)('starting a %s log', (kind) => {
  it('LOG-14 waits behind its gate until a member was heard from', async () => {
    const options = home(kind)
    const log = await started(options)
    await log.append(records(1))
    await log.stop()
    const again = await started({ ...options, gate: 'wait' })
    const gates: unknown[] = []
    again.on('gate', (event) => gates.push(event))
    expect(again.status().gate).toBe('waiting')
    expect(await codeOf(again.append(records(1)))).toBe('ERR_LOG_NOT_READY')
    expect((await again.read()).records.length).toBe(1)
    again.openGate()
    again.openGate()
    expect(gates).toEqual([{ rotated: false }])
    expect((await again.append(records(1))).first).toBe(2)
  })

  it('LOG-14 opens by itself after gateMs, keeping its origin after an orderly stop', async () => {
    const options = home(kind)
    const log = await started({ ...options, gate: 'wait' })
    expect((await log.append(records(1))).first).toBe(1)
    const { origin } = log
    await log.stop()
    const clock = manualClock()
    const again = await started({ ...options, gate: 'wait', gateMs: 700, clock })
    clock.advance(699)
    expect(again.status().gate).toBe('waiting')
    clock.advance(1)
    expect(again.status().gate).toBe('open')
    expect(await again.append(records(1))).toMatchObject({ origin, first: 2 })
  })

  it('LOG-22 names the second writer its problem, and leaves the first alone', async () => {
    const options = home(kind)
    const log = await started(options)
    const second = createLog(options)
    const error = await second.start().catch((cause: unknown) => cause)
    expect(error).toMatchObject({ code: 'ERR_LOG_LOCKED' })
    expect((error as LogError).message).toContain(options.directory ?? 'memory')
    await second.stop()
    expect((await log.append(records(1))).first).toBe(1)
    await log.stop()
    expect((await (await started(options)).append(records(1))).first).toBe(2)
  })

  it('LOG-25 keeps its identity over restarts', async () => {
    const options = home(kind)
    const log = await started({ ...options, member: 'first name' })
    const { logId, origin } = log
    expect(logId).toMatch(/^[0-9a-f]{32}$/)
    expect(origin).not.toBe(logId)
    await log.stop()
    const again = await started({ ...options, member: 'second name' })
    expect([again.logId, again.origin]).toEqual([logId, origin])
    expect(again.vector()).toMatchObject([{ member: 'second name', own: true }])
  })
})

describe.each(durableKinds)('a %s log in a directory', (kind) => {
  it('LOG-14 LOG-25 gives up its origin after an unclean stop when nobody can be asked', async () => {
    const directory = temporaryDirectory()
    const child = spawn(
      process.execPath,
      [
        '--conditions=@kith/source',
        new URL('./process/append-child.ts', import.meta.url).pathname,
        directory,
        kind === 'worker' ? kind : 'inline',
        '1',
        '6',
        '0',
        kind === 'segment' ? kind : 'sqlite',
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    await once(child.stdout, 'data')
    child.kill('SIGKILL')
    await once(child, 'exit')
    const clock = manualClock()
    const log = await started({ ...inDirectory(kind, directory), gate: 'wait', clock })
    const past = log.origin
    const known = log.status().records
    expect(known).toBeGreaterThan(0)
    const rotated = new Promise((resolve) => log.on('rotate', resolve))
    const opened = gateOf(log)
    clock.advance(5_000)
    expect(await rotated).toMatchObject({ from: past })
    expect(await opened).toEqual({ rotated: true })
    const result = await log.append(records(1))
    expect(result).toMatchObject({ origin: log.origin, first: 1, offset: known })
    expect(log.origin).not.toBe(past)
    expect(await log.verify()).toMatchObject({ ok: true })
  })

  it('LOG-22 a writer in another process is refused as well', async () => {
    const directory = temporaryDirectory()
    const child = spawn(
      process.execPath,
      [
        '--conditions=@kith/source',
        new URL('./process/append-child.ts', import.meta.url).pathname,
        directory,
        'inline',
        '1',
        '6',
        '0',
        kind === 'segment' ? kind : 'sqlite',
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    await once(child.stdout, 'data')
    const log = createLog(inDirectory(kind, directory))
    expect(await codeOf(log.start())).toBe('ERR_LOG_LOCKED')
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect((await started(inDirectory(kind, directory))).status().records).toBeGreaterThan(0)
  })

  it('makes missing directories', async () => {
    const directory = join(temporaryDirectory(), 'a', 'b')
    const log = await started(inDirectory(kind, directory))
    expect((await log.append(records(1))).first).toBe(1)
    mkdirSync(directory, { recursive: true })
  })
})

describe.each(sqliteKinds)('a %s log in one SQLite file', (kind) => {
  it('LOG-26 refuses a newer format, a file that is not a log, and a directory that cannot be', async () => {
    const options = home(kind)
    const log = await started(options)
    await log.stop()
    const path = join(options.directory ?? '', 'log.db')
    const db = new Database(path)
    db.pragma('user_version=3')
    db.close()
    const error = await createLog(options)
      .start()
      .catch((cause: unknown) => cause)
    expect(error).toMatchObject({ code: 'ERR_LOG_FORMAT' })
    expect((error as LogError).message).toContain('format 3')
    const foreign = home(kind)
    const other = new Database(join(foreign.directory ?? '', 'log.db'))
    other.exec('CREATE TABLE mine(x)')
    other.close()
    expect(await codeOf(createLog(foreign).start())).toBe('ERR_LOG_FORMAT')
    const blocked = join(temporaryDirectory(), 'file')
    writeFileSync(blocked, 'not a directory')
    const under = { ...options, directory: join(blocked, 'log') }
    expect(await codeOf(createLog(under).start())).toBe('ERR_LOG_DIRECTORY')
    const garbage = home(kind)
    writeFileSync(join(garbage.directory ?? '', 'log.db'), 'x'.repeat(50_000))
    expect(await codeOf(createLog(garbage).start())).toBe('ERR_LOG_CORRUPT')
  })

  it('LOG-28 LOG-77 bounds the write-ahead log while it appends', async () => {
    const options = home(kind)
    const log = await started(options)
    const value = new Uint8Array(60_000).fill(9)
    let [largest, inUse] = [0, 0]
    for (let round = 0; round < 60; round += 1) {
      await Promise.all(Array.from({ length: 40 }, () => log.append({ value })))
      inUse = Math.max(inUse, log.status().metrics['walBytes'] ?? 0)
      largest = Math.max(largest, statSync(join(options.directory ?? '', 'log.db-wal')).size)
    }
    // 144 MB of records and as many bytes again for pages went through it.
    expect(largest).toBeLessThan(150 * 2 ** 20)
    // It starts over from 64 MiB on, perhaps within a round, and a round is 2.4 MB.
    expect(inUse).toBeGreaterThan(60 * 2 ** 20)
    expect(inUse).toBeLessThan(largest)
    const { checkpoints, lastCheckpointMs, oldestReaderMs } = log.status().metrics
    expect(checkpoints).toBeGreaterThan(0)
    expect(lastCheckpointMs).toBeGreaterThan(0)
    expect(oldestReaderMs).toBe(0)
    await log.stop()
    expect(() => statSync(join(options.directory ?? '', 'log.db-wal'))).toThrow('ENOENT')
    const again = await started(options)
    expect(again.status().records).toBe(2_400)
  })
})

/** Batches of another log. */
async function megabytesOf(count: number): Promise<Uint8Array[]> {
  const log = await started()
  const value = new Uint8Array(150_000)
  for (let size = 0; size < count * 2 ** 20; size += value.length) await log.append({ value })
  return pulled(log)
}

function gateOf(log: Log): Promise<unknown> {
  return new Promise((resolve) => log.on('gate', resolve))
}

/** A memory store that fails as told. */
function failingStore(fail: (flush: boolean) => Error | undefined): LogOptions['store'] {
  const make = memoryStore()
  return () => {
    const store: LogStore = make()
    return {
      ...store,
      commit(changes, flush) {
        const error = fail(flush)
        if (error !== undefined) throw error
        store.commit(changes, flush)
      },
    }
  }
}

async function failingLog(): Promise<{ log: Log; fail: (error: Error | undefined) => void }> {
  let error: Error | undefined
  const log = await started({ store: failingStore(() => error) as never })
  return { log, fail: (next) => (error = next) }
}

it('LOG-36 REP-20 takes nothing more after a failed flush, and still serves what was durable', async () => {
  const { log, fail } = await failingLog()
  await log.append(records(2))
  const poisoned: unknown[] = []
  log.on('poisoned', (event) => poisoned.push(event))
  const vector = log.vector()
  fail(new Error('input/output error'))
  const calls = [
    log.append(records(1), { producer: { id: 'p', sequence: 1 } }),
    log.cursor('c').commit({ next: 1 }),
    log.rotate('now'),
  ]
  expect(await Promise.all(calls.map(codeOf))).toEqual(calls.map(() => 'ERR_LOG_POISONED'))
  fail(undefined)
  expect(await codeOf(log.append(records(1)))).toBe('ERR_LOG_POISONED')
  expect(await codeOf(log.applyBatches([]))).toBe('ERR_LOG_POISONED')
  expect(log.status().gate).toBe('poisoned')
  expect(poisoned.length).toBe(1)
  expect(log.vector()).toEqual(vector)
  expect((await allValues(log)).length).toBe(2)
  await log.stop()
})

it('LOG-35 LOG-36 a retry for the disk is answered after a flush, and fails where that does', async () => {
  let failing = false
  const store = failingStore((flush) => (flush && failing ? new Error('EIO') : undefined))
  // No time passes, so that nothing is flushed but what asks for it.
  const log = await started({ store, clock: manualClock() } as LogOptions)
  const attempt = (sequence: number, durability: 'disk' | 'os') =>
    log.append(records(1), { durability, producer: { id: 'p', sequence } })
  await attempt(1, 'os')
  expect(await attempt(1, 'os')).toMatchObject({ duplicate: true })
  expect(log.status().next).toBe(0)
  expect(await attempt(1, 'disk')).toMatchObject({ offset: 0, duplicate: true })
  expect(log.status().next).toBe(1)
  const first = attempt(2, 'os')
  expect(await attempt(2, 'disk')).toMatchObject({ offset: 1, duplicate: true })
  expect(log.status().next).toBe(2)
  await first
  await attempt(3, 'os')
  failing = true
  expect(await codeOf(attempt(3, 'disk'))).toBe('ERR_LOG_POISONED')
  expect(await codeOf(attempt(3, 'disk'))).toBe('ERR_LOG_POISONED')
  expect(await attempt(2, 'disk')).toMatchObject({ offset: 1, duplicate: true })
})

it('LOG-38 LOG-64 rejects what does not fit a full disk, says so, and goes on when there is room', async () => {
  const { log, fail } = await failingLog()
  await log.append(records(1), { producer: { id: 'p', sequence: 1 } })
  const { origin } = log
  fail(new LogError('ERR_LOG_STORE_FULL', 'disk full'))
  const calls = [
    log.append(records(5), { producer: { id: 'p', sequence: 2 } }),
    log.cursor('c').commit({ next: 1 }),
    log.rotate('now'),
  ]
  expect(await Promise.all(calls.map(codeOf))).toEqual(calls.map(() => 'ERR_LOG_STORE_FULL'))
  expect(log.status().disk.full?.times).toBeGreaterThan(0)
  fail(undefined)
  expect(log.origin).toBe(origin)
  expect(log.cursor('c').get()).toEqual({ next: 0, revision: 0 })
  expect(await log.append(records(1), { producer: { id: 'p', sequence: 2 } })).toMatchObject({
    origin,
    first: 2,
    offset: 1,
    duplicate: false,
  })
  expect(log.status().disk.full).toBeUndefined()
  expect(await log.verify()).toMatchObject({ ok: true, records: 2 })
})

it('LOG-38 batches that a full disk took back while others were looked at are not said to be held', async () => {
  const { log, fail } = await failingLog()
  const batches = await megabytesOf(2)
  fail(new LogError('ERR_LOG_STORE_FULL', 'disk full'))
  const appended = codeOf(log.append(records(1)))
  const taken = codeOf(log.applyBatches(batches))
  expect(await appended).toBe('ERR_LOG_STORE_FULL')
  fail(undefined)
  expect(await taken).toBe('ERR_LOG_STORE_FULL')
  const { outcomes } = await log.applyBatches(batches)
  expect(outcomes.filter((outcome) => outcome === 'ahead')).toEqual([])
  expect(log.status().next).toBe(batches.length)
})

it('LOG-38 leaves a full SQLite file whole, and goes on when there is room', async () => {
  const directory = temporaryDirectory()
  const log = await started({ store: sqliteStore({ directory, fileBytesMax: 40 * 16_384 }) })
  const value = new Uint8Array(60_000).fill(5)
  const answers: string[] = []
  for (let sequence = 1; sequence <= 30; sequence += 1) {
    const id = `producer ${sequence}`
    answers.push(await codeOf(log.append({ value }, { producer: { id, sequence } })))
  }
  const stored = answers.filter((answer) => answer === 'resolved').length
  expect(stored).toBeGreaterThan(2)
  expect(new Set(answers)).toEqual(new Set(['resolved', 'ERR_LOG_STORE_FULL']))
  // What is small still fits, and counts of rows are those of the rows.
  expect(await codeOf(log.cursor('c').commit({ next: 1 }))).toBe('resolved')
  expect(await log.verify()).toMatchObject({ ok: true, records: stored })
  await log.stop()
  const again = await started({ store: sqliteStore({ directory }) })
  expect(again.status()).toMatchObject({ records: stored, gate: 'open' })
  const late = await again.append({ value }, { producer: { id: 'producer 30', sequence: 30 } })
  expect(late).toMatchObject({ first: stored + 1, duplicate: false })
  expect(await again.verify()).toMatchObject({ ok: true, records: stored + 1 })
})

/** A log that was not stopped in order and waits to be heard of; its disk is full on demand. */
async function waitingLog() {
  const disk: { error: Error | undefined } = { error: undefined }
  const store = failingStore(() => disk.error)
  const first = await started({ store } as LogOptions)
  await first.append(records(1))
  // The store cannot take the note of an orderly stop.
  disk.error = new LogError('ERR_LOG_STORE_FULL', 'disk full')
  await first.stop()
  disk.error = undefined
  const clock = manualClock()
  const log = await started({ store, gate: 'wait', gateMs: 100, clock } as LogOptions)
  return { log, clock, disk }
}

it('LOG-14 LOG-38 keeps the gate shut while there is no room for the new origin', async () => {
  const { log, clock, disk } = await waitingLog()
  const past = log.origin
  disk.error = new LogError('ERR_LOG_STORE_FULL', 'disk full')
  clock.advance(100)
  await new Promise((resolve) => setImmediate(resolve))
  disk.error = undefined
  expect(await codeOf(log.append(records(1)))).toBe('ERR_LOG_NOT_READY')
  const opened = gateOf(log)
  clock.advance(100)
  // Also while the new origin is on its way.
  expect(await codeOf(log.append(records(1)))).toBe('ERR_LOG_NOT_READY')
  expect(await opened).toEqual({ rotated: true })
  expect((await log.append(records(1))).first).toBe(1)
  expect(log.origin).not.toBe(past)
})

it('LOG-14 LOG-38 a member that is heard from while there is no room for the new origin opens the gate', async () => {
  const { log, clock, disk } = await waitingLog()
  const past = log.origin
  disk.error = new LogError('ERR_LOG_STORE_FULL', 'disk full')
  const opened = gateOf(log)
  clock.advance(100)
  log.openGate()
  expect(log.status().gate).toBe('waiting')
  expect(await opened).toEqual({ rotated: false })
  disk.error = undefined
  expect(await log.append(records(1))).toMatchObject({ origin: past, first: 2 })
})

it('starts no log that is stopped or aborted meanwhile', async () => {
  for (const kind of kinds) {
    const options = home(kind)
    const log = createLog(options)
    const starting = log.start()
    await log.stop()
    await starting
    expect(await codeOf(log.append(records(1)))).toBe('ERR_LOG_CLOSED')
    const controller = new AbortController()
    const aborted = createLog(options).start(controller.signal)
    controller.abort(new Error('changed my mind'))
    expect(await codeOf(aborted)).toContain('changed my mind')
    expect((await (await started(options)).append(records(1))).first).toBe(1)
  }
})

it('LOG-78 a stop ends where the thread of the store does not, and tells all who waited', async () => {
  const child = spawn(
    process.execPath,
    [
      '--conditions=@kith/source',
      new URL('./process/stuck-child.ts', import.meta.url).pathname,
      temporaryDirectory(),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  onTestFinished(() => void child.kill('SIGKILL'))
  const [said] = (await once(child.stdout, 'data')) as [Buffer]
  child.kill('SIGKILL')
  await once(child, 'exit')
  expect(said.toString()).toBe('ERR_LOG_CLOSED ERR_LOG_CLOSED ERR_LOG_CLOSED')
})

it('LOG-29 a memory log is not durable and says so', async () => {
  const log = await started()
  expect(log.durable).toBe(false)
  expect(log.status()).toMatchObject({ durable: false, writer: 'inline' })
})
