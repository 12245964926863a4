/**
 * How fast is a durable append where 128 wait at once, each for its record of 1 KiB before it sends
 * the next? Logs in both storages, each with its writer thread and on the caller's own, against R,
 * the least that any durable log must do: one write and one flush a group on the caller's thread.
 * Slices of all take turns in one run, in another order each round, so that what else the machine
 * does hits all.
 *
 * Prints one line of JSON a figure and exits with 1 where a bound is missed: the sqlite store at
 * least 0.80 R on the caller's thread and 0.70 R on its own, the segment store 0.85 and 0.70
 * (medians); event-loop delay p99 of who appends to a writer thread at full load at most 20 ms.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { createHistogram, monitorEventLoopDelay } from 'node:perf_hooks'
import type { RecordableHistogram } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { createLog } from '@kith/log'
import type { LogStorage } from '@kith/log'
import { watchLoad } from './support/load.ts'
import { endOnSignals, inPlace } from './support/place.ts'
import { groupCommits, openRaw } from './support/raw.ts'
import { tellConditions, tellSpread, tellValue } from './support/report.ts'
import { ratios, turns } from './support/statistics.ts'

const appenders = 128
const recordBytes = 1024
const rounds = Number(process.env['KITH_BENCH_ROUNDS'] ?? 31)
const sliceMs = Number(process.env['KITH_BENCH_SLICE_MS'] ?? 250)
const delayMsMax = 20
/** In a millisecond. */
const nanoseconds = 1e6

interface Contender {
  readonly name: string
  /** What it shall be of R. */
  readonly least?: number
  append(value: Uint8Array): Promise<unknown>
  stop(): Promise<unknown>
  /** Records a second, one a slice. */
  readonly rates: number[]
  readonly latencies: RecordableHistogram
}

function openR(place: string): Contender {
  const raw = openRaw(place)
  const stop = async (): Promise<void> => raw.stop()
  const measured = { rates: [], latencies: createHistogram() }
  return { name: 'raw file (R)', append: groupCommits(raw), stop, ...measured }
}

async function openOurs(
  place: string,
  storage: LogStorage,
  writer: 'inline' | 'worker',
  least: number,
): Promise<Contender> {
  const name = `${storage} ${writer}`
  const log = createLog({ directory: join(place, name), storage, writer })
  await log.start()
  const append = (value: Uint8Array): Promise<unknown> => log.append({ value })
  const measured = { rates: [], latencies: createHistogram() }
  return { name, least, append, stop: () => log.stop(), ...measured }
}

/** One slice, with or without a place for how long each append took. */
async function closedLoop(
  { append }: Contender,
  ms: number,
  latencies?: RecordableHistogram,
): Promise<number> {
  const value = crypto.getRandomValues(new Uint8Array(recordBytes))
  const start = performance.now()
  let count = 0
  const appender = async (): Promise<void> => {
    for (let now = performance.now(); now < start + ms;) {
      await append(value)
      const after = performance.now()
      latencies?.record(Math.max(1, Math.round((after - now) * nanoseconds)))
      count += 1
      now = after
    }
  }
  await Promise.all(Array.from({ length: appenders }, appender))
  return (count * 1_000) / (performance.now() - start)
}

async function takeTurns(contenders: readonly Contender[]): Promise<void> {
  // The first round is not counted: files are begun and code is compiled in it.
  for (const contender of contenders) await closedLoop(contender, sliceMs)
  for (let round = 0; round < rounds; round += 1) {
    for (const at of turns(contenders.length, round)) {
      const contender = contenders[at]
      if (contender === undefined) continue
      contender.rates.push(await closedLoop(contender, sliceMs, contender.latencies))
    }
  }
}

function tell({ name, least, rates, latencies }: Contender, raw: Contender): void {
  const title = `128 appenders: ${name}`
  if (least !== undefined) tellSpread(`${title} / R`, ratios(rates, raw.rates), 'ratio', { least })
  tellSpread(title, rates, 'records/s')
  const [p50, p99] = [50, 99].map((percent) => latencies.percentile(percent) / nanoseconds)
  tellValue(`${title}, p99`, p99 ?? Number.NaN, 'ms', {}, { p50 })
}

/** Event-loop delay p99 in milliseconds while `run` goes on. */
async function delayDuring(run: () => Promise<unknown>): Promise<number> {
  const monitor = monitorEventLoopDelay({ resolution: 1 })
  monitor.enable()
  await run()
  monitor.disable()
  return monitor.percentile(99) / nanoseconds
}

async function measure(place: string): Promise<void> {
  const otherLoad = watchLoad([])
  mkdirSync(join(place, 'raw'))
  const raw = openR(join(place, 'raw'))
  const worker = await openOurs(place, 'sqlite', 'worker', 0.7)
  const contenders = [raw, await openOurs(place, 'sqlite', 'inline', 0.8), worker]
  contenders.push(await openOurs(place, 'segment', 'inline', 0.85))
  contenders.push(await openOurs(place, 'segment', 'worker', 0.7))
  try {
    await takeTurns(contenders)
    for (const contender of contenders) tell(contender, raw)
    const idle = await delayDuring(() => sleep(1_000))
    const busy = await delayDuring(() => closedLoop(worker, 8 * sliceMs))
    const title = 'event-loop delay p99 of who appends to sqlite worker'
    tellValue(title, Math.max(0, busy - idle), 'ms', { most: delayMsMax }, { idle, busy })
    tellValue('used by others', otherLoad(), 'share of all processors')
  } finally {
    for (const { stop } of contenders) await stop()
  }
}

endOnSignals()
tellConditions()
await inPlace(measure)
