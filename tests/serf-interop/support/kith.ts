// Our command as a process of its own, run from the sources.
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Party, SeenMember } from './party.ts'
import { run, within } from './process.ts'
import type { Running, Track } from './process.ts'

const folder = dirname(fileURLToPath(import.meta.resolve('@kith/cli/package.json')))
const main = join(folder, 'src/main.ts')
const bin = join(folder, 'bin/kith.js')

export interface KithOptions {
  readonly name: string
  readonly tags?: Readonly<Record<string, string>>
  readonly join?: string
  /** For `--event-handler`. */
  readonly handlers?: readonly string[]
  /** Base64, for `--encrypt`. */
  readonly encrypt?: string
  /** Runs what was built, which starts with half of the work. Default false. */
  readonly built?: boolean
}

export interface KithParty extends Party {
  /** `host:port` of its HTTP API. */
  readonly http: string
  /** `host:port` of its RPC. */
  readonly rpc: string
}

interface Ready {
  readonly event: string
  readonly gossip: string
  readonly http: string
  readonly rpc: string
}

interface MembersAnswer {
  readonly members: readonly (SeenMember & { readonly name: string })[]
}

export async function startKith(options: KithOptions, track: Track): Promise<KithParty> {
  const { name, tags = {}, encrypt, handlers = [] } = options
  const lines: string[] = []
  const flags = [
    ...['--node', name, '--http', '127.0.0.1:0', '--rpc', '127.0.0.1:0', '--log-format', 'json'],
    ...Object.entries(tags).flatMap(([key, value]) => ['--tag', `${key}=${value}`]),
    ...handlers.flatMap((handler) => ['--event-handler', handler]),
    ...(encrypt === undefined ? [] : ['--encrypt', encrypt]),
  ]
  let running: Running
  let ready: Ready
  const begin = async (bind: string, seed: string | undefined): Promise<void> => {
    const seeds = seed === undefined ? [] : ['--join', seed]
    const program = options.built ? [bin] : ['--conditions=@kith/source', main]
    running = run(process.execPath, [...program, 'agent', ...flags, '--bind', bind, ...seeds])
    track(running)
    const own = running.lines
    const first = (): Ready | undefined =>
      own
        .filter((line) => line.includes('"event":"ready"'))
        .map((line) => JSON.parse(line) as Ready)[0]
    await within(
      30_000,
      `${name} is ready`,
      () => first() !== undefined,
      () => own,
    )
    ready = first() ?? { event: '', gossip: '', http: '', rpc: '' }
    lines.push(...own)
    own.push = (...more: string[]) => lines.push(...more)
  }
  await begin('127.0.0.1:0', options.join)
  return {
    name,
    get address() {
      return ready.gossip
    },
    get http() {
      return ready.http
    },
    get rpc() {
      return ready.rpc
    },
    lines,
    async members() {
      const response = await fetch(`http://${ready.http}/v1/members`)
      const { members } = (await response.json()) as MembersAnswer
      return new Map(members.map((member) => [member.name, member]))
    },
    async kill() {
      running.child.kill('SIGKILL')
      await running.ended
    },
    async leave() {
      running.child.kill('SIGTERM')
      await running.ended
    },
    restart: (seed) => begin(ready.gossip, seed),
  }
}
