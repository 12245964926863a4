// The real thing: agents and commands of the installed `serf`.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Party, SeenMember } from './party.ts'
import { freePort } from '../../support/ports.ts'
import { run, within } from './process.ts'
import type { Running, Track } from './process.ts'

const execute = promisify(execFile)

export interface SerfOptions {
  readonly name: string
  readonly tags?: Readonly<Record<string, string>>
  readonly join?: string
  /** A file for `-snapshot`. */
  readonly snapshot?: string
  /** `host:port` to listen at; default a free port of loopback. */
  readonly bind?: string
  /** Base64, for `-encrypt`. */
  readonly encrypt?: string
  /** `filter=script`, as `-event-handler` takes it. */
  readonly handlers?: readonly string[]
  /** What comes before each of its commands, to run it in a namespace; default nothing. */
  readonly inside?: readonly string[]
  /** Further flags of `serf agent`. */
  readonly flags?: readonly string[]
  /** What its RPC wants to be shown; the agent must be told by a file among the flags. */
  readonly rpcAuth?: string
  /** False does not wait until it answers: it may not live so long. Default true. */
  readonly waits?: boolean
}

export interface SerfParty extends Party {
  /** Ends it without a leave and lets it write what it has, as SIGTERM does by default. */
  end(): Promise<void>
  /** `host:port` of its RPC. */
  readonly rpc: string
  /** `serf <command> -rpc-addr=...`; resolves with what it printed. */
  command(name: string, ...args: readonly string[]): Promise<string>
}

interface MembersAnswer {
  readonly members: readonly {
    readonly name: string
    readonly status: string
    readonly tags: Readonly<Record<string, string>> | null
  }[]
}

export async function startSerf(options: SerfOptions, track: Track): Promise<SerfParty> {
  const { name, tags = {}, handlers = [], snapshot, encrypt, waits = true } = options
  const { inside = [] } = options
  const address = options.bind ?? `127.0.0.1:${await freePort()}`
  const rpc = `127.0.0.1:${await freePort()}`
  const lines: string[] = []
  const args = [
    'agent',
    ...(options.flags ?? []),
    `-node=${name}`,
    `-bind=${address}`,
    `-rpc-addr=${rpc}`,
    ...Object.entries(tags).map(([key, value]) => `-tag=${key}=${value}`),
    ...(snapshot === undefined ? [] : [`-snapshot=${snapshot}`]),
    ...(encrypt === undefined ? [] : [`-encrypt=${encrypt}`]),
    ...handlers.map((handler) => `-event-handler=${handler}`),
  ]
  const command = async (verb: string, ...rest: readonly string[]): Promise<string> => {
    const env = { ...process.env, SERF_RPC_AUTH: options.rpcAuth ?? '' }
    const [first = '', ...words] = [...inside, 'serf', verb, `-rpc-addr=${rpc}`, ...rest]
    const { stdout } = await execute(first, words, { env })
    return stdout
  }
  let running: Running
  const begin = async (join: string | undefined): Promise<void> => {
    const seeds = join === undefined ? [] : [`-join=${join}`]
    const [first = '', ...words] = [...inside, 'serf', ...args, ...seeds]
    running = run(first, words)
    track(running)
    running.lines.push = (...more: string[]) => lines.push(...more)
    const answers = (): Promise<boolean> => command('members').then(Boolean, () => false)
    if (!waits) return
    await within(20_000, `${name} answers`, answers, () => lines)
  }
  await begin(options.join)
  return {
    name,
    address,
    rpc,
    lines,
    command,
    async members() {
      const answer = JSON.parse(await command('members', '-format=json')) as MembersAnswer
      const seen = answer.members.map((member): readonly [string, SeenMember] => {
        return [member.name, { status: member.status, tags: member.tags ?? {} }]
      })
      return new Map(seen)
    },
    async kill() {
      running.child.kill('SIGKILL')
      await running.ended
    },
    async end() {
      running.child.kill('SIGTERM')
      await running.ended
    },
    async leave() {
      await command('leave')
      await running.ended
    },
    restart: (join) => begin(join),
  }
}
