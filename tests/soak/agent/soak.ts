/**
 * One agent that stays, as it is built, with HTTP, RPC and a log on disk, and members that come and
 * go around it: in waves, each a process of whole agents, of which most leave in order and the rest
 * are killed with their process. Then an operator has the names forgotten (`force-leave -prune`),
 * since a name that is gone is otherwise remembered for a day, and the agent is looked at.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createSerfClient, type SerfClient } from '@kith/serf-rpc'
import type { Found } from './probe.ts'
import type { Look } from './trend.ts'

export interface AgentSoakOptions {
  readonly waves: number
  /** Members of a wave that leave, and that are killed. */
  readonly leaving: number
  readonly killed: number
  /** The time from one wave to the next; what is left of it is waited for. */
  readonly waveMs: number
  /** A planted leak for each member that joins; default none. */
  readonly plantedBytes?: number
  readonly print?: (line: string) => void
}

export interface AgentSoakResult {
  readonly joins: number
  readonly kills: number
  /** One at the end of each wave, with the agent alone. */
  readonly looks: readonly Look[]
}

const stepMsMax = 60_000
const pollMs = 100
/** From the last answer of the agent to the look: connections of those that left are closed. */
const settleMs = 1_000
const script = (name: string): string => fileURLToPath(new URL(name, import.meta.url))
const command = script('../../../packages/cli/bin/kith.js')
const env = { ...process.env, NODE_OPTIONS: '' }

export async function soakAgent(options: AgentSoakOptions): Promise<AgentSoakResult> {
  const running = new Soak(options)
  try {
    return await running.run()
  } finally {
    await running.end()
  }
}

interface Ready {
  readonly gossip: string
  readonly http: string
  readonly rpc: string
}

class Soak {
  readonly #options: AgentSoakOptions
  readonly #folder = mkdtempSync(join(tmpdir(), 'kith-agent-soak-'))
  readonly #children = new Set<ChildProcess>()
  readonly #looks: Look[] = []
  #client: SerfClient | undefined

  constructor(options: AgentSoakOptions) {
    this.#options = options
  }

  async run(): Promise<AgentSoakResult> {
    const { waves, leaving, killed, waveMs, print } = this.#options
    const { child, ready } = await this.#startAgent()
    this.#client = createSerfClient({ address: ready.rpc })
    const begunAt = performance.now()
    for (let wave = 0; wave < waves; wave += 1) {
      // oxlint-disable-next-line no-await-in-loop -- one wave at a time
      await this.#wave(`w${wave}`, ready)
      await delay(settleMs)
      const found = await lookAt(child)
      const joins = (wave + 1) * (leaving + killed)
      this.#looks.push({ atMs: performance.now() - begunAt, joins, ...found })
      print?.(`${joins} ${JSON.stringify(found)}`)
      await delay(Math.max(0, begunAt + (wave + 1) * waveMs - performance.now()))
    }
    return { joins: waves * (leaving + killed), kills: waves * killed, looks: this.#looks }
  }

  async end(): Promise<void> {
    await this.#client?.[Symbol.asyncDispose]()
    for (const child of this.#children) child.kill('SIGKILL')
    await Promise.all([...this.#children].map((child) => once(child, 'exit')))
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #spawn(args: readonly string[], more: NodeJS.ProcessEnv = {}): ChildProcess {
    const stdio = ['pipe', 'pipe', 'inherit', 'ipc'] as const
    const child = spawn(process.execPath, args, { stdio: [...stdio], env: { ...env, ...more } })
    this.#children.add(child)
    child.once('exit', () => this.#children.delete(child))
    return child
  }

  async #startAgent(): Promise<{ readonly child: ChildProcess; readonly ready: Ready }> {
    const any = ['--bind', '--http', '--rpc'].flatMap((flag) => [flag, '127.0.0.1:0'])
    const child = this.#spawn(
      [
        ...['--expose-gc', '--disable-warning=ExperimentalWarning', '--import', script('probe.ts')],
        ...[
          command,
          'agent',
          '--node',
          'stays',
          ...any,
          '--profile',
          'fast',
          '--data',
          this.#folder,
          '--service',
          'web:8080',
        ],
        ...['--log-format', 'json', '--log-level', 'warn'],
      ],
      { KITH_SOAK_PLANTED_BYTES: String(this.#options.plantedBytes ?? 0) },
    )
    const lines = linesOf(child)
    const first = await nextLine(lines, child)
    lines.on('line', () => {})
    return { child, ready: JSON.parse(first) as Ready }
  }

  async #wave(prefix: string, { gossip, http }: Ready): Promise<void> {
    const { leaving, killed } = this.#options
    const counts = [String(leaving), String(killed)]
    const child = this.#spawn([script('crowd.ts'), gossip, prefix, ...counts])
    const lines = linesOf(child)
    await nextLine(lines, child)
    await this.#sees('alive', leaving + killed + 1)
    await work(http, prefix)
    const left = nextLine(lines, child)
    child.stdin?.write('l')
    await left
    await this.#sees('left', leaving)
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
    await this.#sees('failed', killed)
    for (let at = 0; at < leaving + killed; at += 1) {
      // oxlint-disable-next-line no-await-in-loop -- as an operator would, one after another
      await this.#client?.forceLeave(`${prefix}-${at}`, { prune: true })
    }
    await this.#until('nobody is remembered', async () => (await this.#members()).length === 1)
  }

  async #members(): Promise<readonly { readonly status: string }[]> {
    return (await this.#client?.members()) ?? []
  }

  #sees(status: string, count: number): Promise<void> {
    return this.#until(`${count} are ${status}`, async () => {
      const found = await this.#members()
      return found.filter((member) => member.status === status).length === count
    })
  }

  async #until(what: string, holds: () => Promise<boolean>): Promise<void> {
    const startedAt = performance.now()
    while (!(await holds())) {
      if (performance.now() - startedAt > stepMsMax) {
        throw new Error(`${what}: not within ${stepMsMax} ms`)
      }
      await delay(pollMs)
    }
  }
}

/** What an agent does all day: records that everybody copies, lists, services. */
async function work(http: string, key: string): Promise<void> {
  const asked: readonly (readonly [string, RequestInit?])[] = [
    ['/v1/log/records', { method: 'POST', body: `{"key":"${key}","value":"x"}\n` }],
    ['/v1/members'],
    ['/v1/services/web'],
    ['/metrics'],
  ]
  for (const [path, init = {}] of asked) {
    const headers = init.body === undefined ? {} : { 'content-type': 'application/x-ndjson' }
    const answer = await fetch(`http://${http}${path}`, { ...init, headers })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${path} was answered with ${answer.status}: ${text}`)
  }
}

async function lookAt(child: ChildProcess): Promise<Found> {
  const answer = once(child, 'message', { signal: AbortSignal.timeout(stepMsMax) })
  child.send('look')
  const [found] = (await answer) as [Found]
  return found
}

function linesOf({ stdout }: ChildProcess): Interface {
  if (stdout === null) throw new Error('a process without an output')
  return createInterface({ input: stdout })
}

/** The next one; an error where the process ends before. */
async function nextLine(lines: Interface, child: ChildProcess): Promise<string> {
  const signal = AbortSignal.timeout(stepMsMax)
  const line = once(lines, 'line', { signal }).then(([text]) => String(text))
  const end = once(child, 'exit', { signal }).then(([code, by]) => {
    throw new Error(`a process ended with ${code ?? by} before it was done`)
  })
  // Whichever comes second is nobody's business.
  end.catch(() => {})
  return await Promise.race([line, end])
}
