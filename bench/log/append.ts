/**
 * How fast is a durable append? Logs in both storages, each with its writer thread and on the
 * caller's own, against R, the least that any durable log must do: the same closed loop with one
 * write and one fdatasync a group on the caller's thread. Slices of all take turns in one run, so
 * that what else the machine does hits all.
 *
 * Prints one line of JSON a figure and exits with 1 where a bound is missed: ratio to R at least
 * 0.6 (median) for each, event-loop delay p99 of the writer thread's caller under full load at most
 * 20 ms.
 */
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { crc32 } from 'node:zlib'
import { createLog } from '@kith/log'
import type { Log } from '@kith/log'

const appenders = 128
const recordBytes = 1024
const rounds = Number(process.env['KITH_BENCH_ROUNDS'] ?? 31)
const sliceMs = Number(process.env['KITH_BENCH_SLICE_MS'] ?? 250)
const ratioMin = 0.6
const delayMsMax = 20

type Append = (value: Uint8Array) => Promise<unknown>

/** The reference: natural group commit into one file, a checksum a record. */
class RawLog {
  private readonly file: number
  private readonly waiting: { value: Uint8Array; resolve: () => void }[] = []
  private readonly buffer = Buffer.alloc(appenders * (recordBytes + 16))
  private scheduled = false

  constructor(path: string) {
    this.file = openSync(path, 'a')
  }

  append(value: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      this.waiting.push({ value, resolve })
      if (this.scheduled) return
      this.scheduled = true
      setImmediate(() => this.commit())
    })
  }

  private commit(): void {
    this.scheduled = false
    const group = this.waiting.splice(0)
    let at = 0
    for (const { value } of group) {
      this.buffer.writeUInt32LE(value.length, at)
      this.buffer.writeUInt32LE(crc32(value), at + 4)
      this.buffer.writeDoubleLE(Date.now(), at + 8)
      this.buffer.set(value, at + 16)
      at += 16 + value.length
    }
    writeSync(this.file, this.buffer, 0, at)
    fdatasyncSync(this.file)
    for (const { resolve } of group) resolve()
  }

  close(): void {
    closeSync(this.file)
  }
}

interface Slice {
  readonly rate: number
  readonly latencies: readonly number[]
}

/** `appenders` callers, each of which waits for its record before it sends the next. */
async function closedLoop(append: Append, ms: number): Promise<Slice> {
  const value = crypto.getRandomValues(new Uint8Array(recordBytes))
  const latencies: number[] = []
  const start = performance.now()
  const end = start + ms
  const caller = async (): Promise<void> => {
    for (let now = performance.now(); now < end;) {
      await append(value)
      const after = performance.now()
      latencies.push(after - now)
      now = after
    }
  }
  await Promise.all(Array.from({ length: appenders }, caller))
  return { rate: (latencies.length * 1000) / (performance.now() - start), latencies }
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

/** Event-loop delay p99 in milliseconds while `run` goes on. */
async function delayDuring(run: () => Promise<unknown>): Promise<number> {
  const monitor = monitorEventLoopDelay({ resolution: 1 })
  monitor.enable()
  await run()
  monitor.disable()
  return monitor.percentile(99) / 1e6
}

function print(figure: Record<string, unknown>): void {
  console.log(JSON.stringify(figure))
}

const round3 = (value: number): number => Math.round(value * 1000) / 1000

const directory = mkdtempSync(join(process.env['KITH_BENCH_DIR'] ?? tmpdir(), 'kith-bench-'))
const raw = new RawLog(join(directory, 'raw.log'))
const kinds = ['worker', 'inline', 'segment-worker', 'segment-inline'] as const
type Kind = (typeof kinds)[number]
const logs = kinds.map((kind) => ({
  kind,
  log: createLog({
    directory: join(directory, kind),
    writer: kind.endsWith('worker') ? 'worker' : 'inline',
    storage: kind.startsWith('segment') ? 'segment' : 'sqlite',
  }),
}))
const appendRaw: Append = (value) => raw.append(value)
const appendTo =
  (log: Log): Append =>
  (value) =>
    log.append({ value })

type Round = Readonly<Record<'raw' | Kind, Slice>>

async function round(): Promise<Round> {
  const slices = { raw: await closedLoop(appendRaw, sliceMs) }
  const others: Record<string, Slice> = {}
  for (const { kind, log } of logs) others[kind] = await closedLoop(appendTo(log), sliceMs)
  return { ...slices, ...others } as Round
}

/** Prints what one log reached; false where it missed the bound. */
function report(kind: Kind, done: readonly Round[]): boolean {
  const latencies = (name: keyof Round): number[] => done.flatMap((one) => one[name].latencies)
  const rate = (name: keyof Round): number =>
    Math.round(
      quantile(
        done.map((one) => one[name].rate),
        0.5,
      ),
    )
  const percentiles = (name: keyof Round): { p50: number; p99: number } => ({
    p50: round3(quantile(latencies(name), 0.5)),
    p99: round3(quantile(latencies(name), 0.99)),
  })
  const ratios = done.map((one) => one[kind].rate / one.raw.rate)
  const ratio = quantile(ratios, 0.5)
  print({
    figure: `append-ratio-${kind}`,
    median: round3(ratio),
    low: round3(quantile(ratios, 0.2)),
    high: round3(quantile(ratios, 0.8)),
    bound: ratioMin,
    rawRate: rate('raw'),
    logRate: rate(kind),
    rawLatencyMs: percentiles('raw'),
    logLatencyMs: percentiles(kind),
    load: loadavg().map(round3),
  })
  return ratio >= ratioMin
}

let held = true
try {
  for (const { log } of logs) await log.start()
  await round()
  const done: Round[] = []
  for (let index = 0; index < rounds; index += 1) done.push(await round())
  for (const { kind } of logs) held = report(kind, done) && held
  const idle = await delayDuring(() => new Promise((resolve) => setTimeout(resolve, 1000)))
  const [{ log }] = logs as [(typeof logs)[number]]
  const busy = await delayDuring(() => closedLoop(appendTo(log), 8 * sliceMs))
  const delay = Math.max(0, busy - idle)
  print({
    figure: 'event-loop-delay-p99-ms',
    value: round3(delay),
    idle: round3(idle),
    busy: round3(busy),
    bound: delayMsMax,
  })
  held &&= delay <= delayMsMax
} finally {
  for (const { log } of logs) await log.stop()
  raw.close()
  rmSync(directory, { recursive: true })
}
if (!held) process.exitCode = 1
