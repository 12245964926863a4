// Processes under test: started, read line by line, and ended by their own handle only.
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'

export interface Running {
  readonly child: ChildProcess
  /** Standard output and error, line by line. */
  readonly lines: string[]
  readonly ended: Promise<void>
}

/** Told of every process as soon as it runs, by what must end it. */
export type Track = (running: Running) => void

export function run(command: string, args: readonly string[]): Running {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const lines: string[] = []
  for (const stream of [child.stdout, child.stderr]) {
    createInterface(stream).on('line', (line) => lines.push(line))
  }
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => resolve())
    child.once('error', (cause) => {
      lines.push(String(cause))
      resolve()
    })
  })
  return { child, lines, ended }
}

const pollMs = 50

/** Milliseconds until `holds`; throws with `why` of the last state after `withinMs`. */
export async function within(
  withinMs: number,
  what: string,
  holds: () => Promise<boolean> | boolean,
  why: () => unknown = () => '',
): Promise<number> {
  const started = performance.now()
  for (;;) {
    if (await holds()) return performance.now() - started
    if (performance.now() - started > withinMs) {
      throw new Error(`${what}: not within ${withinMs} ms; ${JSON.stringify(await why())}`)
    }
    await pause(pollMs)
  }
}

/** For traffic that has a rhythm, and between two looks at a process that cannot notify. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
