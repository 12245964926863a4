/**
 * How fast does a member catch up? Records of 1 KiB, durable at both ends, in either storage, the
 * source in a second process over HTTP. Beside it, in the same run and in turn with it:
 * `applyBatches` fed the same batches from memory, which is the most that replication could reach.
 *
 * Prints one line of JSON a figure and exits with 1 where a bound is missed: 220,000 records/s, 0.7
 * of `applyBatches`, and 5 ms of event-loop delay at the 99th percentile of whoever catches up. How
 * many seconds of a processor it took says what a machine with more of them would make of it.
 */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { HelloMessage, OriginState, ReplicationSource } from '@kith/interface'
import { createLog } from '@kith/log'
import type { Log, LogStorage } from '@kith/log'
import { createReplicator } from '@kith/replicator'
import { httpSource } from '@kith/replicator/http'
import { processorSeconds, watchLoad } from '../log/support/load.ts'
import { tellConditions, tellSpread, tellValue } from '../log/support/report.ts'
import { serve } from './support/serve.ts'

const recordBytes = 1024
const records = Number(process.env['KITH_BENCH_RECORDS'] ?? 200_000)
const rounds = Number(process.env['KITH_BENCH_ROUNDS'] ?? 5)
const bounds = { recordsPerSecond: 220_000, ofApply: 0.7, delayMs: 5 }
const chunkBytes = 4 * 1024 * 1024
const place = process.env['KITH_BENCH_DIR'] ?? tmpdir()

async function openLog(directory: string, storage: LogStorage): Promise<Log> {
  const log = createLog({ directory: join(directory, 'log'), member: 'bench', storage })
  await log.start()
  return log
}

/** The second process: a filled log behind plain HTTP. */
async function runSource(directory: string, storage: LogStorage): Promise<void> {
  const log = await openLog(directory, storage)
  const replicator = createReplicator({ log, member: 'source', source: () => undefined })
  await replicator.start()
  const perAppend = 1_000
  const value = crypto.getRandomValues(new Uint8Array(recordBytes))
  for (let at = 0; at < records; at += perAppend) {
    const group = Array.from({ length: Math.min(perAppend, records - at) }, () => ({ value }))
    await log.append(group)
  }
  process.send?.(await serve(replicator.local))
  await once(process, 'disconnect')
  process.exit(0)
}

/** Every batch of the source, kept in memory, as the reference needs it. */
async function fetchAll(source: ReplicationSource): Promise<readonly Uint8Array[]> {
  const signal = AbortSignal.timeout(120_000)
  const hello: HelloMessage = {
    versions: [1],
    clusterId: 'kith',
    logId: 'f'.repeat(32),
    member: 'reader',
    origin: 'e'.repeat(32),
    durable: false,
    vector: [],
    vectorVersion: 0,
  }
  const theirs = await source.hello(hello, signal)
  const { origin } = theirs.vector.find((state: OriginState) => state.own) ?? { origin: '' }
  const batches: Uint8Array[] = []
  for (let next = 1; next <= records;) {
    const response = await source.pull(
      {
        logId: hello.logId,
        want: [{ origin, next, chain: null }],
        bytesMax: chunkBytes,
        maxWaitMs: 0,
        ack: new Map(),
        vectorVersion: theirs.vectorVersion,
      },
      signal,
    )
    for (const batch of response.batches) {
      batches.push(batch)
      next += Buffer.from(batch.buffer, batch.byteOffset, 64).readUInt32LE(16)
    }
  }
  return batches
}

/** Records per second of `applyBatches` alone, in transactions as large as the replicator's. */
async function applyRate(storage: LogStorage, batches: readonly Uint8Array[]): Promise<number> {
  return inFreshLog(storage, async (log) => {
    const start = performance.now()
    for (let at = 0; at < batches.length;) {
      const chunk: Uint8Array[] = []
      for (let bytes = 0; at < batches.length && bytes < chunkBytes; at += 1) {
        const batch = batches[at] ?? new Uint8Array(0)
        bytes += batch.length
        chunk.push(batch)
      }
      await log.applyBatches(chunk)
    }
    return start
  })
}

