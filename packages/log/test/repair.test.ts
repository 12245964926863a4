/** Damage is found by whoever looks, named, and repaired from batches that prove themselves. */
import { join } from 'node:path'
import Database from 'better-sqlite3'
import type { CorruptRun } from '@kith/interface'
import { describe, expect, it } from 'vitest'
import type { Log, ScrubReport } from '../src/index.ts'
import {
  allValues,
  codeOf,
  makeBatch,
  manualClock,
  pulled,
  records,
  started,
  temporaryDirectory,
} from './support.ts'

const stranger = 'ab'.repeat(16)
const kinds = ['inline', 'worker'] as const

/** Changes a column of the batch at an offset, as damage would. */
function damage(directory: string, offset: number, change: (bytes: Buffer) => void): void {
  const db = new Database(join(directory, 'log.db'))
  const blob = Buffer.from(
    db.prepare('SELECT bytes FROM kith_batch WHERE offset = ?').pluck().get(offset) as Uint8Array,
  )
  change(blob)
  db.prepare('UPDATE kith_batch SET bytes = ? WHERE offset = ?').run(blob, offset)
  db.close()
}

const flip =
  (at: number) =>
  (bytes: Buffer): void => {
    bytes[at] = (bytes[at] ?? 0) ^ 16
  }

interface Sick {
  readonly log: Log
  readonly directory: string
  /** What it held before, by origin. */
  readonly batches: ReadonlyMap<string, readonly Uint8Array[]>
  readonly values: readonly string[]
}

/** Own batches at 0, 2, 4, 9 and 11, a stranger's at 6: then what `harm` does. */
async function sick(
  writer: (typeof kinds)[number],
  harm: (directory: string) => void,
): Promise<Sick> {
  const directory = temporaryDirectory()
  const log = await started({ directory, writer })
  for (let batch = 0; batch < 3; batch += 1) await log.append(records(2, batch * 2))
  await log.applyBatches([makeBatch(stranger).bytes])
  for (let batch = 3; batch < 5; batch += 1) await log.append(records(2, batch * 2))
  const batches = new Map([
    [log.origin, await pulled(log)],
    [stranger, await pulled(log, stranger)],
  ])
  const values = await allValues(log)
  await log.stop()
  harm(directory)
  return { log: await started({ directory, writer }), directory, batches, values }
}

/** The damage that is known, or will be: the last batch of an origin is met at the start. */
function told(log: Log): Promise<CorruptRun> {
  const [known] = log.corrupt()
  return new Promise((resolve) => {
    if (known === undefined) log.on('corrupt', resolve)
    else resolve(known)
  })
}

/** The batches of a run among all of its origin. */
function within({ from, to }: CorruptRun, all: readonly Uint8Array[] = []): readonly Uint8Array[] {
  return all.filter((bytes) => {
    const first = Buffer.from(bytes).readUIntLE(20, 6)
    return first >= from && first < to
  })
}

describe.each(kinds)('a damaged %s log', (kind) => {
  it('LOG-53 a scrub names every damaged batch by origin and sequence', async () => {
    const { log } = await sick(kind, (directory) => {
      damage(directory, 2, flip(90))
      damage(directory, 6, flip(90))
    })
    const report = await log.scrub({ bytesPerSecond: 1024 * 1024 })
    expect(report).toMatchObject({ batches: 6, corrupt: 2, from: 0, to: 13 })
    await expect.poll(() => log.corrupt().length).toBe(2)
    expect(log.corrupt()).toMatchObject([
      { origin: log.origin, from: 3, to: 5, offset: 2 },
      { origin: stranger, from: 1, to: 4, offset: 6 },
    ])
    expect(log.status().metrics).toMatchObject({ corruptRuns: 2, scrubPasses: 1, scrubCorrupt: 2 })
  })

  it('LOG-53 knows nothing more of damage that retention dropped', async () => {
    const { log } = await sick(kind, (directory) => {
      damage(directory, 2, flip(90))
      damage(directory, 9, flip(90))
    })
    await log.scrub({ bytesPerSecond: 1024 * 1024 })
    await expect.poll(() => log.corrupt().length).toBe(2)
    expect(await log.retain({ recordsMax: 5 })).toMatchObject({ floor: 9 })
    expect(log.corrupt()).toMatchObject([{ offset: 9 }])
    expect(log.status().metrics).toMatchObject({ corruptRuns: 1 })
  })

  it('LOG-54 takes whole batches in the place of damaged ones, and is whole again', async () => {
    const { log, batches, values } = await sick(kind, (directory) => {
      damage(directory, 2, flip(90))
      damage(directory, 4, flip(70))
      damage(directory, 6, flip(50))
    })
    const vector = log.vector()
    expect((await log.verify()).damageCount).toBeGreaterThan(0)
    await expect.poll(() => log.corrupt().length).toBe(2)
    const [own, foreign] = log.corrupt() as [CorruptRun, CorruptRun]
    expect(own).toMatchObject({ from: 3, to: 7, offset: 2 })
    for (const run of [own, foreign]) {
      const whole = within(run, batches.get(run.origin))
      expect(await log.repair(run, whole.slice(1))).toBe('refused')
      expect(await log.repair(run, whole)).toBe('repaired')
      expect(await log.repair(run, whole)).toBe('healed')
    }
    expect(log.corrupt()).toEqual([])
    expect(await log.verify()).toMatchObject({ ok: true })
    expect(await allValues(log)).toEqual(values)
    expect(log.vector()).toEqual(vector)
    expect(log.status().metrics).toMatchObject({ corruptRuns: 0, repairedBatches: 3 })
    // The log goes on, and what was repaired is durable.
    await log.append(records(1, 99))
    expect(await log.scrub({ bytesPerSecond: 1024 * 1024 })).toMatchObject({ corrupt: 0 })
  })
})

