/** One run of a program of this host: no shell, bounded output, ended with all that it started. */
import type { ChildProcess } from 'node:child_process'
import type { Readable } from 'node:stream'

export interface RunProgramOptions {
  /** The program and its arguments; no shell reads them. */
  readonly command: readonly string[]
  /** Its working directory; default: that of this process. */
  readonly directory?: string | undefined
  /** Added to the environment of this process. */
  readonly environment?: Readonly<Record<string, string>>
  /** What it reads on standard input, which ends then. Default: nothing. */
  readonly input?: Uint8Array
  /** So many bytes of its output and errors are kept; the rest is read and dropped. */
  readonly outputBytesMax: number
  /** Which end of the output is kept. Default first. */
  readonly keep?: 'first' | 'last'
  /** Ends it: asked first, made 300 ms later. */
  readonly signal: AbortSignal
}

export interface ProgramEnd {
  /** Null where it did not end by itself. */
  readonly code: number | null
  readonly killedBy: string | null
  /** The signal aborted before it ended; it may take a moment yet. */
  readonly stopped: boolean
  /** Standard output and errors as they came. */
  readonly output: Buffer
}

/** From the request to end until nobody is asked any more. */
const graceMs = 300

/** Rejects where the program cannot be started, and with the reason of a signal aborted before. */
export async function runProgram(options: RunProgramOptions): Promise<ProgramEnd> {
  const { signal, outputBytesMax, keep = 'first' } = options
  signal.throwIfAborted()
  const child = start(options)
  const output = new Output([child.stdout, child.stderr], outputBytesMax, keep)
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      endGroup(child)
      resolve({ code: null, killedBy: null, stopped: true, output: output.kept() })
    }
    signal.addEventListener('abort', stop, { once: true })
    child.once('error', (cause) => {
      signal.removeEventListener('abort', stop)
      reject(cause)
    })
    // Not `close`: a grandchild that keeps the pipes open must not hold up the answer.
    child.once('exit', (code, killedBy) => {
      signal.removeEventListener('abort', stop)
      setImmediate(() => {
        output.close()
        resolve({ code, killedBy, stopped: false, output: output.kept() })
      })
    })
  })
}

function start({ command, directory, environment, input }: RunProgramOptions) {
  const [program = '', ...rest] = command
  // Whoever runs nothing does not load it.
  const { spawn } = process.getBuiltinModule('node:child_process')
  // A group of its own: what the program starts goes with it.
  const child = spawn(program, rest, {
    cwd: directory,
    env: { ...process.env, ...environment },
    detached: process.platform !== 'win32',
    stdio: ['pipe', 'pipe', 'pipe'],
    windowsHide: true,
  })
  // Who does not read its input is no failure.
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  return child
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

/** One end of what a program says. */
class Output {
  readonly #chunks: Buffer[] = []
  readonly #streams: readonly Readable[]
  readonly #bytesMax: number
  readonly #keep: 'first' | 'last'
  #bytes = 0

  constructor(streams: readonly Readable[], bytesMax: number, keep: 'first' | 'last') {
    this.#streams = streams
    this.#bytesMax = bytesMax
    this.#keep = keep
    for (const stream of streams) {
      stream.on('data', (chunk: Buffer) => this.#add(chunk))
      stream.on('error', () => {})
    }
  }

  #add(chunk: Buffer): void {
    const first = this.#keep === 'first'
    const room = first ? this.#bytesMax - this.#bytes : this.#bytesMax
    if (room <= 0) return
    // A copy: a part of a chunk would keep all of it.
    const kept = Buffer.from(first ? chunk.subarray(0, room) : chunk.subarray(-room))
    this.#chunks.push(kept)
    this.#bytes += kept.length
    let [oldest] = this.#chunks
    while (!first && oldest !== undefined && this.#bytes - oldest.length >= this.#bytesMax) {
      this.#chunks.shift()
      this.#bytes -= oldest.length
      oldest = this.#chunks[0]
    }
  }

  kept(): Buffer {
    const all = Buffer.concat(this.#chunks)
    return this.#keep === 'first' ? all : all.subarray(Math.max(0, all.length - this.#bytesMax))
  }

  close(): void {
    for (const stream of this.#streams) stream.destroy()
  }
}