interface CatchUp {
  readonly rate: number
  /** Of the event loop, 99th percentile. */
  readonly delayMs: number
}

/** A replicator that begins with nothing. */
async function catchUp(storage: LogStorage, url: string): Promise<CatchUp> {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  const rate = await inFreshLog(storage, async (log) => {
    const replicator = createReplicator({ log, member: 'bench', source: () => httpSource({ url }) })
    const caughtUp = new Promise<void>((resolve) => {
      replicator.on('caughtUp', () => resolve())
    })
    const start = performance.now()
    delay.enable()
    await replicator.start()
    const address = { host: '127.0.0.1', port: 1 }
    const member = { name: 'source', address, tags: {}, status: 'alive', incarnation: 1 } as const
    replicator.memberChanged({ kind: 'join', member })
    await caughtUp
    const end = performance.now()
    delay.disable()
    await replicator.stop()
    return start + (performance.now() - end)
  })
  return { rate, delayMs: delay.percentile(99) / 1e6 }
}

/** `run` returns when it began; it ends when everything is durable. */
async function inFreshLog(
  storage: LogStorage,
  run: (log: Log) => Promise<number>,
): Promise<number> {
  const directory = mkdtempSync(join(place, 'kith-bench-'))
  const log = await openLog(directory, storage)
  try {
    const began = await run(log)
    const tookMs = performance.now() - began
    if (log.status().records !== records) throw new Error(`${log.status().records} records arrived`)
    return (records * 1_000) / tookMs
  } finally {
    await log.stop()
    rmSync(directory, { recursive: true })
  }
}

async function measure(storage: LogStorage): Promise<void> {
  const directory = mkdtempSync(join(place, 'kith-bench-source-'))
  const child: ChildProcess = fork(new URL(import.meta.url), ['source', directory, storage])
  try {
    const [port] = (await once(child, 'message')) as [number]
    const url = `http://127.0.0.1:${port}`
    const reader = httpSource({ url })
    const batches = await fetchAll(reader)
    await reader.close()
    const used = (): number => processorSeconds('self') + processorSeconds(child.pid ?? 0)
    const othersSince = watchLoad([child.pid ?? 0])
    const applied: number[] = []
    const caught: CatchUp[] = []
    const processors: number[] = []
    for (let round = 0; round < rounds; round += 1) {
      applied.push(await applyRate(storage, batches))
      const before = used()
      caught.push(await catchUp(storage, url))
      processors.push(used() - before)
    }
    const rates = caught.map(({ rate }) => rate)
    const title = `${storage}, ${records} records of 1 KiB`
    tellSpread(`${title}: applyBatches from memory`, applied, 'records/s')
    const least = bounds.recordsPerSecond
    tellSpread(`${title}: catch-up`, rates, 'records/s', { least })
    const ofApply = rates.map((rate, round) => rate / (applied[round] ?? Number.NaN))
    tellSpread(`${title}: catch-up / applyBatches`, ofApply, 'ratio', { least: bounds.ofApply })
    const delays = caught.map(({ delayMs }) => delayMs)
    tellSpread(`${title}: event-loop delay, p99`, delays, 'ms', { most: bounds.delayMs })
    tellSpread(`${title}: catch-up, both ends`, processors, 'seconds of a processor')
    tellValue(`${title}: used by others`, othersSince(), 'share of all processors')
  } finally {
    child.disconnect()
    await once(child, 'exit')
    rmSync(directory, { recursive: true })
  }
}

const [, , role, directory = '', kind = ''] = process.argv
if (role === 'source') await runSource(directory, kind as LogStorage)
else {
  tellConditions()
  for (const storage of ['sqlite', 'segment'] as const) await measure(storage)
}
