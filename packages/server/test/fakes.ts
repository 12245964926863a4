/** Parts as small as the server's ports allow, so that only the server is under test. */
import {
  type AppendOptions,
  type AppendRecord,
  KithError,
  type Logger,
  type LogRecord,
  type Member,
  type ReadFrom,
  type ServiceInstance,
  silentLogger,
} from '@kith/interface'
import {
  createServer,
  type LogPort,
  type RegistryPort,
  type ReplicationPort,
  type Server,
  type ServerLimits,
  type ServerParts,
} from '../src/index.ts'

/** A promise with its ends in hand. */
export function deferred<Value>(): {
  promise: Promise<Value>
  resolve: (value: Value) => void
} {
  let resolve: (value: Value) => void = () => {}
  const promise = new Promise<Value>((done) => (resolve = done))
  return { promise, resolve }
}

export const ORIGIN = 'a'.repeat(32)

export interface FakeLog extends LogPort {
  readonly records: LogRecord[]
  readonly appends: { records: readonly AppendRecord[]; options: AppendOptions | undefined }[]
  reads: number
  /** What is below it counts as dropped. */
  floor: number
  fail: Error | undefined
}

export function fakeLog(): FakeLog {
  const records: LogRecord[] = []
  let wake = deferred<void>()
  /** Records of this log were all stored at their offset. */
  const offsetOf = (from: ReadFrom): number => {
    if (from === 'earliest') return log.floor
    if (from === 'latest') return records.length
    if (typeof from === 'object') return Math.max(log.floor, from.time)
    if (from >= log.floor) return from
    const details = { floor: log.floor }
    throw new KithError('ERR_LOG_DROPPED', `offset ${from} was dropped`, { details })
  }
  const log: FakeLog = {
    records,
    appends: [],
    reads: 0,
    floor: 0,
    fail: undefined,
    append(given, options) {
      if (log.fail) return Promise.reject(log.fail)
      const copies = given.map((record) => ({
        ...record,
        value: Uint8Array.from(record.value),
        ...(record.key === undefined ? {} : { key: Uint8Array.from(record.key) }),
      }))
      log.appends.push({ records: copies, options })
      const offset = records.length
      for (const record of copies) {
        const sequence = records.length + 1
        records.push({ ...record, offset: records.length, origin: ORIGIN, sequence, time: 1000 })
      }
      wake.resolve()
      wake = deferred<void>()
      const count = given.length
      return Promise.resolve({ origin: ORIGIN, first: offset + 1, count, offset, duplicate: false })
    },
    async read({ from: given = 'earliest', limit = 100 } = {}) {
      log.reads += 1
      const from = offsetOf(given)
      if (from > records.length) {
        return Promise.reject(new KithError('ERR_LOG_OFFSET_OUT_OF_RANGE', `no offset ${from}`))
      }
      const page = records.slice(from, from + limit)
      return Promise.resolve({ records: page, next: from + page.length })
    },
    async *tail({ from = 'earliest', signal } = {}) {
      let at = offsetOf(from)
      const gone = deferred<void>()
      signal?.addEventListener('abort', () => gone.resolve(), { once: true })
      while (!signal?.aborted) {
        const record = records[at]
        if (record) {
          at += 1
          yield record
        } else await Promise.race([wake.promise, gone.promise])
      }
    },
    status() {
      const state = { origin: ORIGIN, member: 'alpha', floor: 1, next: records.length + 1 }
      return {
        logId: 'b'.repeat(32),
        origin: ORIGIN,
        durable: true,
        records: records.length,
        bytes: 10,
        floor: log.floor,
        next: records.length,
        origins: [
          { ...state, chain: 'c'.repeat(64), status: 'live', holes: [], own: true },
          {
            ...state,
            origin: 'd'.repeat(32),
            chain: 'e'.repeat(64),
            status: 'live',
            holes: [],
            own: false,
          },
        ],
      }
    },
    verify: () => Promise.resolve({ ok: true }),
  }
  return log
}

