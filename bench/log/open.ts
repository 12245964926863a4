/**
 * How long does a log of 10,000,000 records take to open after its process was killed (SIGKILL) in
 * the middle of appending at full speed? Really killed and opened, several times in a row, each
 * time by a new process; what is told is `start()` with all it does, lock and recovery, and how
 * long the first append takes then, which waits for the writer's thread where there is one. Records
 * are of 100 bytes, so that ten million of them are a gigabyte; with `--long` of 1 KiB, which takes
 * ten gigabytes and some minutes.
 *
 * Prints one line of JSON a figure and exits with 1 where a bound is missed: at most 50 ms with the
 * sqlite store, 300 ms with segments (medians). `KITH_BENCH_RECORDS` asks for another number.
 */
import type { LogStorage } from '@kith/log'
import { watchLoad } from './support/load.ts'
import type { Opening } from './support/opens.ts'
import { openAfterKills, openEmpty, writers } from './support/opens.ts'
import { endOnSignals, inPlace } from './support/place.ts'
import { tellConditions, tellSpread, tellValue } from './support/report.ts'

const recordBytes = process.argv.includes('--long') ? 1024 : 100
const records = Number(process.env['KITH_BENCH_RECORDS'] ?? 10_000_000)
const kills = Number(process.env['KITH_BENCH_KILLS'] ?? 5)
const most: Readonly<Record<LogStorage, number>> = { sqlite: 50, segment: 300 }

endOnSignals()
tellConditions()
for (const writer of writers) {
  const ms: number[] = []
  for (let time = 0; time < kills; time += 1) {
    await inPlace(async (place) => void ms.push(await openEmpty(place, writer)))
  }
  tellSpread(`open, nothing there: ${writer}`, ms, 'ms')
}
for (const storage of ['sqlite', 'segment'] as const) {
  await inPlace(async (place) => {
    const otherLoad = watchLoad([])
    const opens = await openAfterKills(place, storage, { records, recordBytes, kills })
    const name = `open after kill -9: ${storage}`
    for (const writer of writers) {
      const of = opens.filter((opening) => opening.writer === writer)
      const each = (figure: (opening: Opening) => number): readonly number[] => of.map(figure)
      const openMs = each((opening) => opening.openMs)
      tellSpread(`${name} ${writer}`, openMs, 'ms', { most: most[storage] })
      tellValue(`${name} ${writer}, longest`, Math.max(...openMs), 'ms')
      const processorMs = each((opening) => opening.processorMs)
      tellSpread(`${name} ${writer}, of processors`, processorMs, 'ms')
      const firstAppendMs = each((opening) => opening.firstAppendMs)
      tellSpread(`${name} ${writer}, then the first append`, firstAppendMs, 'ms')
      const walMiB = each(({ walBytes }) => walBytes / 2 ** 20)
      tellSpread(`${name} ${writer}, write-ahead log`, walMiB, 'MiB')
    }
    const held = opens.at(-1)?.records ?? 0
    tellValue(`${name}, the log had`, held, 'records', {}, { recordBytes })
    tellValue(`${name}: used by others`, otherLoad(), 'share of all processors')
  })
}
