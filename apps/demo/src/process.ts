/** One member as a process of the system: the real command, started, killed, paused, awaited. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export interface MemberLine {
  readonly event: string
  readonly [field: string]: unknown
}

export interface MemberProcess {
  readonly name: string
  /** Gossip and HTTP, `host:port`. */
  readonly gossip: string
  readonly http: string
  /** Consul's API, `host:port`. */
  readonly consul: string
  readonly pid: number
  /** Every event line printed so far. */
  readonly lines: readonly MemberLine[]
  /** What it last said on standard error, for when something broke. */
  readonly complaints: () => string
  readonly running: () => boolean
  kill(signal: NodeJS.Signals): void
  /** Resolves with the exit code, or the name of the signal that ended it. */
  readonly exited: Promise<number | string>
}

const READY_TIMEOUT_MS = 30_000
const LINES_MAX = 10_000
const COMPLAINT_CHARACTERS_MAX = 4000

const command = join(
  dirname(fileURLToPath(import.meta.resolve('@kith/cli/package.json'))),
  'bin/kith.js',
)

/**
 * Runs `kith agent` with these arguments and resolves once it printed that it is ready. `spawned`
 * is told of the process at once, so that it can be ended whatever happens meanwhile.
 */
export async function startMember(
  name: string,
  args: readonly string[],
  spawned: (child: ChildProcess) => void,
): Promise<MemberProcess> {
  // A group of its own: Ctrl-C is for the demo, which then lets its members leave.
  const child = spawn(process.execPath, [command, 'agent', '--log-format', 'json', ...args], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  spawned(child)
  let complaints = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaints = (complaints + text).slice(-COMPLAINT_CHARACTERS_MAX)
  })
  const exited = exitOf(child)
  const lines: MemberLine[] = []
  const ready = readLines(child, lines)
  const first = await Promise.race([
    ready,
    exited.then((code) => `it ended with ${code}`),
    timeout(READY_TIMEOUT_MS),
  ])
  if (typeof first === 'string') {
    child.kill('SIGKILL')
    throw new Error(`${name} did not become ready: ${first}\n${complaints}`)
  }
  return {
    name,
    gossip: String(first['gossip']),
    http: String(first['http']),
    consul: String(first['consul']),
    pid: Number(first['pid']),
    lines,
    complaints: () => complaints,
    running: () => child.exitCode === null && child.signalCode === null,
    kill: (signal) => void child.kill(signal),
    exited,
  }
}

function readLines(child: ChildProcess, lines: MemberLine[]): Promise<MemberLine> {
  return new Promise((resolve) => {
    const { stdout } = child
    if (!stdout) return
    createInterface({ input: stdout }).on('line', (text) => {
      let line: MemberLine
      try {
        line = JSON.parse(text) as MemberLine
      } catch {
        return
      }
      if (line.event === 'ready') resolve(line)
      if (typeof line.event !== 'string') return
      lines.push(line)
      if (lines.length > LINES_MAX) lines.shift()
    })
  })
}

async function exitOf(child: ChildProcess): Promise<number | string> {
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null]
  return code ?? signal ?? 'nothing'
}

function timeout(ms: number): Promise<string> {
  return new Promise((resolve) => {
    setTimeout(() => resolve(`${ms / 1000} s passed`), ms).unref()
  })
}