export function fakeRegistry(): RegistryPort & {
  checks: unknown[]
  held: Map<string, ServiceInstance>
} {
  const held = new Map<string, ServiceInstance>()
  const checks: unknown[] = []
  const listeners = new Set<(service: string) => void>()
  let wake = deferred<void>()
  const changed = (service: string): void => {
    for (const listener of listeners) listener(service)
    wake.resolve()
    wake = deferred<void>()
  }
  const resolve: RegistryPort['resolve'] = (service, { tags = [] } = {}) =>
    [...held.values()].filter(
      (instance) =>
        instance.service === service && tags.every((tag) => instance.tags.includes(tag)),
    )
  return {
    held,
    checks,
    register(given) {
      const instance: ServiceInstance = {
        service: given.service,
        id: given.id,
        member: 'alpha',
        address: given.address ?? '127.0.0.1',
        port: given.port,
        tags: given.tags ?? [],
        meta: given.meta ?? {},
        checks: [],
        status: 'passing',
        version: 1,
      }
      held.set(given.id, instance)
      changed(instance.service)
      return Promise.resolve(instance)
    },
    deregister(id) {
      const service = held.get(id)?.service
      if (service === undefined) {
        return Promise.reject(new KithError('ERR_REGISTRY_UNKNOWN_INSTANCE', `no instance ${id}`))
      }
      held.delete(id)
      changed(service)
      return Promise.resolve()
    },
    async maintain(reason, id) {
      if (id !== undefined && !held.has(id)) {
        throw new KithError('ERR_REGISTRY_UNKNOWN_INSTANCE', `no instance ${id}`)
      }
      checks.push(['maintain', reason, id])
    },
    async resume(id) {
      checks.push(['resume', id])
    },
    setCheck: (...call) => void checks.push(call),
    services: () => new Map([...held.values()].map(({ service }) => [service, 1])),
    resolve,
    async *watch(service, { signal, ...options }) {
      const gone = deferred<void>()
      signal.addEventListener('abort', () => gone.resolve(), { once: true })
      while (!signal.aborted) {
        const changed = wake.promise
        yield resolve(service, options)
        await Promise.race([changed, gone.promise])
      }
    },
    onChange(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    rtt: (_from, to) => (to === 'alpha' ? 3.5 : undefined),
  }
}

/** Parks every pull until it is stopped; echoes the body of everything else. */
export function fakeReplication(): ReplicationPort & { parked: number } {
  const stopped = deferred<void>()
  const port: ReplicationPort & { parked: number } = {
    parked: 0,
    async handle(operation, body) {
      const headers = { 'content-type': 'application/octet-stream' }
      const parts: Uint8Array[] = []
      for await (const part of body) parts.push(part)
      if (operation !== 'pull') return { status: 200, headers, body: Buffer.concat(parts) }
      port.parked += 1
      await stopped.promise
      return {
        status: 200,
        headers,
        body: (async function* () {
          yield Buffer.from('nothing new')
        })(),
      }
    },
    stop() {
      stopped.resolve()
      return Promise.resolve()
    },
  }
  return port
}

export const alpha: Member = {
  name: 'alpha',
  address: { host: '127.0.0.1', port: 7946 },
  tags: { role: 'web' },
  status: 'alive',
  incarnation: 3,
}

export interface Bench {
  readonly server: Server
  readonly url: string
  readonly log: FakeLog
  readonly registry: ReturnType<typeof fakeRegistry>
  readonly replication: ReturnType<typeof fakeReplication>
  readonly parts: ServerParts
}

/** A server on a free port with fakes bound. */
export async function startServer(
  limits: Partial<ServerLimits> = {},
  logger: Logger = silentLogger,
): Promise<Bench> {
  const log = fakeLog()
  const registry = fakeRegistry()
  const replication = fakeReplication()
  const parts: ServerParts = {
    member: 'alpha',
    version: '0.0.0',
    log,
    membership: {
      self: alpha,
      members: () => [alpha],
      member: (name) => (name === 'alpha' ? alpha : undefined),
      subscribe: () => () => {},
    },
    diagnose: () => [],
    registry,
    replication,
    lag: () => new Map(),
    retire: async () => {},
    unready: () => undefined,
    metrics: async () => ({ contentType: 'text/plain; version=0.0.4', text: 'kith_test 1\n' }),
  }
  const server = createServer({ limits, logger })
  const { host, port } = await server.start()
  server.bind(parts)
  return { server, url: `http://${host}:${port}`, log, registry, replication, parts }
}
