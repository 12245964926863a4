/**
 * How long does a durable append take while 128 append at once and another process reads the log
 * from beginning to end, again and again? Beside it, measured the same way, a plain file with one
 * write and one flush a commit (R), which tells how much of it is the disk.
 *
 * Prints one line of JSON a figure and exits with 1 where a bound is missed: p99 at most 5 ms with
 * the sqlite store, with its thread and without. Ten seconds each, with `--long` sixty.
 */
import { createLog } from '@kith/log'
import type { LogStorage } from '@kith/log'
import { latenciesBesideReader } from './support/latency.ts'
import { endOnSignals, inPlace } from './support/place.ts'
import { groupCommits, openRaw } from './support/raw.ts'
import { tellConditions, tellValue } from './support/report.ts'
import type { Bound } from './support/report.ts'

const ms = Number(
  process.env['KITH_BENCH_MS'] ?? (process.argv.includes('--long') ? 60_000 : 10_000),
)
const plan = { appenders: 128, recordBytes: 1024, ms }
const p99MsMax = 5

type Measure = (directory: string) => ReturnType<typeof latenciesBesideReader>

async function besideRaw(directory: string): ReturnType<typeof latenciesBesideReader> {
  const raw = openRaw(directory)
  try {
    return await latenciesBesideReader(groupCommits(raw), directory, 'raw', plan)
  } finally {
    await raw.stop()
  }
}

function besideLog(storage: LogStorage, writer: 'worker' | 'inline'): Measure {
  return async (directory) => {
    const log = createLog({ directory, storage, writer })
    await log.start()
    try {
      return await latenciesBesideReader((value) => log.append({ value }), directory, storage, plan)
    } finally {
      await log.stop()
    }
  }
}

async function measure(name: string, run: Measure, bound: Bound): Promise<void> {
  const { p50, p99, p999, max, appends, reads, otherLoad } = await inPlace(run)
  const figure = `128 appenders beside a reader: ${name}`
  const seconds = ms / 1_000
  const others = { p50: round(p50), p999: round(p999), max: round(max), seconds }
  tellValue(`${figure}, p99`, p99, 'ms', bound, others)
  tellValue(`${figure}, appended`, appends, 'records/s')
  tellValue(`${figure}, read meanwhile`, reads, 'records/s')
  tellValue(`${figure}: used by others`, otherLoad, 'share of all processors')
}

const round = (value: number): number => Math.round(value * 1_000) / 1_000

endOnSignals()
tellConditions()
await measure('raw file (R)', besideRaw, {})
await measure('sqlite inline', besideLog('sqlite', 'inline'), { most: p99MsMax })
await measure('sqlite worker', besideLog('sqlite', 'worker'), { most: p99MsMax })
await measure('segment inline', besideLog('segment', 'inline'), {})
await measure('segment worker', besideLog('segment', 'worker'), {})
