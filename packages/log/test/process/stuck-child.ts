/**
 * Stops a log whose thread never comes back: `stuck-child.ts DIRECTORY`. Prints how everything that
 * waited for it ended. It must be killed: no process ends before its threads do.
 */
import { setImmediate } from 'node:timers/promises'
import { systemClock } from '@kith/interface/node'
import { createLog } from '../../src/index.ts'

const [, , directory = ''] = process.argv
/** Bounds of seconds pass in hundredths of them. */
const clock = {
  ...systemClock,
  after: (delayMs: number, callback: () => void) => systemClock.after(delayMs / 100, callback),
}
const endless = 'WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x FROM c) SELECT count(*) FROM c'

const log = createLog({ directory, clock })
await log.start()
const statement = log.cursor('c').commit({ next: 0, statements: [{ sql: endless }] })
await setImmediate()
const waiting = [statement, log.append({ value: new Uint8Array(1) }), log.verify()]
const codes = waiting.map((call: Promise<unknown>) =>
  call.then(
    () => 'resolved',
    (cause: { code: string }) => cause.code,
  ),
)
await log.stop()
process.stdout.write((await Promise.all(codes)).join(' '))
