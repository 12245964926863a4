/** Logs of every kind for one test each: opened, stopped and cleaned up. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AppendRecord, Clock } from '@kith/interface'
import { nodeDigests } from '@kith/interface/node'
import { onTestFinished } from 'vitest'
import { createGroup } from '../src/core/index.ts'
import { createLog, memoryStore } from '../src/index.ts'
import type { Log, LogOptions } from '../src/index.ts'
import { originChain } from '../src/core/index.ts'

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
export const text = (value: Uint8Array): string => new TextDecoder().decode(value)
export const records = (count: number, from = 0): AppendRecord[] =>
  Array.from({ length: count }, (_, index) => ({ value: bytes(`record ${from + index}`) }))

export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'kith-log-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** Starts a log that is stopped when the test ends. */
export async function started(options: LogOptions = {}): Promise<Log> {
  const log = createLog(options)
  onTestFinished(() => log.stop())
  await log.start()
  return log
}

/** `inline` and `worker` keep their log in one SQLite file, `segment` in segments. */
export type Kind = 'memory' | 'inline' | 'worker' | 'segment'
export const kinds: readonly Kind[] = ['memory', 'inline', 'worker', 'segment']
export const durableKinds: readonly Kind[] = ['inline', 'worker', 'segment']
export const sqliteKinds = ['inline', 'worker'] as const

/** Options that open the same log each time. */
export function home(kind: Kind): LogOptions {
  if (kind === 'memory') return { store: memoryStore() }
  return inDirectory(kind, temporaryDirectory())
}

export function inDirectory(kind: Kind, directory: string): LogOptions {
  if (kind === 'segment') return { directory, writer: 'inline', storage: kind }
  return { directory, writer: kind === 'worker' ? kind : 'inline' }
}

/** The SQLite database of a log, which is an index where it keeps segments. */
export function databaseIn({ directory = '', storage }: LogOptions): string {
  return storage === 'segment' ? join(directory, 'index', 'log.db') : join(directory, 'log.db')
}

export async function allValues(log: Log): Promise<readonly string[]> {
  const values: string[] = []
  for (let from = log.status().floor; from < log.status().next;) {
    const page = await log.read({ from })
    values.push(...page.records.map(({ value }) => text(value)))
    from = page.next
  }
  return values
}

/** The batches of one origin as another member would pull them. */
export async function pulled(log: Log, origin = log.origin, from = 1): Promise<Uint8Array[]> {
  const batches: Uint8Array[] = []
  for (let next = from; ;) {
    const run = await log.readBatches(origin, next, 1_000_000)
    if (run.kind !== 'batches') return batches
    // Copies: what a test does to them must not reach the log.
    batches.push(...run.batches.map((batch) => Uint8Array.from(batch)))
    next = run.next
  }
}

export interface MadeBatch {
  readonly bytes: Uint8Array
  readonly chain: string
  readonly next: number
}

/** A batch of an origin that no log writes. */
export function makeBatch(
  origin: string,
  first = 1,
  chain = originChain(origin, nodeDigests),
  content: readonly AppendRecord[] = records(3),
): MadeBatch {
  const group = createGroup(new ArrayBuffer(1024))
  group.add(content, 1_700_000_000_000)
  const [sealed] = group.seal(origin, first, chain, nodeDigests)
  if (sealed === undefined) throw new Error('no batch')
  return {
    bytes: Uint8Array.from(new Uint8Array(group.buffer, sealed.start, sealed.length)),
    chain: sealed.chain,
    next: first + sealed.count,
  }
}

/** From where on a log that stored all of another one's own origin did so. */
export function all({ origin }: Log): ReadonlyMap<string, number> {
  return new Map([[origin, 1]])
}

export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (cause) {
    return (cause as { code?: string }).code ?? String(cause)
  }
  return 'resolved'
}

export interface ManualClock extends Clock {
  advance(ms: number): void
  /** Moves the wall clock alone, as an operator would. */
  setWall(ms: number): void
}

/** A clock whose time and timers move when the test says so. */
export function manualClock(): ManualClock {
  let now = 0
  let wall = 1_700_000_000_000
  const timers = new Set<{ at: number; callback: () => void }>()
  return {
    now: () => now,
    wallNow: () => wall,
    after(delayMs, callback) {
      const timer = { at: now + delayMs, callback }
      timers.add(timer)
      return () => void timers.delete(timer)
    },
    advance(ms) {
      now += ms
      wall += ms
      for (const timer of [...timers]) {
        if (timer.at > now) continue
        timers.delete(timer)
        timer.callback()
      }
    },
    setWall(ms) {
      wall = ms
    },
  }
}
