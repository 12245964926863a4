/** The listening half: callers come in here, news of the cluster go out to those who asked. */
import { createHash, timingSafeEqual } from 'node:crypto'
import { chmod, lstat, unlink } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { type Address, describeProblems, formatAddress, type Unsubscribe } from '@kith/interface'
import { type TlsServerOptions, tlsServerProblems } from '@kith/interface/node'
import type { ConnectionOptions } from '../core/state.ts'
import { RpcError } from '../errors.ts'
import {
  type ResolvedServerOptions,
  resolveServerOptions,
  type SerfRpcServerOptions,
} from '../options.ts'
import type { SerfHostEvent } from '../words.ts'
import { createOpenQueries, type OpenQueries } from './open-queries.ts'
import { createSecureServer, renewSecureServer, type SecureServer } from './secure.ts'
import { Serving } from './serving.ts'

export interface SerfRpcServerStats {
  /** Open now. */
  readonly connections: number
  /** Of these, not through handshake and authentication. */
  readonly strangers: number
  /**
   * What happened so far by name: `accepted`, `requests`, and of these each command as
   * `command.event`; `refused` above `connectionsMax`; `strangersEvicted` above `strangersMax`;
   * `recordsDropped` for slow readers; why callers were sent away: `handshakeMissing`,
   * `handshakeLate`, `keysWrong`, `keysWrongTooOften`, `commandUnknown`, `undecodable`,
   * `frameTooLarge`, `certificateRefused`, `handshakesFailed` of TLS.
   */
  readonly counters: Readonly<Record<string, number>>
}

export interface SerfRpcServer extends AsyncDisposable {
  /** Where it listens on TCP; undefined where it does not. Throws before `start`. */
  readonly address: Address | undefined
  /** Rejects with `ERR_RPC_LISTEN` where an address is taken or not permitted. */
  start(): Promise<void>
  stats(): SerfRpcServerStats
  /**
   * Takes over another certificate, key and authority, and ends the connections that there are over
   * TLS: whoever comes back is held to them. Throws `ERR_RPC_OPTIONS` for what `createSerfRpcServer`
   * would not take, `ERR_RPC_STATE` where it began without `tls`.
   */
  renewTls(tls: TlsServerOptions): void
  /** Ends every connection, within about a second. Idempotent. */
  stop(): Promise<void>
}

/** A server that does not listen yet. Throws `ERR_RPC_OPTIONS` that names every problem. */
export function createSerfRpcServer(options: SerfRpcServerOptions): SerfRpcServer {
  return new RpcServer(resolveServerOptions(options))
}

class RpcServer implements SerfRpcServer {
  readonly #options: ResolvedServerOptions
  readonly #connection: ConnectionOptions
  readonly #openQueries: OpenQueries
  readonly #servings = new Set<Serving>()
  readonly #counters = new Map<string, number>()
  readonly #servers: Server[] = []
  #secure: SecureServer | undefined
  #overTls = new Set<Serving>()
  readonly #unsubscribe: Unsubscribe[] = []
  #address: Address | undefined
  #phase: 'new' | 'started' | 'stopped' = 'new'
  #stopped: Promise<void> | undefined

  constructor(options: ResolvedServerOptions) {
    this.#options = options
    this.#openQueries = createOpenQueries(options.clock)
    const { authKey, limits } = options
    this.#connection = authKey === undefined ? { limits } : { limits, authorise: sameAs(authKey) }
  }

  get address(): Address | undefined {
    if (this.#phase === 'new') throw stateError('the server was not started')
    return this.#address
  }

  async start(): Promise<void> {
    if (this.#phase !== 'new') throw stateError(`the server was ${this.#phase} already`)
    this.#phase = 'started'
    const { host, address, path } = this.#options
    try {
      if (address !== undefined) this.#address = await this.#listenTcp(address)
      if (path !== undefined) await this.#listenPath(path)
    } catch (cause) {
      await this.stop()
      throw cause
    }
    this.#unsubscribe.push(host.subscribe((event) => this.#tell(event)))
    this.#unsubscribe.push(
      host.logs.subscribe((line) => {
        for (const serving of this.#servings) {
          if (serving.wantsLines) serving.run({ kind: 'line', line })
        }
      }),
    )
  }

  stats(): SerfRpcServerStats {
    const servings = [...this.#servings]
    return {
      connections: servings.length,
      strangers: servings.filter(({ stranger }) => stranger).length,
      counters: Object.fromEntries(this.#counters),
    }
  }

  renewTls(tls: TlsServerOptions): void {
    const before = this.#options.tls
    if (before === undefined) throw stateError('a server without TLS has no certificate to renew')
    const problems = tlsServerProblems(tls, 'tls')
    if (problems.length === 0 && wantsClients(tls) !== wantsClients(before)) {
      const want = 'what it was, as long as the server runs'
      problems.push({ field: 'tls.clientCert', got: 'another', want })
    }
    if (problems.length > 0) {
      throw new RpcError('ERR_RPC_OPTIONS', describeProblems(problems), { details: { problems } })
    }
    if (this.#secure !== undefined) renewSecureServer(this.#secure.server, tls)
    for (const serving of [...this.#overTls]) serving.end()
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #stop(): Promise<void> {
    this.#phase = 'stopped'
    for (const unsubscribe of this.#unsubscribe.splice(0)) unsubscribe()
    const closed = this.#servers.map(
      (server) =>
        new Promise<void>((resolve) => {
          if (server.listening) server.close(() => resolve())
          else resolve()
        }),
    )
    this.#secure?.end()
    const servings = [...this.#servings]
    for (const serving of servings) serving.end()
    await Promise.all([...closed, ...servings.map((serving) => serving.closed)])
  }

  async #listenTcp({ host, port }: Address): Promise<Address> {
    const name = formatAddress({ host, port })
    const where = { host, port, exclusive: true }
    const server = await this.#listen(this.#createTcp(), where, name)
    const bound = server.address()
    if (bound === null || typeof bound === 'string') return { host, port }
    return { host: bound.address, port: bound.port }
  }

  async #listenPath(path: string): Promise<void> {
    await removeStale(path)
    await this.#listen(this.#createPlain(), { path }, path)
    // Whoever may open it commands the cluster.
    await chmod(path, 0o600)
  }

  #createPlain(): Server {
    const server = createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true })
    server.on('connection', (socket) => this.#accept(socket))
    return server
  }

  #createTcp(): Server {
    const { tls, limits, logger } = this.#options
    if (tls === undefined) return this.#createPlain()
    this.#secure = createSecureServer(tls, {
      limits,
      logger,
      accept: (socket, problem) => this.#acceptSecure(socket, problem),
      count: (what) => this.#count(what),
    })
    return this.#secure.server
  }