describe('a repair', () => {
  it('LOG-54 refuses what was not there, whoever sends it', async () => {
    const { log, batches } = await sick('inline', (directory) => damage(directory, 6, flip(90)))
    const found = told(log)
    expect(await codeOf(log.read({ from: 6 }))).toBe('ERR_LOG_CORRUPT')
    const run = await found
    const other = makeBatch(stranger, 1, undefined, records(3, 50)).bytes
    expect(await log.repair(run, [other])).toBe('refused')
    expect(await log.repair(run, [Uint8Array.from(other).fill(0, 70)])).toBe('refused')
    expect(await log.repair(run, [Uint8Array.of(1, 2, 3)])).toBe('refused')
    expect(await log.repair(run, batches.get(log.origin) ?? [])).toBe('refused')
    expect(log.status().metrics).toMatchObject({ refusedRepairs: 4 })
    expect(await codeOf(log.read({ from: 6 }))).toBe('ERR_LOG_CORRUPT')
  })

  it('LOG-54 repairs the columns of a row as well', async () => {
    const { log, directory, batches } = await sick('inline', (at) => {
      const db = new Database(join(at, 'log.db'))
      db.exec('UPDATE kith_batch SET stored_at = 1, chain = zeroblob(32) WHERE offset = 4')
      db.close()
    })
    const found = told(log)
    expect(await codeOf(log.read({ from: 4 }))).toBe('ERR_LOG_CORRUPT')
    const run = await found
    expect(run).toMatchObject({ origin: log.origin, from: 5, to: 7 })
    expect(await log.repair(run, within(run, batches.get(log.origin)))).toBe('repaired')
    expect(await log.verify()).toMatchObject({ ok: true })
    const db = new Database(join(directory, 'log.db'), { readonly: true })
    expect(db.pragma('integrity_check', { simple: true })).toBe('ok')
    db.close()
  })

  it('LOG-54 leaves a row alone that reads as if a page of another batch were in it', async () => {
    const { log, batches, directory } = await sick('inline', () => {})
    await log.append([{ value: new Uint8Array(60_000).fill(3) }])
    const whole = (await pulled(log)).at(-1)
    await log.stop()
    damage(directory, 13, (bytes) => bytes.fill(7, 20_000, 36_000))
    const again = await started({ directory, writer: 'inline' })
    await again.append(records(1))
    const found = told(again)
    expect(await codeOf(again.read({ from: 13 }))).toBe('ERR_LOG_CORRUPT')
    expect(await codeOf(again.repair(await found, [whole as Uint8Array]))).toBe('ERR_LOG_REPAIR')
    // Nothing was written, and the store goes on.
    await again.append(records(1))
    expect((await again.verify()).damage.map(({ key }) => key)).toEqual(['13'])
    expect(batches.size).toBe(2)
  })

  it('LOG-54 LOG-27 says so where nothing tells what was there', async () => {
    const { log } = await sick('inline', (directory) => {
      const db = new Database(join(directory, 'log.db'))
      db.exec('DELETE FROM kith_batch WHERE offset = 4')
      db.close()
    })
    const damaged = new Promise((resolve) => log.on('damage', resolve))
    expect(await log.scrub()).toMatchObject({ corrupt: 1 })
    expect(await damaged).toMatchObject({ damage: [{ table: 'batch', key: '4' }] })
    expect(log.corrupt()).toEqual([])
  })
})

