/** What the system does not let a log read is told as that, and never taken for damage. */
import { readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { LogStore, LogStoreReader } from '@kith/interface'
import { describe, expect, it, onTestFinished } from 'vitest'
import { memoryStore, segmentStore, sqliteStore } from '../src/index.ts'
import type { Log, LogOptions } from '../src/index.ts'
import { openDatabase } from '../src/store/sqlite/driver.ts'
import { createSqliteStore } from '../src/store/sqlite/store.ts'
import { refusalCode, throwIfPageRefused } from '../src/store/unreadable.ts'
import {
  allValues,
  codeOf,
  makeBatch,
  pulled,
  records,
  started,
  temporaryDirectory,
} from './support.ts'

const stranger = 'ab'.repeat(16)

function eio(): Error {
  return Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO', errno: -5 })
}

interface Failing {
  readonly options: LogOptions
  /** From now on nothing can be read. */
  fail(): void
  mend(): void
}

/** A log on a disk whose reads fail when the test says so. */
function failing(options: LogOptions = {}): Failing {
  let broken = false
  const orFail = <Result>(read: () => Result): Result => {
    if (broken) throw eio()
    return read()
  }
  const watched = (reader: LogStoreReader): LogStoreReader => ({
    atOffset: (offset) => orFail(() => reader.atOffset(offset)),
    fromOffset: (...from) => orFail(() => reader.fromOffset(...from)),
    atSequence: (...at) => orFail(() => reader.atSequence(...at)),
    fromSequence: (...from) => orFail(() => reader.fromSequence(...from)),
    state: () => orFail(() => reader.state()),
    close: () => reader.close(),
  })
  const make = memoryStore()
  const store = (): LogStore => {
    const inner = make()
    return {
      durable: false,
      statements: inner.statements,
      open: () => inner.open(),
      commit: (changes, flush) => inner.commit(changes, flush),
      reader: () => watched(inner.reader()),
      inspect: () => inner.inspect(),
      close: () => inner.close(),
    }
  }
  return {
    options: { store, cacheBytesMax: 0, ...options },
    fail: () => void (broken = true),
    mend: () => void (broken = false),
  }
}

/** Everything that a log says about damage. */
function saidOf(log: Log): readonly string[] {
  const said: string[] = []
  for (const kind of ['corrupt', 'damage', 'rotate', 'quarantine'] as const) {
    onTestFinished(log.on(kind, () => said.push(kind)))
  }
  return said
}

async function later(): Promise<void> {
  // What was suspected is looked at in the next turn.
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}

describe('a log whose disk does not answer', () => {
  it('LOG-71 says so to whoever reads, verifies, scrubs or retains, and calls nothing damaged', async () => {
    const disk = failing()
    const log = await started(disk.options)
    for (let batch = 0; batch < 4; batch += 1) await log.append(records(2, batch * 2))
    const said = saidOf(log)
    disk.fail()
    const asked = [
      log.read({ from: 2 }),
      log.readBatches(log.origin, 1, 1_000),
      log.fetchBatch(log.origin, 1),
      log.verify(),
      log.scrub(),
      log.retain({ recordsMax: 2 }),
    ]
    expect(await Promise.all(asked.map(codeOf))).toEqual(asked.map(() => 'ERR_LOG_IO'))
    await expect(log.read({ from: 2 })).rejects.toMatchObject({ details: { code: 'EIO' } })
    await later()
    expect(said).toEqual([])
    expect(log.corrupt()).toEqual([])
    disk.mend()
    expect(await allValues(log)).toHaveLength(8)
    expect((await log.verify()).ok).toBe(true)
    expect((await log.scrub()).corrupt).toBe(0)
  })

  it('LOG-71 gives up no origin because its own batch could not be compared', async () => {
    const disk = failing()
    const log = await started(disk.options)
    await log.append(records(2))
    const own = await pulled(log)
    const { origin } = log
    const said = saidOf(log)
    disk.fail()
    const { bytes } = makeBatch(stranger)
    expect(await codeOf(log.applyBatches([bytes, ...own]))).toBe('ERR_LOG_IO')
    expect(log.origin).toBe(origin)
    expect(said).toEqual([])
    disk.mend()
    // What came before it was taken.
    expect((await log.applyBatches([bytes, ...own])).outcomes).toEqual(['duplicate', 'duplicate'])
    expect(await allValues(log)).toHaveLength(5)
  })

  it('LOG-71 repairs nothing while it cannot look', async () => {
    const disk = failing()
    const log = await started(disk.options)
    await log.append(records(2))
    const run = { origin: log.origin, from: 1, to: 3, offset: 0, reason: 'a doubt' }
    const own = await pulled(log)
    disk.fail()
    expect(await codeOf(log.repair(run, own))).toBe('ERR_LOG_IO')
    disk.mend()
    expect(await log.repair(run, own)).toBe('healed')
  })
})

describe('an inspection that is refused', () => {
  it.each(['inline', 'worker'] as const)(
    'LOG-71 is an error with its code, from segments %s as well',
    async (writer) => {
      const directory = join(temporaryDirectory(), 'log')
      const log = await started({ directory, storage: 'segment', writer })
      await log.append(records(2))
      expect((await log.verify()).ok).toBe(true)
      renameSync(directory, `${directory}-away`)
      // A directory that leads to itself can be listed by nobody, and is not gone.
      symlinkSync(directory, directory)
      await expect(log.verify()).rejects.toMatchObject({
        code: 'ERR_LOG_IO',
        details: { code: 'ELOOP' },
      })
      rmSync(directory)
      renameSync(`${directory}-away`, directory)
      expect((await log.verify()).ok).toBe(true)
    },
  )

  it.each(['sqlite', 'segment'] as const)(
    'LOG-71 a directory that cannot be looked into is not one without a log (%s)',
    async (storage) => {
      const directory = join(temporaryDirectory(), 'log')
      symlinkSync(directory, directory)
      const store = storage === 'sqlite' ? sqliteStore({ directory }) : segmentStore({ directory })
      expect(() => store().open()).toThrowError(
        expect.objectContaining({ code: 'ERR_LOG_DIRECTORY' }),
      )
      expect(await codeOf(started({ directory }))).toBe('ERR_LOG_DIRECTORY')
    },
  )

  it('LOG-71 a row of an index that SQLite cannot pass is damage, and never called unreadable', async () => {
    const directory = temporaryDirectory()
    const log = await started({ directory, writer: 'inline' })
    await log.append(records(2))
    await log.stop()
    const path = join(directory, 'log.db')
    const db = openDatabase(path, { readonly: true })
    const root = db.prepare("SELECT rootpage FROM sqlite_schema WHERE type = 'index'").pluck().get()
    db.close()
    const whole = readFileSync(path)
    const said = new Set<string>()
    for (let back = 1; back <= 48; back += 1) {
      const damaged = Buffer.from(whole)
      const at = Number(root) * 16_384 - back
      damaged[at] = (damaged[at] ?? 0) ^ 8
      writeFileSync(path, damaged)
      const store = createSqliteStore({ directory })
      try {
        store.open()
        for (const { reason } of store.inspect()) said.add(reason)
      } finally {
        store.close()
      }
    }
    // One that ends the inspection, beside those that it passes.
    expect(said).toContain('database disk image is malformed')
    expect(said.size).toBeGreaterThan(1)
  })

  it('LOG-71 is told from what SQLite found', () => {
    const told = (line: string): void => throwIfPageRefused(line, 'log.db')
    const refused = [
      'Tree 5 page 7: unable to get the page. error code=266',
      'Tree 5 page 7: unable to get the page. error code=8458',
      'Tree 5 page 7: unable to get the page. error code=7',
      'Tree 3 page 4 cell 1: failed to get page 12',
    ]
    for (const line of refused) expect(() => told(line)).toThrowError(/cannot be read/)
    const damaged = [
      'Tree 5 page 7: unable to get the page. error code=11',
      'Tree 5 page 7: unable to get the page. error code=522',
      'Tree 5 page 7: btreeInitPage() returns error code 11',
      'Tree 3 page 4 cell 1: 2nd reference to page 12',
      'row 3 missing from index kith_batch_sequence',
    ]
    for (const line of damaged) told(line)
  })

  it.each([
    [{ code: 'SQLITE_IOERR_CORRUPTFS' }, 'SQLITE_IOERR_CORRUPTFS'],
    [{ code: 'SQLITE_CANTOPEN' }, 'SQLITE_CANTOPEN'],
    [{ code: 'EACCES', errno: -13, syscall: 'open' }, 'EACCES'],
    [{ code: 'SQLITE_IOERR_SHORT_READ' }, undefined],
    [{ code: 'SQLITE_CORRUPT_INDEX' }, undefined],
    [{ code: 'ERR_LOG_CORRUPT' }, undefined],
    [new Error('no code'), undefined],
    [undefined, undefined],
  ])('LOG-71 knows a refusal by its code (%j)', (cause, code) => {
    expect(refusalCode(cause)).toBe(code)
  })
})

describe.each([{ storage: 'sqlite' }, { storage: 'segment' }] as const)(
  'a log in storage $storage that is stopped',
  ({ storage }) => {
    it('LOG-71 calls nothing damaged for it, whoever verified it', async () => {
      const directory = temporaryDirectory()
      const log = await started({ directory, storage })
      for (let count = 0; count < 12; count += 1) {
        await log.append({ value: new Uint8Array(100_000) })
      }
      for (const each of [await started({ directory, readOnly: true }), log]) {
        const verified = codeOf(each.verify())
        await new Promise((resolve) => setImmediate(resolve))
        await each.stop()
        expect(await verified).toBe('ERR_LOG_CLOSED')
      }
    })
  },
)
