/**
 * How long does a log take to open after its process was killed at full speed? Each time a new
 * process opens what the killed one left, appends until it is killed in turn, and so on.
 */
import type { LogStorage } from '@kith/log'
import { setTimeout as sleep } from 'node:timers/promises'
import { forkChild, killChild, nextMessage } from './child.ts'
import type { Filled, Opened, Writer } from './open-process.ts'

export interface Opens {
  /** Milliseconds of each opening. */
  readonly ms: Readonly<Record<Writer, readonly number[]>>
  /** Records that the log had at the last one. */
  readonly records: number
}

export interface OpenPlan {
  readonly records: number
  readonly recordBytes: number
  /** For each kind of writer. */
  readonly kills: number
}

export const writers: readonly Writer[] = ['inline', 'worker']

/** Milliseconds of appending at full speed before a kill, each longer than the last. */
const killAfterMs = 150
const killStepMs = 37

export async function openAfterKills(
  directory: string,
  storage: LogStorage,
  { records, recordBytes, kills }: OpenPlan,
): Promise<Opens> {
  const ms: Record<Writer, number[]> = { inline: [], worker: [] }
  let held = 0
  let acknowledged = 0
  const openings = kills * writers.length
  for (let opening = 0; opening <= openings; opening += 1) {
    const writer = writers[(opening + 1) % writers.length] ?? 'worker'
    const words = [directory, storage, writer, String(records), String(recordBytes)]
    const child = forkChild(new URL('open-process.ts', import.meta.url), words)
    try {
      const opened = await nextMessage<Opened>(child)
      if (opened.records < acknowledged) throw new Error(`${storage} lost acknowledged records`)
      held = opened.records
      // The first finds nothing there.
      if (opening > 0) ms[writer].push(opened.openMs)
      if (opening === openings) break
      acknowledged = (await nextMessage<Filled>(child)).records
      await sleep(killAfterMs + opening * killStepMs)
    } finally {
      await killChild(child)
    }
  }
  return { ms, records: held }
}

/** Milliseconds in which a log opens that is not there yet: what of it all is not recovery. */
export async function openEmpty(directory: string, writer: Writer): Promise<number> {
  const words = [directory, 'sqlite', writer, '0', '1']
  const child = forkChild(new URL('open-process.ts', import.meta.url), words)
  try {
    return (await nextMessage<Opened>(child)).openMs
  } finally {
    await killChild(child)
  }
}