  async #listen(server: Server, where: object, name: string): Promise<Server> {
    this.#servers.push(server)
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen(where, () => {
          server.off('error', reject)
          resolve()
        })
      })
    } catch (cause) {
      const why = (cause as NodeJS.ErrnoException).code ?? (cause as Error).message
      const text = `the RPC cannot listen on ${name}: ${why}`
      throw new RpcError('ERR_RPC_LISTEN', text, { cause, details: { address: name } })
    }
    server.on('error', (cause) => {
      this.#count('socketErrors')
      this.#options.logger.warn({ cause }, 'the listening socket of the RPC reported an error')
    })
    return server
  }

  #acceptSecure(socket: Socket, problem: string | undefined): void {
    const refusal = problem === undefined ? {} : { refusal: `Certificate required: ${problem}` }
    const serving = this.#accept(socket, { ...this.#connection, ...refusal })
    if (serving === undefined) return
    this.#overTls.add(serving)
    void serving.closed.then(() => this.#overTls.delete(serving))
  }

  #accept(socket: Socket, connection = this.#connection): Serving | undefined {
    const { limits, host, clock, logger } = this.#options
    const strangers = [...this.#servings].filter(({ stranger }) => stranger)
    // Whoever means it is known within moments: the one that took longest makes room.
    if (strangers.length >= limits.strangersMax) {
      this.#count('strangersEvicted')
      strangers[0]?.end()
    }
    if (this.#servings.size >= limits.connectionsMax || this.#phase !== 'started') {
      this.#count('refused')
      socket.on('error', () => {})
      socket.destroy()
      return undefined
    }
    this.#count('accepted')
    const serving = new Serving(socket, {
      host,
      connection,
      clock,
      logger,
      openQueries: this.#openQueries,
      count: (what) => this.#count(what),
      closed: (closed) => void this.#servings.delete(closed),
    })
    this.#servings.add(serving)
    return serving
  }

  #tell(event: SerfHostEvent): void {
    const listening = [...this.#servings].filter(({ wantsEvents }) => wantsEvents)
    if (listening.length === 0) return
    if (event.kind !== 'query') {
      for (const serving of listening) serving.run({ kind: 'event', event })
      return
    }
    const { respond: _respond, ...rest } = event
    const told = { ...rest, handle: this.#openQueries.add(event) }
    for (const serving of listening) serving.run({ kind: 'event', event: told })
  }

  #count(what: string): void {
    this.#counters.set(what, (this.#counters.get(what) ?? 0) + 1)
  }
}

/** Compares in a time that says nothing about the key, nor about its length. */
function sameAs(authKey: string): (key: string) => boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  const wanted = digest(authKey)
  return (key) => timingSafeEqual(digest(key), wanted)
}

function wantsClients({ ca, clientCert = ca !== undefined }: TlsServerOptions): boolean {
  return clientCert
}

function stateError(text: string): RpcError {
  return new RpcError('ERR_RPC_STATE', text)
}

/** A socket file that a dead process left is in the way of the next; a live one is not ours. */
async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined)
  if (found === undefined || !found.isSocket()) return
  const alive = await new Promise<boolean>((resolve) => {
    const probe = connect({ path })
    probe.once('connect', () => resolve(true))
    probe.once('error', () => resolve(false))
    probe.once('close', () => resolve(false))
    probe.once('connect', () => probe.destroy())
  })
  if (!alive) await unlink(path).catch(() => {})
}
