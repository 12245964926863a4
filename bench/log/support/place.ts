/** A directory of a program's own, gone when it ends, however that comes about. */
import { mkdtempSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'

/** On the disk that is to be measured: `KITH_BENCH_DIR` names another than that of the system. */
export async function inPlace<Result>(run: (place: string) => Promise<Result>): Promise<Result> {
  const place = mkdtempSync(join(process.env['KITH_BENCH_DIR'] ?? tmpdir(), 'kith-bench-'))
  const remove = (): void => rmSync(place, { recursive: true, force: true })
  process.once('exit', remove)
  try {
    return await run(place)
  } finally {
    process.off('exit', remove)
    remove()
  }
}

/** Lets signals end the process as an error would: what it began is ended with it. */
export function endOnSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => process.exit(128 + constants.signals[signal]))
  }
}
