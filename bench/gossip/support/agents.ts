/** Agents of either kind as processes of their own, told apart by nothing but their lines. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Profile } from '@kith/gossip'
import type { MemberSpec } from './member.ts'
import type { Observer, Seen } from './observer.ts'

export const kinds = ['kith', 'serf'] as const
export type Kind = (typeof kinds)[number]

export interface Placed {
  readonly name: string
  readonly host: string
  /** The network namespace it lives in. */
  readonly space: string
}

export interface AgentOptions {
  /** Several live in one process where the kind can: Serf cannot. */
  readonly members: readonly Placed[]
  readonly profile: Profile
  /** Whom all of them ask, but whoever has that address itself. */
  readonly join: readonly string[]
  readonly observer: Observer
  /** Nothing of what it prints is read: under a flood Serf prints a line for each packet. */
  readonly quiet?: boolean
}

export interface Agent {
  readonly names: readonly string[]
  readonly pid: number
  signal(signal: NodeJS.Signals): void
  /** Resolves when the process is gone. */
  readonly ended: Promise<unknown>
}

export const port = 7946
/** As users run it: types are taken out once, not in each process, which costs 40 MiB there. */
const program = javaScriptOf('member.ts')
const serfLine = /serf: EventMember(Join|Leave|Failed): (\S+)/
const serfWords: Readonly<Record<string, Seen>> = {
  Join: 'joined',
  Leave: 'left',
  Failed: 'failed',
}

/** A file beside this one as a program without types; its path. */
export function javaScriptOf(file: string): string {
  const source = readFileSync(new URL(file, import.meta.url), 'utf8')
  // Packages are found from here as they are from the sources.
  const folder = fileURLToPath(new URL('../../node_modules/.kith', import.meta.url))
  mkdirSync(folder, { recursive: true })
  const path = join(folder, file.replace('.ts', '.mjs'))
  writeFileSync(path, stripTypeScriptTypes(source))
  return path
}

const running = new Set<ChildProcess>()

/** From now on `endAll` ends it too. */
export function keep(child: ChildProcess): Promise<unknown> {
  running.add(child)
  return once(child, 'exit').finally(() => running.delete(child))
}

/** Whoever still runs is ended, by its own handle. */
export async function endAll(): Promise<void> {
  const gone = [...running].map((child) => once(child, 'exit'))
  for (const child of running) child.kill('SIGKILL')
  await Promise.all(gone)
}

export function startAgent(kind: Kind, options: AgentOptions): Agent {
  const { members, observer, quiet = false } = options
  const [first] = members
  if (first === undefined) throw new RangeError('an agent needs a member')
  for (const { name } of members) observer.begin(name)
  const args = kind === 'kith' ? kithCommand(options) : serfCommand(first, options)
  // `ip` becomes what it starts, so that its process is the agent's.
  const child = spawn('ip', ['netns', 'exec', first.space, ...args], {
    stdio: quiet ? ['pipe', 'ignore', 'ignore'] : ['pipe', 'pipe', 'pipe'],
  })
  const ended = keep(child)
  const take = kind === 'kith' ? takeKith(observer) : takeSerf(observer, first.name)
  const rest: string[] = []
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue
    createInterface(stream).on('line', (line) => {
      if (!take(line) && rest.length < 50) rest.push(line)
    })
  }
  child.once('exit', (code, signal) => {
    if (signal === null && code !== 0) console.error(`${first.name} ended with ${code}`, rest)
  })
  return {
    names: members.map(({ name }) => name),
    pid: child.pid ?? 0,
    signal: (signal) => void child.kill(signal),
    ended,
  }
}

function kithCommand({ members, profile, join }: AgentOptions): readonly string[] {
  const own = members.map(({ name, host }) => ({ name, host }))
  const spec: MemberSpec = { members: own, port, profile, join }
  return [process.execPath, program, JSON.stringify(spec)]
}

function serfCommand({ name, host }: Placed, { profile, join }: AgentOptions): readonly string[] {
  return [
    ...['serf', 'agent', `-node=${name}`, `-bind=${host}:${port}`, `-profile=${profile}`],
    ...[`-rpc-addr=${host}:7373`, '-log-level=info'],
    ...join.filter((seed) => seed !== `${host}:${port}`).map((seed) => `-join=${seed}`),
  ]
}

function takeKith(observer: Observer): (line: string) => boolean {
  return (line) => {
    const [by, what, about, more] = line.split(' ')
    if (by === undefined || what === undefined || about === undefined || more) return false
    observer.record(by, what as Seen, about)
    return true
  }
}

function takeSerf(observer: Observer, by: string): (line: string) => boolean {
  return (line) => {
    const [, word = '', about = ''] = serfLine.exec(line) ?? []
    const what = serfWords[word]
    if (what === undefined) return false
    observer.record(by, what, about)
    return true
  }
}
