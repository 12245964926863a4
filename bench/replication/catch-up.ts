/**
 * How fast does a member catch up? Records of 1 KiB, SQLite and durable at both ends, the source in
 * a second process over HTTP. Beside it, in the same run and in turn with it: `applyBatches` fed
 * the same batches from memory, which is the most that replication could reach on this machine.
 *
 * Prints one line of JSON a figure and exits with 1 where a bound is missed: at least 100,000
 * records/s, and at least 0.4 of `applyBatches` (medians). A machine that was busy with other work
 * is named as such and misses no bound of absolute speed.
 */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { releaseBytes } from '@kith/interface'
import type { HelloMessage, OriginState, ReplicationSource } from '@kith/interface'
import { createLog } from '@kith/log'
import type { Log } from '@kith/log'
import { createReplicator } from '@kith/replicator'
import { createReplicationHandler, httpSource } from '@kith/replicator/http'
import type { ReplicationOperation } from '@kith/replicator/http'

const recordBytes = 1024
const records = Number(process.env['KITH_BENCH_RECORDS'] ?? 200_000)
const rounds = Number(process.env['KITH_BENCH_ROUNDS'] ?? 5)
const rateMin = 100_000
const ratioMin = 0.4
const otherLoadMax = 0.15
const chunkBytes = 4 * 1024 * 1024
const place = process.env['KITH_BENCH_DIR'] ?? tmpdir()

async function openLog(directory: string): Promise<Log> {
  const log = createLog({ directory: join(directory, 'log'), member: 'bench' })
  await log.start()
  return log
}

/** The second process: a filled log behind plain HTTP. */
async function runSource(directory: string): Promise<void> {
  const log = await openLog(directory)
  const replicator = createReplicator({ log, member: 'source', source: () => undefined })
  await replicator.start()
  const perAppend = 1_000
  const value = crypto.getRandomValues(new Uint8Array(recordBytes))
  for (let at = 0; at < records; at += perAppend) {
    const group = Array.from({ length: Math.min(perAppend, records - at) }, () => ({ value }))
    await log.append(group)
  }
  const handler = createReplicationHandler({ source: replicator.local })
  const server = createServer((request, response) => {
    const operation = request.url?.split('/').at(-1) as ReplicationOperation
    const gone = new AbortController()
    response.on('close', () => gone.abort())
    void handler.handle(operation, request, gone.signal).then((reply) => {
      // As the server does, whose answers are freed once they are handed over.
      response.once('finish', () => releaseBytes(reply.body))
      response.writeHead(reply.status, reply.headers)
      response.end(reply.body)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  process.send?.((server.address() as AddressInfo).port)
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
async function applyRate(batches: readonly Uint8Array[]): Promise<number> {
  return inFreshLog(async (log) => {
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

/** Records per second of a replicator that begins with nothing. */
async function catchUpRate(url: string): Promise<number> {
  return inFreshLog(async (log) => {
    const replicator = createReplicator({ log, member: 'bench', source: () => httpSource({ url }) })
    const caughtUp = new Promise<void>((resolve) => {
      replicator.on('caughtUp', () => resolve())
    })
    const start = performance.now()
    await replicator.start()
    const address = { host: '127.0.0.1', port: 1 }
    const member = { name: 'source', address, tags: {}, status: 'alive', incarnation: 1 } as const
    replicator.memberChanged({ kind: 'join', member })
    await caughtUp
    const end = performance.now()
    await replicator.stop()
    return start + (performance.now() - end)
  })
}

/** `run` returns when it began; it ends when everything is durable. */
async function inFreshLog(run: (log: Log) => Promise<number>): Promise<number> {
  const directory = mkdtempSync(join(place, 'kith-bench-'))
  const log = await openLog(directory)
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

/** Processor seconds of the whole machine and of this process with its child. */
function processorSeconds(child: ChildProcess): { readonly all: number; readonly ours: number } {
  const fields = (path: string): number[] =>
    readFileSync(path, 'utf8').split('\n')[0]?.split(/\s+/).map(Number) ?? []
  const all = fields('/proc/stat')
  const used = (pid: number | string): number => {
    const stat = fields(`/proc/${pid}/stat`)
    return (stat[13] ?? 0) + (stat[14] ?? 0)
  }
  const busy = [1, 2, 3, 6, 7, 8].reduce((sum, at) => sum + (all[at] ?? 0), 0)
  return { all: busy / 100, ours: (used('self') + used(child.pid ?? 0)) / 100 }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

async function main(): Promise<number> {
  const directory = mkdtempSync(join(place, 'kith-bench-source-'))
  const child = fork(new URL(import.meta.url), ['source', directory])
  try {
    const [port] = (await once(child, 'message')) as [number]
    const url = `http://127.0.0.1:${port}`
    const reader = httpSource({ url })
    const batches = await fetchAll(reader)
    await reader.close()
    const before = processorSeconds(child)
    const began = performance.now()
    const pairs: { readonly apply: number; readonly pull: number }[] = []
    for (let round = 0; round < rounds; round += 1) {
      pairs.push({ apply: await applyRate(batches), pull: await catchUpRate(url) })
    }
    const after = processorSeconds(child)
    const seconds = (performance.now() - began) / 1_000
    const other = (after.all - before.all - (after.ours - before.ours)) / seconds
    return print(pairs, other)
  } finally {
    child.disconnect()
    await once(child, 'exit')
    rmSync(directory, { recursive: true })
  }
}

function print(
  pairs: readonly { readonly apply: number; readonly pull: number }[],
  otherLoad: number,
): number {
  const rate = median(pairs.map(({ pull }) => pull))
  const applied = median(pairs.map(({ apply }) => apply))
  const ratios = pairs.map(({ apply, pull }) => pull / apply)
  const ratio = median(ratios)
  const loaded = otherLoad > otherLoadMax
  const round3 = (value: number): number => Math.round(value * 1_000) / 1_000
  console.log(
    JSON.stringify({
      figure: 'replication-catch-up',
      recordsPerSecond: Math.round(rate),
      bound: rateMin,
      records,
      rounds: pairs.length,
      otherLoad: round3(otherLoad),
      loaded,
    }),
  )
  console.log(
    JSON.stringify({
      figure: 'replication-catch-up-ratio',
      median: round3(ratio),
      low: round3(Math.min(...ratios)),
      high: round3(Math.max(...ratios)),
      bound: ratioMin,
      applyRecordsPerSecond: Math.round(applied),
    }),
  )
  return ratio < ratioMin || (rate < rateMin && !loaded) ? 1 : 0
}

if (process.argv[2] === 'source') await runSource(process.argv[3] ?? '')
else process.exitCode = await main()
