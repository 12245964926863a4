/**
 * `script`: a program of the host says how the instance is. Exit code 0 is passing, 1 a warning,
 * anything else critical. It is no built-in kind, because whoever may register a service could then
 * run programs here: it is given to `createRegistry` by somebody who wants that.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import type { CheckKind, CheckResult } from '@kith/interface'
import { failure, isText, OptionReader } from './problems.ts'

export interface ScriptCheckOptions {
  /** The program and its arguments, at most 64; no shell reads them. */
  readonly command: readonly string[]
  /** Its working directory; default: that of this process. */
  readonly directory: string | undefined
  /** Added to the environment of this process. */
  readonly environment: Readonly<Record<string, string>>
}

/** What is kept of the output; the rest is read and dropped, so that the program can go on. */
const outputBytesMax = 4_096
const argumentsMax = 64
/** From the request to end until nobody is asked any more. */
const graceMs = 300

export function scriptCheck(): CheckKind<ScriptCheckOptions> {
  return {
    kind: 'script',
    parse(options: unknown) {
      const reader = new OptionReader(options)
      const want = `a list of 1 to ${argumentsMax} texts: the program and its arguments`
      const command = reader.field('command', isCommand, want, [] as readonly string[])
      const parsed = {
        command,
        directory: reader.field('directory', isText, 'the path of a directory', undefined as never),
        environment: reader.field('environment', isEnvironment, 'an object of texts', {}),
      }
      reader.done()
      if (command.length === 0) throw failure(`command must be ${want}, got nothing`)
      return Object.freeze(parsed)
    },
    async run(options, signal) {
      signal.throwIfAborted()
      return await runScript(options, signal)
    },
  }
}

function runScript(options: ScriptCheckOptions, signal: AbortSignal): Promise<CheckResult> {
  const [program = '', ...rest] = options.command
  return new Promise((resolve, reject) => {
    // A group of its own: what the program starts goes with it.
    const child = spawn(program, rest, {
      cwd: options.directory,
      env: { ...process.env, ...options.environment },
      detached: process.platform !== 'win32',
      stdio: ['ignore', 'pipe', 'pipe'],
      windowsHide: true,
    })
    const output = new Output([child.stdout, child.stderr])
    const stop = (): void => {
      endGroup(child)
      reject(failure(`${program}: told to stop${output.tail()}`, signal.reason))
    }
    signal.addEventListener('abort', stop, { once: true })
    child.once('error', (cause) => {
      signal.removeEventListener('abort', stop)
      reject(failure(`${program}: ${cause.message}`, cause))
    })
    // Not `close`: a grandchild that keeps the pipes open must not hold up the answer.
    child.once('exit', (code, killedBy) => {
      signal.removeEventListener('abort', stop)
      setImmediate(() => {
        output.close()
        resolve(judge(program, code, killedBy, output))
      })
    })
  })
}

function judge(
  program: string,
  code: number | null,
  killedBy: string | null,
  output: Output,
): CheckResult {
  const end = code === null ? `ended by ${String(killedBy)}` : `exit code ${code}`
  const status = code === 0 ? 'passing' : code === 1 ? 'warning' : 'critical'
  return { status, output: `${program}: ${end}${output.tail()}` }
}

/**
 * Asks the whole group to end, then ends it. The timer keeps this process for its moment: whoever
 * is deaf must not outlive a member that stops.
 */
function endGroup(child: ChildProcess): void {
  send(child, 'SIGTERM')
  const timer = setTimeout(() => send(child, 'SIGKILL'), graceMs)
  child.once('exit', () => {
    // What the program started may have outlived it; nobody of the group stays.
    clearTimeout(timer)
    send(child, 'SIGKILL')
  })
}

function send(child: ChildProcess, name: 'SIGTERM' | 'SIGKILL'): void {
  try {
    if (child.pid === undefined) return
    if (process.platform === 'win32') child.kill(name)
    else process.kill(-child.pid, name)
  } catch {
    // The group is gone, which is what was asked.
  }
}

/** The beginning of what a program says. */
class Output {
  readonly #chunks: Buffer[] = []
  readonly #streams: readonly Readable[]
  #bytes = 0

  constructor(streams: readonly Readable[]) {
    this.#streams = streams
    for (const stream of streams) {
      stream.on('data', (chunk: Buffer) => {
        const room = outputBytesMax - this.#bytes
        if (room <= 0) return
        // A copy: a part of a chunk would keep all of it.
        this.#chunks.push(Buffer.from(chunk.subarray(0, room)))
        this.#bytes += Math.min(room, chunk.length)
      })
      stream.on('error', () => {})
    }
  }

  tail(): string {
    const text = Buffer.concat(this.#chunks).toString('utf8').trimEnd()
    return text === '' ? '' : `\n${text}`
  }

  close(): void {
    for (const stream of this.#streams) stream.destroy()
  }
}

function isCommand(value: unknown): value is readonly string[] {
  if (!Array.isArray(value) || value.length < 1 || value.length > argumentsMax) return false
  const fits = (text: unknown, index: number): boolean =>
    typeof text === 'string' &&
    text.length <= 2_048 &&
    !text.includes('\0') &&
    (index > 0 || text !== '')
  return value.every(fits)
}

function isEnvironment(value: unknown): value is Readonly<Record<string, string>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const pairs = Object.entries(value as Record<string, unknown>)
  const fits = ([name, text]: [string, unknown]): boolean =>
    /^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(name) &&
    typeof text === 'string' &&
    text.length <= 2_048 &&
    !text.includes('\0')
  return pairs.length <= 64 && pairs.every(fits)
}
