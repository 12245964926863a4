/** The real command as processes, for tests: as it is built, since that is what people run. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

/** Its script, for tests that read it while it runs. */
export const command: string = fileURLToPath(
  new URL('../../packages/cli/bin/kith.js', import.meta.url),
)

export interface Line {
  readonly event?: string
  readonly member?: {
    readonly name: string
    readonly status: string
    readonly tags?: Readonly<Record<string, string>>
  }
  readonly [field: string]: unknown
}

export interface AgentProcess {
  readonly child: ChildProcess
  readonly pid: number
  readonly gossip: string
  readonly http: string
  readonly rpc: string
  /** Everything printed on standard output, in order, the ready line first. */
  readonly lines: readonly Line[]
  /** Resolves with the first line, past or to come, that fits. */
  line(fits: (line: Line) => boolean): Promise<Line>
  /** The exit code, or the name of the signal. */
  readonly exited: Promise<number | string>
}

const running = new Set<ChildProcess>()

/** Kills whatever a test left behind. */
export async function killAll(): Promise<void> {
  const children = [...running]
  for (const child of children) child.kill('SIGKILL')
  await Promise.all(children.map(exitOf))
}

/** Without the runner's own options, among them the condition that leads to the sources. */
export const env = { ...process.env, NODE_OPTIONS: '' }

/** Words before a command, as `ip netns exec NAME`, and options of Node.js for it. */
export interface Surroundings {
  readonly before?: readonly string[]
  readonly execArgv?: readonly string[]
}

function start(
  args: readonly string[],
  { before = [], execArgv = [] }: Surroundings = {},
): ChildProcess {
  const [program = '', ...words] = [...before, process.execPath, ...execArgv, command, ...args]
  const child = spawn(program, words, { stdio: 'pipe', env })
  running.add(child)
  child.once('exit', () => running.delete(child))
  return child
}

async function exitOf(child: ChildProcess): Promise<number | string> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  return child.exitCode ?? child.signalCode ?? 'nothing'
}

/** Starts `kith agent` on free ports of loopback and resolves once it is ready. */
export function startAgent(...args: string[]): Promise<AgentProcess> {
  return startAgentIn({}, ...args)
}

/** The same elsewhere; what `args` say of addresses counts. */
export async function startAgentIn(
  surroundings: Surroundings,
  ...args: readonly string[]
): Promise<AgentProcess> {
  const told = (flag: string): boolean =>
    args.includes(flag) || args.includes(`--no-${flag.slice(2)}`)
  const untold = ['--bind', '--http', '--rpc'].filter((flag) => !told(flag))
  const free = [...untold.flatMap((flag) => [flag, '127.0.0.1:0']), '--profile', 'local']
  const child = start(['agent', '--log-format', 'json', ...free, ...args], surroundings)
  const lines: Line[] = []
  const waiting = new Set<(line: Line) => void>()
  if (child.stdout) {
    createInterface({ input: child.stdout }).on('line', (printed) => {
      const line = JSON.parse(printed) as Line
      lines.push(line)
      for (const wake of [...waiting]) wake(line)
    })
  }
  const line = (fits: (line: Line) => boolean): Promise<Line> => {
    const found = lines.find(fits)
    if (found) return Promise.resolve(found)
    return new Promise((resolve) => {
      const wake = (next: Line): void => {
        if (!fits(next)) return
        waiting.delete(wake)
        resolve(next)
      }
      waiting.add(wake)
    })
  }
  const exited = exitOf(child)
  const errors = child.stderr ? text(child.stderr) : Promise.resolve('')
  const ready = await Promise.race([
    line(() => true),
    exited.then(async (code) => {
      throw new Error(`the agent ended with ${code}: ${await errors}`)
    }),
  ])
  const { gossip, http, rpc, pid } = ready as unknown as AgentProcess
  return { child, pid, gossip, http, rpc, lines, line, exited }
}

export interface Result {
  readonly code: number | string
  readonly out: string
  readonly err: string
}

/** Runs one command to its end. */
export async function kith(
  args: readonly string[],
  input = '',
  surroundings: Surroundings = {},
): Promise<Result> {
  const child = start(args, surroundings)
  child.stdin?.end(input)
  const out = child.stdout ? text(child.stdout) : ''
  const err = child.stderr ? text(child.stderr) : ''
  return { code: await exitOf(child), out: await out, err: await err }
}
