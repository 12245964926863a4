/** What a log counts and measures: names, and that they move. */
import { join } from 'node:path'
import type { LogStore } from '@kith/interface'
import { describe, expect, it, onTestFinished } from 'vitest'
import { LogError, memoryStore } from '../src/index.ts'
import type { Log, LogOptions } from '../src/index.ts'
import { createCheckpoints } from '../src/runtime/checkpoints.ts'
import { Latency, latencyBoundsMs } from '../src/runtime/latency.ts'
import { openDatabase } from '../src/store/sqlite/driver.ts'
import { databaseIn, manualClock, records, started, temporaryDirectory } from './support.ts'

const sum = (counts: readonly number[]): number => counts.reduce((all, count) => all + count, 0)
const bucketOf = (ms: number): number => latencyBoundsMs.findIndex((bound) => ms <= bound)

function figure(log: Log, name: string): number {
  const value = log.status().metrics[name]
  if (value === undefined) throw new Error(`${name} is absent`)
  return value
}

const counters = [
  ...['transactions', 'flushes', 'batches', 'records', 'bytes', 'failures', 'queuedBytes'],
  ...['retentionHeld', 'droppedBatches', 'droppedRecords', 'droppedBytes', 'forcedBatches'],
  ...['corruptRuns', 'repairedBatches', 'refusedRepairs', 'scrubOffset', 'scrubPasses'],
  ...['scrubbedBytes', 'scrubCorrupt'],
]
const ofDisk = ['walBytes', 'checkpointLagBytes', 'checkpoints', 'oldestReaderMs']

/** A frame of the write-ahead log: a page, and 24 bytes in front of it. */
const frameBytes = 16_384 + 24

const inDirectories: readonly [string, LogOptions][] = (['sqlite', 'segment'] as const).flatMap(
  (storage) =>
    (['worker', 'inline'] as const).map((writer): [string, LogOptions] => [
      `${storage} log with the writer ${writer}`,
      { storage, writer },
    ]),
)

describe.each(inDirectories)('a %s', (_, options) => {
  it('LOG-76 counts each append and each flush, under these names', async () => {
    const log = await started({ ...options, directory: temporaryDirectory() })
    expect(Object.keys(log.status().metrics).toSorted()).toEqual(
      [...counters, ...ofDisk].toSorted(),
    )
    const before = log.status().latency
    expect(sum(before?.append.counts ?? [])).toBe(0)
    await Promise.all([log.append(records(1)), log.append(records(3))])
    await log.append(records(1), { durability: 'os' })
    await log.append(records(1))
    const { latency, metrics } = log.status()
    expect(sum(latency?.append.counts ?? [])).toBe(4)
    expect(latency?.append.sumMs).toBeGreaterThan(0)
    expect(sum(latency?.flush.counts ?? [])).toBe(metrics['flushes'])
    expect(metrics['flushes']).toBeGreaterThan(sum(before?.flush.counts ?? []))
    expect(latency?.flush.sumMs).toBeGreaterThan(before?.flush.sumMs ?? Infinity)
  })

  it('LOG-77 says how long a backup has been reading it', async () => {
    const log = await started({ ...options, directory: temporaryDirectory() })
    await log.append(records(10))
    expect(figure(log, 'oldestReaderMs')).toBe(0)
    const backup = log.backup(join(temporaryDirectory(), 'backup'))
    const after = backup.then(() => 'over')
    const ages: number[] = []
    while ((await Promise.race([after, new Promise(setImmediate)])) !== 'over') {
      ages.push(figure(log, 'oldestReaderMs'))
    }
    expect(Math.max(...ages)).toBeGreaterThan(0)
    await new Promise(setImmediate)
    expect(figure(log, 'oldestReaderMs')).toBe(0)
  })
})

describe.each(['worker', 'inline'] as const)('a %s log in one file', (writer) => {
  it('LOG-77 says how long its write-ahead log is, and how much of it is not in the file', async () => {
    const home: LogOptions = { directory: temporaryDirectory(), writer }
    const log = await started(home)
    const before = figure(log, 'walBytes')
    expect(before % frameBytes).toBe(0)
    await log.append({ value: new Uint8Array(200_000) })
    const after = figure(log, 'walBytes')
    expect(after).toBeGreaterThan(before + 200_000)
    expect(figure(log, 'checkpointLagBytes')).toBe(after)
    // Whoever copies it: what is copied stays in use until it is started over.
    const db = openDatabase(databaseIn(home), {})
    onTestFinished(() => void db.close())
    db.pragma('wal_checkpoint(PASSIVE)')
    expect(figure(log, 'walBytes')).toBe(after)
    expect(figure(log, 'checkpointLagBytes')).toBe(0)
    await log.append(records(1))
    expect(figure(log, 'checkpointLagBytes')).toBe(figure(log, 'walBytes'))
    expect(figure(log, 'walBytes')).toBeLessThan(after)
  })
})

describe.each(['worker', 'inline'] as const)('a %s log in segments', (writer) => {
  it('LOG-77 says how far its index is behind, and how long it took to follow', async () => {
    const home: LogOptions = { directory: temporaryDirectory(), storage: 'segment', writer }
    const log = await started(home)
    expect(log.status().metrics).not.toHaveProperty('lastCheckpointMs')
    const lags: number[] = []
    for (let at = 0; at < 280; at += 1) {
      await log.append(records(1))
      lags.push(figure(log, 'checkpointLagBytes'))
    }
    expect(lags[0]).toBeGreaterThan(40)
    expect(lags[30]).toBeGreaterThan((lags[0] ?? 0) * 10)
    // It follows within 256 frames, those of the start among them.
    const fell = lags.findIndex((lag, at) => lag < (lags[at - 1] ?? 0))
    expect(fell).toBeGreaterThan(200)
    expect(figure(log, 'checkpoints')).toBe(1)
    expect(figure(log, 'lastCheckpointMs')).toBeGreaterThan(0)
    expect(figure(log, 'walBytes')).toBeGreaterThan(0)
  })
})

