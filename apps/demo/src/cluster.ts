/** Five members on this machine: their directories, services and feeds, and their end. */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { register } from './api.ts'
import { type Desk, openDesk } from './desk.ts'
import { type MemberProcess, startMember } from './process.ts'

/** One place in the cluster; its process may come and go. */
export interface Seat {
  readonly name: string
  readonly service: string
  /** Joins when the others are at work already. */
  readonly late: boolean
  /** What its service is; undefined before its first start. */
  desk: Desk | undefined
  /** Undefined before its first start; the last one after it ended. */
  process: MemberProcess | undefined
}

export interface Cluster {
  readonly folder: string
  readonly seats: readonly Seat[]
  seat(name: string): Seat
  /** Starts the member, or starts it again: the same name, ports and data, the others as seeds. */
  start(seat: Seat): Promise<MemberProcess>
  /** Lets all members leave, then removes everything. Whoever does not leave in time is killed. */
  stop(): Promise<void>
  /** Ends everything at once, synchronously: for a second Ctrl-C and for crashes. */
  abandon(): void
}

export const memberNames: readonly string[] = ['ada', 'ben', 'cleo', 'dan', 'eve']
const LEAVE_TIMEOUT_MS = 20_000
/** How often each member asks whether its desk is well. */
const CHECK_MS = 1_000

export async function createCluster(): Promise<Cluster> {
  const folder = await mkdtemp(join(tmpdir(), 'kith-demo-'))
  const seats: Seat[] = memberNames.map((name, at) => ({
    name,
    late: at === memberNames.length - 1,
    service: `${name}-desk`,
    desk: undefined,
    process: undefined,
  }))
  const running = new Set<ChildProcess>()

  let stopping = false

  async function start(seat: Seat): Promise<MemberProcess> {
    seat.desk ??= await openDesk(seat.name)
    const { port } = seat.desk
    const file = join(folder, seat.name, 'agent.json')
    await mkdir(join(folder, seat.name), { recursive: true })
    await writeFile(file, JSON.stringify(configOf(seat, seats, folder, port), undefined, 2))
    // A step that was interrupted may still get here; nothing begins after the end.
    if (stopping) throw new Error('the demo is ending')
    seat.process = await startMember(seat.name, ['--config', file], (child) => {
      running.add(child)
      child.once('exit', () => running.delete(child))
    })
    // What each counts of itself is a service too; its port was not known before.
    await register(seat.process.http, 'kith', {
      port: Number(seat.process.http.split(':').at(-1)),
      tags: ['metrics'],
    })
    return seat.process
  }
  function killAll(): void {
    // A paused process takes no other signal; the killing one it does.
    for (const child of running) child.kill('SIGKILL')
  }

  return {
    folder,
    seats,
    seat: (name) => seats.find((seat) => seat.name === name) ?? fail(name),
    start,
    async stop() {
      stopping = true
      const left = Promise.all([...running].map((child) => once(child, 'exit')))
      for (const child of running) {
        child.kill('SIGTERM')
        child.kill('SIGCONT')
      }
      const late = new Promise<void>((resolve) => setTimeout(resolve, LEAVE_TIMEOUT_MS).unref())
      await Promise.race([left, late])
      killAll()
      await left
      for (const { desk } of seats) desk?.close()
      await rm(folder, { recursive: true, force: true })
    },
    abandon() {
      killAll()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function configOf(seat: Seat, seats: readonly Seat[], folder: string, port: number): object {
  // A failed member's name comes back from its own address only, so that a restart keeps its ports.
  const free = '127.0.0.1:0'
  const { gossip = free, http = free, consul = free } = seat.process ?? {}
  const others = seats.filter((other) => other !== seat && other.process?.running() === true)
  return {
    node: seat.name,
    bind: gossip,
    http,
    rpc: free,
    consulApi: consul,
    data: join(folder, seat.name, 'data'),
    // Not local: it repeats each piece of news only twice, and what is missed comes seconds later.
    profile: 'lan',
    tags: { role: 'demo' },
    join: others.flatMap(({ process }) => (process ? [process.gossip] : [])),
    services: [
      {
        service: seat.service,
        port,
        tags: ['demo'],
        checks: [
          {
            kind: 'http',
            intervalMs: CHECK_MS,
            timeoutMs: CHECK_MS - 100,
          },
        ],
      },
    ],
  }
}

function fail(name: string): never {
  throw new Error(`there is no member ${name} in this demo`)
}
