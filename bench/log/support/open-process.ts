/**
 * A process that opens a log, says how long that took, and appends as fast as it can until it is
 * killed. Words: directory, storage, writer, how many records the log shall have, bytes of each.
 */
import { createLog } from '@kith/log'
import type { LogStorage } from '@kith/log'

export type Writer = 'worker' | 'inline'

export interface Opened {
  readonly openMs: number
  /** Of the processors, in all threads: waiting for the disk and for others does not count. */
  readonly processorMs: number
  /** Then, until the first append was answered: a thread may not be there yet. */
  readonly firstAppendMs: number
  /** Records that the log had when it was open. */
  readonly records: number
}

/** Everything up to `records` was acknowledged, and appending goes on. */
export interface Filled {
  readonly records: number
}

/** Records an append, and appends under way at the same time. */
const perAppend = 1_000
const underWay = 4

const [directory = '', storage, writer, records = '', recordBytes = ''] = process.argv.slice(2)
const log = createLog({
  directory,
  storage: storage as LogStorage,
  writer: writer as Writer,
  member: 'bench',
})
const [from, used] = [performance.now(), process.cpuUsage()]
await log.start()
const openMs = performance.now() - from
const { user, system } = process.cpuUsage(used)
const processorMs = (user + system) / 1_000
const { next } = log.status()
await log.append({ value: new Uint8Array(Number(recordBytes)) })
const firstAppendMs = performance.now() - from - openMs
process.send?.({ openMs, processorMs, firstAppendMs, records: next } satisfies Opened)

const value = crypto.getRandomValues(new Uint8Array(Number(recordBytes)))
const group = Array.from({ length: perAppend }, () => ({ value }))
let filled = false
const append = async (): Promise<void> => {
  for (;;) {
    const { offset } = await log.append(group)
    const acknowledged = offset + perAppend
    if (filled || acknowledged < Number(records)) continue
    filled = true
    process.send?.({ records: acknowledged } satisfies Filled)
  }
}
process.once('disconnect', () => process.exit(0))
await Promise.all(Array.from({ length: underWay }, append))
