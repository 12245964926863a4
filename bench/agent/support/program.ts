/** A program that is started, says that it is ready, and is ended. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

export interface Program {
  readonly name: string
  readonly file: string
  readonly args: () => readonly string[]
  /** The line of its output that says so; absent where its end does. */
  readonly ready?: RegExp
}

export interface Started {
  /** From the start of the process to its line, or to its end. */
  readonly ms: number
  /** Memory in RAM, now. */
  rssMiB(): number
  /** Killed where nothing else is said, which leaves no time to keep anything. */
  end(signal?: NodeJS.Signals): Promise<void>
}

const readyMsMax = 60_000
/** `cache` is for what programs keep for their next start. */
export async function start({ name, file, args, ready }: Program, cache: string): Promise<Started> {
  const startedAt = performance.now()
  // Without what the caller's own options would lead to.
  const env = { ...process.env, NODE_OPTIONS: '', XDG_CACHE_HOME: cache }
  const child = spawn(file, args(), { stdio: ['ignore', 'pipe', 'inherit'], env })
  const signal = AbortSignal.timeout(readyMsMax)
  const exited = once(child, 'exit', { signal })
  if (ready === undefined) await exited
  else await Promise.race([said(child, ready), exited.then(() => ended(name))])
  const ms = performance.now() - startedAt
  return {
    ms,
    rssMiB() {
      const [, kibibytes] = /VmRSS:\s*(\d+) kB/.exec(statusOf(child)) ?? []
      return Number(kibibytes) / 1024
    },
    async end(signal = 'SIGKILL') {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill(signal)
      await once(child, 'exit')
    },
  }
}

function said({ stdout }: ChildProcess, wanted: RegExp): Promise<void> {
  return new Promise((resolve) => {
    if (stdout === null) return
    createInterface({ input: stdout }).on('line', (line) => {
      if (wanted.test(line)) resolve()
    })
  })
}

function ended(name: string): never {
  throw new Error(`${name} ended before it was ready`)
}

function statusOf({ pid }: ChildProcess): string {
  return readFileSync(`/proc/${pid}/status`, 'utf8')
}
