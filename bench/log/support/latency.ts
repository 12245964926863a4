/** How long an append takes where many append at once, and another process reads meanwhile. */
import { createHistogram } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { forkChild, killChild, nextMessage } from './child.ts'
import { watchLoad } from './load.ts'

export interface LatencyPlan {
  readonly appenders: number
  readonly recordBytes: number
  readonly ms: number
}

export interface Latencies {
  readonly p50: number
  readonly p99: number
  readonly p999: number
  readonly max: number
  /** Records a second that were appended, and that the reader read. */
  readonly appends: number
  readonly reads: number
  readonly otherLoad: number
}

/** Milliseconds in which code is compiled and the reader finds something, before it counts. */
const warmUpMs = 1_000

/** `storage` is what the reader shall read in `directory`: a log, or `raw`. */
export async function latenciesBesideReader(
  append: (value: Uint8Array) => Promise<unknown>,
  directory: string,
  storage: string,
  { appenders, recordBytes, ms }: LatencyPlan,
): Promise<Latencies> {
  const value = crypto.getRandomValues(new Uint8Array(recordBytes))
  let histogram = createHistogram()
  let ended = false
  const appender = async (): Promise<void> => {
    for (let before = performance.now(); !ended;) {
      await append(value)
      const now = performance.now()
      histogram.record(Math.max(1, Math.round((now - before) * nanoseconds)))
      before = now
    }
  }
  const running = Promise.all(Array.from({ length: appenders }, appender))
  const reader = forkChild(new URL('scan-process.ts', import.meta.url), [directory, storage])
  try {
    await nextMessage(reader)
    await sleep(warmUpMs)
    const before = await recordsRead(reader)
    const otherLoad = watchLoad([reader.pid ?? 0])
    histogram = createHistogram()
    const from = performance.now()
    await sleep(ms)
    const seconds = (performance.now() - from) / 1_000
    const measured = histogram
    const reads = ((await recordsRead(reader)) - before) / seconds
    const at = (percent: number): number => measured.percentile(percent) / nanoseconds
    const percentiles = {
      p50: at(50),
      p99: at(99),
      p999: at(99.9),
      max: measured.max / nanoseconds,
    }
    return { ...percentiles, appends: measured.count / seconds, reads, otherLoad: otherLoad() }
  } finally {
    ended = true
    await running
    await killChild(reader)
  }
}

/** In a millisecond. */
const nanoseconds = 1e6

async function recordsRead(reader: ReturnType<typeof forkChild>): Promise<number> {
  reader.send('records')
  return nextMessage<number>(reader)
}