describe('a scrub', () => {
  /** Enough batches for several pages. */
  async function long(clock = manualClock()): Promise<{ log: Log; directory: string }> {
    const directory = temporaryDirectory()
    const log = await started({ directory, writer: 'inline', clock })
    for (let batch = 0; batch < 20; batch += 1) {
      await log.append([{ value: new Uint8Array(32_000).fill(batch) }])
    }
    return { log, directory }
  }

  /** Lets time pass until something is settled. */
  async function pass(
    clock: ReturnType<typeof manualClock>,
    report: Promise<ScrubReport>,
  ): Promise<number> {
    let done = false
    void report.catch(() => {}).finally(() => (done = true))
    let ms = 0
    for (; !done; ms += 10) {
      clock.advance(10)
      await new Promise((resolve) => setImmediate(resolve))
    }
    return ms
  }

  it('LOG-53 reads no more bytes a second than it may', async () => {
    const clock = manualClock()
    const { log } = await long(clock)
    const report = log.scrub({ bytesPerSecond: 100_000 })
    const ms = await pass(clock, report)
    const { bytes } = await report
    expect(bytes).toBeGreaterThan(20 * 32_000)
    // One page is read at once, and the last one is paid for as well.
    expect(ms).toBeGreaterThanOrEqual((bytes / 100_000) * 1_000)
    expect(ms).toBeLessThan((bytes / 100_000) * 1_000 + 2_000)
  })

  it('LOG-53 goes on in the next life where it was stopped in this one', async () => {
    const clock = manualClock()
    const { log, directory } = await long(clock)
    const cut = log.scrub({ bytesPerSecond: 100_000 })
    const code = codeOf(cut)
    for (let at = 0; at < 200; at += 1) {
      clock.advance(10)
      await new Promise((resolve) => setImmediate(resolve))
    }
    const reached = log.status().metrics['scrubOffset'] ?? 0
    expect(reached).toBeGreaterThan(2)
    await log.stop()
    expect(await code).toBe('ERR_LOG_CLOSED')
    damage(directory, 18, flip(1_000))
    const again = await started({ directory, writer: 'inline', scrub: { everyMs: 3_600_000 } })
    // By itself, at once: the last pass was cut off.
    const scrubbed = await new Promise((resolve) => again.on('scrubbed', resolve))
    expect(scrubbed).toMatchObject({ batches: 20 - reached, corrupt: 1 })
    expect(await again.scrub()).toMatchObject({ from: 0, batches: 20, corrupt: 1 })
    expect(() => again.cursor('kith:scrub')).toThrow(/kith:/)
  })

  it('LOG-53 counts the time between two passes over restarts', async () => {
    const directory = temporaryDirectory()
    const clock = manualClock()
    const hourMs = 3_600_000
    /** A life of so many minutes, and how many passes it made. */
    const life = async (minutes: number): Promise<number> => {
      const log = await started({ directory, writer: 'inline', clock, scrub: { everyMs: hourMs } })
      for (let minute = 0; minute < minutes; minute += 1) {
        const scrubbed = log.status().metrics['scrubPasses'] ?? 0
        clock.advance(60_000)
        // A pass that began ends within as many turns of its timers, which take no minute.
        for (let turn = 0; turn < 5; turn += 1) {
          await new Promise((resolve) => setImmediate(resolve))
          clock.advance(1)
        }
        if ((log.status().metrics['scrubPasses'] ?? 0) > scrubbed) await log.append(records(1))
      }
      const passes = log.status().metrics['scrubPasses'] ?? 0
      await log.stop()
      return passes
    }
    const made = [await life(40), await life(40), await life(30), await life(20), await life(40)]
    expect(made).toEqual([0, 1, 0, 1, 0])
    // What a clock says that was set back is not believed.
    clock.setWall(1_600_000_000_000)
    expect(await life(30)).toBe(0)
  })

  it('LOG-53 LOG-44 passes over what retention drops meanwhile', async () => {
    const clock = manualClock()
    const { log } = await long(clock)
    const report = log.scrub({ bytesPerSecond: 100_000 })
    for (let at = 0; at < 100; at += 1) clock.advance(10)
    await log.retain({ recordsMax: 3 })
    await pass(clock, report)
    expect(await report).toMatchObject({ corrupt: 0, to: 20 })
  })

  it('LOG-53 ends when its signal says so', async () => {
    const clock = manualClock()
    const { log } = await long(clock)
    const controller = new AbortController()
    const report = log.scrub({ bytesPerSecond: 1_024, signal: controller.signal })
    controller.abort(new Error('enough'))
    const failed = codeOf(report)
    await pass(clock, report)
    expect(await failed).toContain('enough')
    expect(await codeOf(log.scrub({ bytesPerSecond: 1 }))).toBe('ERR_LOG_OPTIONS')
  })

  it('LOG-53 ends at once, for all who asked, whosever signal says so', async () => {
    const { log } = await long()
    const controller = new AbortController()
    const { signal } = controller
    const calls = [log.scrub({ bytesPerSecond: 1_024 }), log.scrub({ signal }), log.scrub()]
    await new Promise((resolve) => setImmediate(resolve))
    controller.abort(new Error('enough'))
    // No time passes: the pause between two pages is not waited for.
    const codes = await Promise.all(calls.map(codeOf))
    expect(codes).toEqual(calls.map(() => 'Error: enough'))
    expect(await codeOf(log.scrub({ signal }))).toBe('Error: enough')
  })
})
