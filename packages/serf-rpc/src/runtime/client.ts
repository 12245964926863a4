/** The typed client: one method for each command of Serf's RPC. */
import { setTimeout as delay } from 'node:timers/promises'
import { fromWireMember } from '../core/members.ts'
import { RpcError } from '../errors.ts'
import {
  type ResolvedClientOptions,
  resolveClientOptions,
  type SerfClientOptions,
} from '../options.ts'
import type { SerfMember, SerfMemberEventName, SerfQueryAnswer, SerfStats } from '../words.ts'
import type { KeyCommand, Request, ResponseBody, StreamedRecord } from '../wire/message.ts'
import { openConnection, type RpcConnection } from './connection.ts'
import { iterate, type IterationHost } from './iterate.ts'
import { expectBody, keyReport, statsRecord } from './shapes.ts'
import type {
  SerfCallOptions,
  SerfClient,
  SerfClientStats,
  SerfEvent,
  SerfEventOptions,
  SerfIterationOptions,
  SerfKeys,
  SerfMemberFilter,
  SerfQueryOptions,
  SerfTagsChange,
} from './types.ts'

/**
 * A client of one agent of Serf or Kith. Opens nothing before the first command. Throws
 * `ERR_RPC_OPTIONS` that names everything that is wrong.
 */
export function createSerfClient(options: SerfClientOptions = {}): SerfClient {
  return new RpcClient(resolveClientOptions(options))
}

const nanosecondsPerMs = 1_000_000n
const nothing = new Uint8Array(0)

interface Shared {
  readonly opened: Promise<RpcConnection>
  live: RpcConnection | undefined
  failed: boolean
}

class RpcClient implements SerfClient {
  readonly keys: SerfKeys
  readonly #options: ResolvedClientOptions
  readonly #closing = new AbortController()
  readonly #host: IterationHost
  #connection: Shared | undefined
  #connections = 0
  #recordsDropped = 0

