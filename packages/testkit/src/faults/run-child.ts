/** Starting the process that works on a store, with whatever shall happen to it. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { ConformanceFailure } from '../expect.ts'
import type { Plan } from './child.ts'
import { readJournal } from './journal.ts'
import type { Entry, Noted } from './journal.ts'
import type { Bounds } from './judge.ts'
import type { LogStoreFaultSubject } from './subject.ts'

/** A process that takes longer than this hangs. */
const lifeMsMax = 600_000

export type ChildPlan = Omit<Plan, 'module' | 'export' | 'journal' | 'progress'>

export interface Doing {
  /** Arguments of strace, under which it runs then. */
  readonly strace?: readonly string[]
  /**
   * What shall happen while it works; when it resolved the process is killed. With a time, on the
   * clock of `process.hrtime`, what was acknowledged later does not count.
   */
  readonly until?: (work: Work) => Promise<bigint | void>
}

/** A process at work, seen from outside. */
export interface Work {
  /** Resolves once it committed so many steps, or is gone. */
  committed(steps: number): Promise<void>
  /** Resolves when it is gone. */
  readonly exited: Promise<unknown>
}

export interface ChildEnd {
  readonly entries: readonly Entry[]
  readonly signal: string | null
  /** Steps the store must hold and may hold, from all that the process saw. */
  readonly bounds: Bounds
}

/** Resolves when the process is gone; throws where the store broke a promise before. */
export async function runChild(
  subject: LogStoreFaultSubject,
  plan: ChildPlan,
  doing: Doing = {},
): Promise<ChildEnd> {
  const journal = mkdtempSync(join(tmpdir(), 'kith-faults-journal-'))
  try {
    const { signal, trouble, counts } = await perform(subject, { ...plan, journal }, doing)
    const noted = readJournal(journal)
    const entries = noted.map(({ entry }) => entry)
    const wrong = entries.find((entry) => entry.kind === 'wrong')
    if (wrong !== undefined) throw new ConformanceFailure(wrong.why)
    const explained = signal !== null || ['closed', 'gave-up'].includes(entries.at(-1)?.kind ?? '')
    const failed = entries.some(({ kind }) => kind === 'failed')
    if (!explained && !failed) throw new Error(`the process ended without a reason: ${trouble}`)
    return { entries, signal, bounds: boundsOf(noted, plan, counts) }
  } finally {
    rmSync(journal, { recursive: true })
  }
}

async function perform(
  subject: LogStoreFaultSubject,
  rest: Omit<Plan, 'module' | 'export' | 'progress'>,
  { strace, until }: Doing,
): Promise<{ signal: string | null; trouble: string; counts: bigint | void }> {
  const name = import.meta.url.endsWith('.ts') ? './child.ts' : './child.js'
  const program = fileURLToPath(new URL(name, import.meta.url))
  const plan: Plan = {
    ...rest,
    module: String(subject.module),
    export: subject.export ?? 'openStore',
    progress: until !== undefined,
  }
  const execArgv = subject.execArgv ?? process.execArgv
  const call = [process.execPath, ...execArgv, program, JSON.stringify(plan)]
  const [file = '', ...args] = strace === undefined ? call : ['strace', ...strace, ...call]
  // Most of such a life would be spent on compiling the same modules.
  const env = { ...process.env }
  env['NODE_COMPILE_CACHE'] ??= join(tmpdir(), 'node-compile-cache')
  // A group of its own, so that what runs under strace ends with it.
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], env, detached: true })
  let trouble = ''
  if (until === undefined) child.stdout.resume()
  child.stderr.on('data', (chunk: Buffer) => (trouble += chunk.toString()))
  const exited = once(child, 'close') as Promise<[number | null, string | null]>
  let hangs = false
  const watch = setTimeout(() => {
    hangs = true
    kill(child)
  }, lifeMsMax)
  let counts: bigint | void
  try {
    counts = await until?.({ committed: progressOf(child.stdout, exited), exited })
  } finally {
    if (until !== undefined) kill(child)
    await exited
    clearTimeout(watch)
  }
  if (hangs) throw new ConformanceFailure(`a process did not end within ${lifeMsMax} ms`)
  const [code, signal] = await exited
  // strace ends as its child did, and a shell would say 128 and the signal.
  const ended = signal ?? (code === 137 ? 'SIGKILL' : null)
  return { signal: ended, trouble: `${code} ${trouble}`, counts }
}

/** With all that it started. */
function kill({ pid }: ChildProcess): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // It is gone already.
  }
}

/** Counts the characters that the process prints, one for each step. */
function progressOf(output: Readable, exited: Promise<unknown>): Work['committed'] {
  let seen = 0
  let wake = (): void => {}
  output.on('data', (chunk: Buffer) => {
    seen += chunk.length
    wake()
  })
  return async (steps) => {
    const enough = new Promise<void>((resolve) => {
      wake = () => void (seen >= steps && resolve())
      wake()
    })
    await Promise.race([enough, exited])
  }
}

/**
 * An opening tells exactly what is there; from then on what was acknowledged adds to it. What was
 * noted after `counts` may be there or not.
 */
function boundsOf(noted: readonly Noted[], plan: ChildPlan, counts: bigint | void): Bounds {
  let { atLeast, atMost } = plan
  let closed = false
  for (const { entry, at } of noted) {
    const late = typeof counts === 'bigint' && at > counts
    if (entry.kind === 'opened') {
      atMost = late ? Math.max(atMost, entry.steps + 1) : entry.steps + 1
      if (!late) atLeast = entry.steps
    } else if (entry.kind === 'done') {
      atMost = entry.steps + 1
      if (entry.flush && !late) atLeast = entry.steps
    } else if (entry.kind === 'closed') closed = !late
  }
  // Closing in order leaves nothing behind, and nothing beyond the plan is ever begun.
  atMost = Math.min(atMost, Math.max(plan.steps, plan.atMost))
  return closed ? { atLeast: atMost, atMost } : { atLeast, atMost }
}