describe.each(['sqlite', 'segment'] as const)('a reader of a %s log elsewhere', (storage) => {
  it('LOG-76 LOG-77 tells the two figures that the files tell, and nothing of what is written', async () => {
    const directory = temporaryDirectory()
    const log = await started({ directory, storage, writer: 'inline' })
    const reader = await started({ directory, readOnly: true })
    for (let round = 0; round < 2; round += 1) {
      await log.append({ value: new Uint8Array(50_000) })
      const { walBytes, checkpointLagBytes } = log.status().metrics
      expect(checkpointLagBytes).toBeGreaterThan(50_000)
      const { metrics, latency } = reader.status()
      expect(metrics).toEqual({ walBytes, checkpointLagBytes })
      expect(latency).toBe(undefined)
    }
  })
})

it('LOG-76 LOG-77 a log in memory has no figures of a disk', async () => {
  const log = await started()
  await log.append(records(1))
  expect(Object.keys(log.status().metrics).toSorted()).toEqual(counters.toSorted())
  expect(sum(log.status().latency?.append.counts ?? [])).toBe(1)
})

it('LOG-76 puts a slow flush into the bucket of what it took', async () => {
  const clock = manualClock()
  let tookMs = 0
  let full = false
  const make = memoryStore()
  const slow = (): LogStore => {
    const store = make()
    return {
      ...store,
      commit(changes, flush) {
        clock.advance(tookMs)
        if (full) throw new LogError('ERR_LOG_STORE_FULL', 'no space')
        store.commit(changes, flush)
      },
    }
  }
  const log = await started({ store: slow, clock })
  for (tookMs of [0.1, 0.11, 7, 2_000, 60_000]) {
    const before = log.status().latency
    await log.append(records(1))
    for (const kind of ['append', 'flush'] as const) {
      const [now, then] = [log.status().latency?.[kind], before?.[kind]]
      const moved = now?.counts.flatMap((count, at) => (count === then?.counts[at] ? [] : [at]))
      const bucket = tookMs > 10_000 ? latencyBoundsMs.length : bucketOf(tookMs)
      expect([kind, tookMs, moved]).toEqual([kind, tookMs, [bucket]])
      expect((now?.sumMs ?? 0) - (then?.sumMs ?? 0)).toBeCloseTo(tookMs)
    }
  }
  // One that is refused is neither.
  full = true
  await expect(log.append(records(1))).rejects.toThrow('no space')
  full = false
  const { append, flush } = log.status().latency ?? {}
  expect([sum(append?.counts ?? []), sum(flush?.counts ?? [])]).toEqual([5, figure(log, 'flushes')])
})

it('LOG-76 counts a time in the bucket whose bound it does not exceed', () => {
  const times = new Latency()
  for (const bound of latencyBoundsMs) times.observe(bound)
  expect(times.histogram().counts).toEqual([...latencyBoundsMs.map(() => 1), 0])
  times.observe(10_001)
  times.observe(0)
  times.observeSince([1, 1, 1, 4, 9, 9], 10)
  const { counts, sumMs, boundsMs } = times.histogram()
  expect(sum(counts)).toBe(latencyBoundsMs.length + 8)
  expect(counts.at(-1)).toBe(1)
  const of = (bound: number): number => (counts[boundsMs.indexOf(bound)] ?? 0) - 1
  expect([of(0.1), of(1), of(10)]).toEqual([1, 2, 4])
  expect(sumMs).toBeCloseTo(latencyBoundsMs.reduce((all, ms) => all + ms) + 10_001 + 27 + 6 + 2)
})

it('LOG-77 times checkpoints from their beginning, and knows since when readers hold them up', () => {
  let now = 1_000
  let asked = 0
  const restart = (): void => void (asked += 1)
  const limits = { backgroundBytes: 1_000, stepBytes: 1_000, walBytesMax: 1_000 }
  const checkpoints = createCheckpoints('/nowhere', restart, limits, () => now)
  const begin = (): void => {
    checkpoints.grown(1_000, 1_000)
    now += 250
  }
  expect(checkpoints.figures()).toEqual({ checkpoints: 0, heldMs: 0 })
  begin()
  checkpoints.restarted('done')
  expect(checkpoints.figures()).toEqual({ checkpoints: 1, lastCheckpointMs: 250, heldMs: 0 })
  begin()
  checkpoints.restarted('failed')
  expect(checkpoints.figures().checkpoints).toBe(1)
  begin()
  checkpoints.restarted('held')
  now += 10_000
  expect(checkpoints.figures()).toEqual({ checkpoints: 2, lastCheckpointMs: 250, heldMs: 10_250 })
  begin()
  checkpoints.restarted('held')
  expect(checkpoints.figures()).toMatchObject({ checkpoints: 3, heldMs: 10_500 })
  begin()
  checkpoints.restarted('done')
  expect(checkpoints.figures()).toMatchObject({ checkpoints: 4, heldMs: 0 })
  expect(asked).toBe(5)
})
