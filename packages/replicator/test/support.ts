/** Logs and members for tests: memory logs, joined by direct calls or by HTTP. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Chain, HelloMessage, Member, MemberEvent, ReplicationSource } from '@kith/interface'
import { createLog } from '@kith/log'
import type { Log, LogOptions } from '@kith/log'
import { createReplicationHandler } from '../src/http/index.ts'
import type { ReplicationOperation } from '../src/http/index.ts'
import { createReplicator } from '../src/index.ts'
import type { Replicator, ReplicatorOptions, ReplicatorTuning } from '../src/index.ts'

export function memberOf(name: string, changes: Partial<Member> = {}): Member {
  const address = { host: '127.0.0.1', port: 1 }
  return { name, address, tags: {}, status: 'alive', incarnation: 1, ...changes }
}

export function joined(name: string): MemberEvent {
  return { kind: 'join', member: memberOf(name) }
}

export function left(name: string): MemberEvent {
  return { kind: 'leave', member: memberOf(name, { status: 'left' }) }
}

/** Of a log in memory that holds nothing and asks. */
export const hello: HelloMessage = {
  versions: [1],
  clusterId: 'kith',
  logId: '5a'.repeat(16),
  member: 'asker',
  origin: '5b'.repeat(16),
  durable: false,
  vector: [],
  vectorVersion: 0,
}

export interface Place {
  readonly name: string
  readonly log: Log
  readonly replicator: Replicator
}

/** Members in one process that reach one another by direct calls. */
export class Village {
  readonly places: Map<string, Place> = new Map()
  /** `from>to` pairs that cannot talk. */
  readonly cut: Set<string> = new Set()
  /** What everybody answers instead of chains. */
  answers: ((asked: readonly number[]) => readonly (Chain | null)[] | Promise<never>) | undefined

  async add(
    name: string,
    options: Partial<ReplicatorOptions> = {},
    logOptions: LogOptions = {},
    tuning: Partial<ReplicatorTuning> = {},
  ): Promise<Place> {
    const log = createLog({ member: name, ...logOptions })
    await log.start()
    return this.place(name, log, options, tuning)
  }

  /** Another replicator over the log of one that stopped. */
  async again(name: string): Promise<Place> {
    const log = this.places.get(name)?.log
    if (log === undefined) throw new Error(`no place ${name}`)
    return this.place(name, log, {}, {})
  }

  private place(
    name: string,
    log: Log,
    options: Partial<ReplicatorOptions>,
    tuning: Partial<ReplicatorTuning>,
  ): Place {
    const source = (member: Member): ReplicationSource | undefined => this.source(name, member.name)
    const defaults = { pullWaitMs: 200, backoffMinMs: 10, backoffMaxMs: 100, announceDelayMs: 5 }
    const replicator = createReplicator({
      log,
      member: name,
      source,
      tuning: { ...defaults, ...tuning },
      ...options,
    })
    const place = { name, log, replicator }
    this.places.set(name, place)
    return place
  }

  /** Tells both ends of each pair that the other is there. */
  join(...names: readonly string[]): void {
    for (const one of names) {
      for (const other of names) {
        if (one !== other) this.places.get(one)?.replicator.memberChanged(joined(other))
      }
    }
  }

  private source(from: string, to: string): ReplicationSource | undefined {
    const place = this.places.get(to)
    if (place === undefined) return undefined
    const { local } = place.replicator
    const check = (): void => {
      if (this.cut.has(`${from}>${to}`)) throw new Error('the link is cut')
    }
    return {
      hello: async (message, signal) => (check(), local.hello(message, signal)),
      async pull(request, signal) {
        check()
        const response = await local.pull(request, signal)
        check()
        return response
      },
      chainAt: async (origin, at, signal) => {
        check()
        return this.answers?.(at) ?? local.chainAt(origin, at, signal)
      },
      fetch: async (origin, first, signal) => (check(), local.fetch(origin, first, signal)),
      close: async () => {},
    }
  }

  async stop(): Promise<void> {
    for (const { replicator, log } of this.places.values()) {
      await replicator.stop()
      await log.stop()
    }
  }
}

/** Resolves when `holds` does, looking again whenever one of the replicators or logs reports. */
export async function until(
  holds: () => boolean,
  what: string,
  timeoutMs: number = 10_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`never happened: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

/** Every record of a log as `origin:sequence=value`, in order of offset. */
export async function contents(log: Log): Promise<string[]> {
  const { records } = await log.read({ limit: 100_000, bytesMax: 1 << 28 })
  return records.map(
    (record) => `${record.origin}:${record.sequence}=${new TextDecoder().decode(record.value)}`,
  )
}

/** What must be equal on all members: origin, next and chain of everything. */
export function positions(log: Log): string {
  return log
    .vector()
    .filter((state) => state.next > 1)
    .map((state) => `${state.origin}:${state.next}:${state.chain}`)
    .toSorted()
    .join(' ')
}

/** A plain HTTP server over the handler, as `agent` mounts it. */
export async function serve(
  source: ReplicationSource,
): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const handler = createReplicationHandler({ source })
  const server = createServer((request, response) => {
    const operation = request.url?.split('/').at(-1) as ReplicationOperation
    const aborted = new AbortController()
    response.on('close', () => aborted.abort())
    void handler.handle(operation, request, aborted.signal).then((reply) => {
      response.writeHead(reply.status, reply.headers)
      response.end(reply.body)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    async stop() {
      await handler.stop()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