  constructor(options: ResolvedClientOptions) {
    this.#options = options
    this.#host = {
      ...options,
      connect: (signal) => this.#connect(signal),
      dropped: () => {
        this.#recordsDropped += 1
      },
      running: new Set(),
    }
    this.keys = Object.freeze({
      install: (key: string, call?: SerfCallOptions) => this.#keys('install-key', key, call),
      use: (key: string, call?: SerfCallOptions) => this.#keys('use-key', key, call),
      remove: (key: string, call?: SerfCallOptions) => this.#keys('remove-key', key, call),
      list: (call?: SerfCallOptions) => this.#keys('list-keys', undefined, call),
    })
  }

  get figures(): SerfClientStats {
    return { connections: this.#connections, recordsDropped: this.#recordsDropped }
  }

  async members(
    filter: SerfMemberFilter = {},
    options: SerfCallOptions = {},
  ): Promise<readonly SerfMember[]> {
    const { name = '', status = '', tags = {} } = filter
    const map = new Map(Object.entries(tags))
    const body = await this.#call({ command: 'members-filtered', name, status, tags: map }, options)
    return expectBody(body, 'members').members.map(fromWireMember)
  }

  async join(
    addresses: readonly string[],
    { replay = false, ...options }: SerfCallOptions & { readonly replay?: boolean } = {},
  ): Promise<number> {
    return expectBody(await this.#call({ command: 'join', addresses, replay }, options), 'joined')
      .count
  }

  async leave(options: SerfCallOptions = {}): Promise<void> {
    await this.#call({ command: 'leave' }, options)
  }

  async forceLeave(
    name: string,
    { prune = false, ...options }: SerfCallOptions & { readonly prune?: boolean } = {},
  ): Promise<void> {
    await this.#call({ command: 'force-leave', name, prune }, options)
  }

  async event(
    name: string,
    payload: string | Uint8Array = nothing,
    { coalesce = true, ...options }: SerfEventOptions = {},
  ): Promise<void> {
    await this.#call({ command: 'event', name, payload: bytesOf(payload), coalesce }, options)
  }

  query(
    name: string,
    payload: string | Uint8Array = nothing,
    options: SerfQueryOptions = {},
  ): AsyncIterableIterator<SerfQueryAnswer> {
    const { members = [], tags = {}, acks = false, relayFactor = 0, timeoutMs = 0 } = options
    const request: Request = {
      command: 'query',
      name,
      payload: bytesOf(payload),
      filterMembers: members.length === 0 ? undefined : members,
      filterTags: new Map(Object.entries(tags)),
      acks,
      relayFactor,
      timeoutNs: BigInt(Math.round(timeoutMs)) * nanosecondsPerMs,
    }
    return this.#iterate({ request, item: queryAnswer, signal: options.signal })
  }

  async setTags(change: SerfTagsChange, options: SerfCallOptions = {}): Promise<void> {
    const { set = {}, remove = [] } = change
    await this.#call({ command: 'tags', set: new Map(Object.entries(set)), remove }, options)
  }

  async stats(options: SerfCallOptions = {}): Promise<SerfStats> {
    return statsRecord(expectBody(await this.#call({ command: 'stats' }, options), 'stats').stats)
  }

  async coordinate(
    name: string,
    options: SerfCallOptions = {},
  ): ReturnType<SerfClient['coordinate']> {
    const body = await this.#call({ command: 'get-coordinate', name }, options)
    return expectBody(body, 'coordinate').coordinate
  }

  events(filter = '*', options: SerfIterationOptions = {}): AsyncIterableIterator<SerfEvent> {
    const { signal, reconnect = false } = options
    return this.#iterate<SerfEvent>({
      request: { command: 'stream', filter },
      item: (record, connection) => this.#event(record, connection),
      resumed: reconnect ? () => ({ kind: 'resumed' }) : undefined,
      signal,
    })
  }

  monitor(level = 'INFO', options: SerfIterationOptions = {}): AsyncIterableIterator<string> {
    const { signal, reconnect = false } = options
    return this.#iterate<string>({
      request: { command: 'monitor', level },
      item: (record) => (record.command === 'monitor' ? record.line : undefined),
      resumed: reconnect ? () => undefined : undefined,
      signal,
    })
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return
    const cause = new RpcError('ERR_RPC_CLOSED', 'the client was closed')
    this.#closing.abort(cause)
    for (const fail of [...this.#host.running]) fail(cause)
    const connection = await this.#connection?.opened.catch(() => undefined)
    connection?.end(cause)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #iterate<Item>(iteration: Parameters<typeof iterate<Item>>[1]): AsyncIterableIterator<Item> {
    this.#closing.signal.throwIfAborted()
    return iterate<Item>(this.#host, iteration)
  }

  async #keys(
    command: KeyCommand | 'list-keys',
    key: string | undefined,
    options: SerfCallOptions = {},
  ): ReturnType<SerfKeys['list']> {
    const request: Request = command === 'list-keys' ? { command } : { command, key: key ?? '' }
    return keyReport(expectBody(await this.#call(request, options), 'keys').report)
  }

  async #call(request: Request, options: SerfCallOptions): Promise<ResponseBody | undefined> {
    const { signal, timeoutMs = this.#options.requestTimeoutMs } = options
    signal?.throwIfAborted()
    const connection = await unlessAborted(this.#shared(), signal)
    return await connection.ask(request, { timeoutMs, signal })
  }

  /** The connection of all commands; another one where it is over. */
  #shared(): Promise<RpcConnection> {
    this.#closing.signal.throwIfAborted()
    const known = this.#connection
    if (known !== undefined && !known.failed && known.live?.over !== true) return known.opened
    const opened = this.#connectPatiently()
    const next: Shared = { opened, live: undefined, failed: false }
    this.#connection = next
    opened.then(
      (live) => {
        next.live = live
      },
      () => {
        next.failed = true
      },
    )
    return opened
  }

  async #connectPatiently(): Promise<RpcConnection> {
    const { connectAttemptsMax, reconnectDelayMs, reconnectDelayMsMax } = this.#options
    const { signal } = this.#closing
    for (let attempt = 1, waitMs = reconnectDelayMs; ; attempt += 1) {
      try {
        return await this.#connect(signal)
      } catch (cause) {
        const retry = cause instanceof RpcError && cause.code === 'ERR_RPC_CONNECT'
        if (!retry || attempt >= connectAttemptsMax) throw cause
      }
      await delay(waitMs, undefined, { signal }).catch(() => signal.throwIfAborted())
      waitMs = Math.min(waitMs * 2, reconnectDelayMsMax)
    }
  }

  async #connect(signal: AbortSignal): Promise<RpcConnection> {
    const connection = await openConnection(this.#options, signal)
    this.#connections += 1
    return connection
  }

  #event(streamed: StreamedRecord, connection: RpcConnection): SerfEvent | undefined {
    if (streamed.command !== 'stream') return undefined
    const { record } = streamed
    switch (record.kind) {
      case 'members': {
        const event = record.event as SerfMemberEventName
        return { kind: 'members', event, members: record.members.map(fromWireMember) }
      }
      case 'user':
        return { ...record, payload: record.payload ?? nothing }
      case 'query': {
        const { id, name, lamportTime, payload = nothing } = record
        const respond = async (answer: string | Uint8Array, options: SerfCallOptions = {}) => {
          const { signal, timeoutMs = this.#options.requestTimeoutMs } = options
          const request: Request = { command: 'respond', id, payload: bytesOf(answer) }
          // Ids are a connection's own, so that the answer goes where the query came from.
          await connection.ask(request, { timeoutMs, signal })
        }
        return { kind: 'query', name, payload, lamportTime, respond }
      }
    }
  }
}

function queryAnswer(streamed: StreamedRecord): SerfQueryAnswer | undefined {
  if (streamed.command !== 'query') return undefined
  const { kind, from, payload = nothing } = streamed.record
  // At the end of a query a real agent may say many times that nobody answered.
  return kind === 'done' || from === '' ? undefined : { kind, from, payload }
}

/** Undefined for nothing, as Serf's own command sends it. */
function bytesOf(payload: string | Uint8Array): Uint8Array | undefined {
  const bytes = typeof payload === 'string' ? new TextEncoder().encode(payload) : payload
  return bytes.length === 0 ? undefined : bytes
}

/** As `work`, but not beyond the signal; the work itself goes on. */
function unlessAborted<Value>(
  work: Promise<Value>,
  signal: AbortSignal | undefined,
): Promise<Value> {
  if (signal === undefined) return work
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error)
    signal.addEventListener('abort', abort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
