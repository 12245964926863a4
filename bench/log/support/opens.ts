/**
 * How long does a log take to open after its process was killed at full speed? Each time a new
 * process opens what the killed one left, appends until it is killed in turn, and so on.
 */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LogStorage } from '@kith/log'
import { forkChild, killChild, nextMessage } from './child.ts'
import type { Filled, Opened, Writer } from './open-process.ts'

export interface Opening extends Opened {
  readonly writer: Writer
  /** What the killed process left in write-ahead logs of SQLite, all of which is recovered. */
  readonly walBytes: number
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
const killStepMs = 75

export async function openAfterKills(
  directory: string,
  storage: LogStorage,
  { records, recordBytes, kills }: OpenPlan,
): Promise<readonly Opening[]> {
  const opens: Opening[] = []
  let acknowledged = 0
  const openings = kills * writers.length
  for (let opening = 0; opening <= openings; opening += 1) {
    const writer = writers[(opening + 1) % writers.length] ?? 'worker'
    const words = [directory, storage, writer, String(records), String(recordBytes)]
    const walBytes = walBytesIn(directory)
    const child = forkChild(new URL('open-process.ts', import.meta.url), words)
    try {
      const opened = await nextMessage<Opened>(child)
      if (opened.records < acknowledged) throw new Error(`${storage} lost acknowledged records`)
      // The first finds nothing there.
      if (opening > 0) opens.push({ ...opened, writer, walBytes })
      if (opening === openings) break
      acknowledged = (await nextMessage<Filled>(child)).records
      await sleep(killAfterMs + opening * killStepMs)
    } finally {
      await killChild(child)
    }
  }
  return opens
}

function walBytesIn(directory: string): number {
  const files = readdirSync(directory, { recursive: true, encoding: 'utf8' })
  const wals = files.filter((name) => name.endsWith('-wal'))
  return wals.reduce((sum, name) => sum + statSync(join(directory, name)).size, 0)
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
