/** How the writer gathers groups, over a backend whose answers come when the test says so. */
import { createRandom } from '@kith/interface'
import { nodeDigests, systemClock } from '@kith/interface/node'
import { describe, expect, it } from 'vitest'
import type { LogState } from '../src/core/state.ts'
import { newOrigin } from '../src/core/state.ts'
import type { Backend, BackendTransaction } from '../src/runtime/backend.ts'
import type { DiskStatus } from '../src/runtime/disk-watch.ts'
import type { LogLatency } from '../src/runtime/latency.ts'
import { LogWriter } from '../src/runtime/writer.ts'

const origin = '01'.repeat(16)

function emptyState(): LogState {
  const meta = {
    ...{ logId: '02'.repeat(16), origin, clean: false, createdAt: 0 },
    ...{ rotatedAt: 0, rotationOwed: '', floor: 0 },
  }
  return {
    ...{ meta, nextOffset: 0, storedAt: 0 },
    origins: new Map([[origin, newOrigin(origin, 'a', 0, nodeDigests)]]),
    ...{ holes: new Map(), cursors: new Map(), producers: new Map() },
    ...{ replicas: new Map(), storedFrom: new Map() },
  }
}

interface Bench {
  readonly underWay: BackendTransaction[]
  readonly attentive: boolean[]
  append(valueBytes: number): void
  /** Lets the turn end: what was deferred runs. */
  turn(): void
  /** The oldest transaction is done, so many milliseconds after it began. */
  done(afterMs?: number): void
  /** So many milliseconds pass. */
  wait(ms: number): void
  readonly disk: DiskStatus
  readonly latency: LogLatency
  /** Records of each transaction that was sent and not taken off by `done`. */
  counts(): readonly number[]
}

function openBench(): Bench {
  let now = 0
  let waited = 0
  let deferred: (() => void) | undefined
  const clock = { ...systemClock, now: () => now }
  const writer = new LogWriter(emptyState(), {
    clock,
    digests: nodeDigests,
    limits: { queuedBytesMax: 64 * 1024 * 1024, producersMax: 10 },
    handlers: { committed: () => {}, poisoned: () => {} },
  })
  const bench: Bench = {
    underWay: [],
    attentive: [],
    append(valueBytes) {
      const place = writer
        .current(valueBytes)
        .addRecords([{ value: new Uint8Array(valueBytes) }], 1_700_000_000_000, valueBytes)
      const settle = { resolve: () => {}, reject: () => {} }
      writer.enqueue({ place, count: 1, producer: undefined, ...settle }, true)
    },
    turn() {
      const run = deferred
      deferred = undefined
      run?.()
    },
    done(afterMs = 0.3) {
      now += afterMs
      writer.done(bench.underWay.shift()?.buffers ?? [], afterMs + waited)
      waited = 0
    },
    wait(ms) {
      now += ms
      waited += ms
    },
    get disk() {
      return writer.diskStatus
    },
    get latency() {
      return writer.latency()
    },
    counts: () =>
      bench.underWay.map(({ batches }) => batches.reduce((sum, { count }) => sum + count, 0)),
  }
  const backend = {
    ...{ durable: true, statements: true, depth: 2, keepsBytes: false },
    defer: (callback: () => void) => {
      deferred = callback
    },
    commit: (transaction: BackendTransaction, attentive: boolean) => {
      bench.underWay.push(transaction)
      bench.attentive.push(attentive)
    },
    reset: () => {},
  }
  writer.attach(backend as unknown as Backend, { wantsNew: () => false } as never)
  return bench
}

describe('a group', () => {
  it('LOG-51 waits for the commit under way and goes whole, whatever came when', () => {
    const bench = openBench()
    const random = createRandom([1, 2, 3])
    bench.append(1024)
    bench.turn()
    expect(bench.counts()).toEqual([1])
    let waiting = 127
    while (waiting > 0) {
      const next = Math.min(waiting, 1 + random.below(40))
      for (let count = 0; count < next; count += 1) bench.append(1024)
      bench.turn()
      waiting -= next
      expect(bench.counts()).toEqual([1])
    }
    bench.done()
    // Whoever was answered comes back in the same turn and joins those that waited.
    bench.append(1024)
    bench.turn()
    expect(bench.counts()).toEqual([128])
  })

  it('LOG-51 of 256 KiB is worth a commit beside the one under way, and no third', () => {
    const bench = openBench()
    bench.append(1024)
    bench.turn()
    for (let count = 0; count < 255; count += 1) bench.append(1024)
    bench.turn()
    expect(bench.counts()).toEqual([1])
    bench.append(1024)
    bench.turn()
    expect(bench.counts()).toEqual([1, 256])
    for (let count = 0; count < 256; count += 1) bench.append(1024)
    bench.turn()
    expect(bench.counts()).toEqual([1, 256])
    bench.done()
    bench.turn()
    expect(bench.counts()).toEqual([256, 256])
  })

  it('LOG-51 is waited for awake only where commits are fast and many wait', () => {
    const bench = openBench()
    const round = (valueBytes: number, afterMs: number): boolean | undefined => {
      for (let count = 0; count < 64; count += 1) bench.append(valueBytes)
      bench.turn()
      bench.done(afterMs)
      bench.turn()
      return bench.attentive.at(-1)
    }
    expect(round(1024, 0.3)).toBe(true)
    expect(round(100, 0.3)).toBe(false)
    for (let count = 0; count < 20; count += 1) round(100, 8)
    expect(round(1024, 8)).toBe(false)
    for (let count = 0; count < 40; count += 1) round(100, 0.3)
    expect(round(1024, 0.3)).toBe(true)
  })
})

it('LOG-64 says for how long the commit under way has been waited for, and of a slow one', () => {
  const bench = openBench()
  bench.append(10)
  bench.turn()
  expect(bench.disk).toEqual({ waitingMs: 0 })
  bench.wait(6_000)
  expect(bench.disk).toEqual({ waitingMs: 6_000 })
  bench.done(500)
  expect(bench.disk).toMatchObject({ slow: { times: 1, longestMs: 500 + 6_000 }, waitingMs: 0 })
})

/** Times by the upper bound of their bucket, without empty ones. */
function filled({ boundsMs, counts }: LogLatency['append']): Record<string, number> {
  const rows = counts.map((count, at): [string, number] => [String(boundsMs[at] ?? 'more'), count])
  return Object.fromEntries(rows.filter(([, count]) => count > 0))
}

it('LOG-76 counts a slow flush, and who waited how long for it', async () => {
  const bench = openBench()
  bench.append(10)
  // One turn is one moment: the clock is read at its beginning.
  bench.wait(3)
  bench.append(10)
  bench.turn()
  await Promise.resolve()
  bench.wait(3_000)
  bench.append(10)
  bench.turn()
  expect(filled(bench.latency.append)).toEqual({})
  bench.done(500)
  expect(filled(bench.latency.append)).toEqual({ 5000: 2 })
  expect(filled(bench.latency.flush)).toEqual({ 5000: 1 })
  bench.turn()
  bench.done(0.3)
  expect(filled(bench.latency.append)).toEqual({ 5000: 2, 1000: 1 })
  expect(filled(bench.latency.flush)).toEqual({ 5000: 1, 0.5: 1 })
  expect(bench.latency.append.sumMs).toBeCloseTo(2 * 3_503 + 500.3)
  expect(bench.latency.flush.sumMs).toBeCloseTo(3_503.3)
})
