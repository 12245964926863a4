/** Starting other programs from the tools: with their output kept, or passed straight through. */
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder of the repository, without a slash at its end. */
export const root: string = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')

export interface CommandResult {
  readonly code: number
  /** Standard output and standard error in the order in which they came; empty if inherited. */
  readonly output: string
}

export interface CommandOptions {
  /** Where to start it: absolute, or relative to the repository. Default: its root. */
  readonly folder?: string
  readonly env?: Readonly<Record<string, string>>
  /** Show the output as it comes instead of keeping it. */
  readonly inherit?: boolean
  /** Kills it after this long; its code is then 137. Default: it may take as long as it needs. */
  readonly timeoutMs?: number
}

/** Runs one program to its end. A signal that reaches this process is passed on to it. */
export async function command(
  file: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const child = spawn(file, args, {
    cwd: options.folder ? resolve(root, options.folder) : root,
    env: { ...process.env, ...options.env },
    killSignal: 'SIGKILL',
    ...(options.timeoutMs ? { timeout: options.timeoutMs } : {}),
    stdio: options.inherit ? 'inherit' : ['ignore', 'pipe', 'pipe'],
  })
  const pass = (signal: NodeJS.Signals): void => void child.kill(signal)
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const signal of signals) process.on(signal, pass)
  const chunks: Buffer[] = []
  child.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk))
  child.stderr?.on('data', (chunk: Buffer) => chunks.push(chunk))
  try {
    return await new Promise((done, reject) => {
      child.on('error', reject)
      child.on('close', (code, signal) => {
        const output = Buffer.concat(chunks).toString()
        done({ code: code ?? 128 + (signal ? constants.signals[signal] : 0), output })
      })
    })
  } finally {
    for (const signal of signals) process.off(signal, pass)
  }
}
