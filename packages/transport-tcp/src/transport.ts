/** `StreamTransport` over TCP, with TLS as an option. */
import { connect as connectTcp, isIP } from 'node:net'
import type { Socket } from 'node:net'
import type {
  Address,
  ByteStream,
  ConnectOptions,
  PluginContext,
  StreamHandlers,
  StreamTransport,
  TransportFailure,
  TransportStart,
} from '@kith/interface'
import { connectError, reasonOf, stateError, TcpError } from './errors.ts'
import { highWaterMark, Listener } from './listener.ts'
import { contextOptions, resolveOptions } from './options.ts'
import type { ResolvedTcpOptions, TcpOptions } from './options.ts'
import { type StreamBytes, TcpStream } from './stream.ts'

/** Counters since `start`; all but the first never go down. */
export interface TcpStats {
  /** Connections open now that others opened. */
  readonly connections: number
  readonly accepted: number
  /** Read, and given to the system to be sent; with TLS those inside of it. */
  readonly bytesIn: number
  readonly bytesOut: number
  readonly connectionsRefused: number
  readonly connectionsSilent: number
  readonly handshakesFailed: number
  readonly connected: number
  readonly connectsFailed: number
  readonly handlerErrors: number
  readonly socketErrors: number
}

export interface TcpTransport extends StreamTransport {
  stats(): TcpStats
}

/**
 * A stream transport over TCP. Throws `ERR_TCP_OPTIONS` for bad options, keys that do not fit their
 * certificate included; opens nothing before `start`. `connect` takes names as well as literals.
 */
export function tcpTransport(options: TcpOptions = {}): (context: PluginContext) => TcpTransport {
  const resolved = resolveOptions(options)
  return (context) => new TcpStreams(resolved, context)
}

class TcpStreams implements TcpTransport {
  readonly #options: ResolvedTcpOptions
  readonly #context: PluginContext
  readonly #streams = new Set<TcpStream>()
  readonly #attempts = new Set<(reason: TransportFailure) => void>()
  #state: 'new' | 'started' | 'stopped' = 'new'
  #listener: Listener | undefined
  #handlers: StreamHandlers | undefined
  readonly #bytes: StreamBytes = { bytesIn: 0, bytesOut: 0 }
  #connected = 0
  #connectsFailed = 0
  #handlerErrors = 0

  constructor(options: ResolvedTcpOptions, context: PluginContext) {
    this.#options = options
    this.#context = context
  }

  async start(handlers: StreamHandlers, options: TransportStart = {}): Promise<Address> {
    if (this.#state !== 'new') throw stateError('misuse', 'start works once')
    this.#state = 'started'
    const { signal } = options
    signal?.throwIfAborted()
    const { host } = this.#options
    const port = this.#options.port === 0 ? (options.port ?? 0) : this.#options.port
    this.#handlers = handlers
    const listener = new Listener(this.#options, this.#context, (socket, remote) =>
      this.#accept(socket, remote),
    )
    this.#listener = listener
    const abort = (): void => void this.stop()
    signal?.addEventListener('abort', abort, { once: true })
    try {
      const bound = await listener.listen(port)
      signal?.throwIfAborted()
      if (bound === undefined || this.#stopping()) {
        throw stateError('stopped', 'stopped while starting')
      }
      return bound
    } catch (cause) {
      await this.stop()
      signal?.throwIfAborted()
      if (cause instanceof TcpError) throw cause
      const details = { reason: reasonOf(cause), address: { host, port } }
      throw new TcpError('ERR_TCP_BIND', `cannot listen: ${String(cause)}`, details, cause)
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  async connect(to: Address, options: ConnectOptions = {}): Promise<ByteStream> {
    const { signal, timeoutMs = 10_000 } = options
    if (this.#state !== 'started') throw connectError('stopped', to)
    if (to.host === '' || !Number.isInteger(to.port) || to.port < 1 || to.port > 65_535) {
      throw connectError('address', to)
    }
    if (signal?.aborted === true) throw connectError('aborted', to, signal.reason)
    const socket = this.#dial(to)
    try {
      await this.#established(socket, to, timeoutMs, signal)
      // Stopped in the very turn in which the connection came about.
      if (this.#stopping()) throw connectError('stopped', to)
    } catch (cause) {
      this.#connectsFailed += 1
      // Errors may still come from a socket on its way out; nobody has to hear of them.
      socket.on('error', () => {})
      socket.destroy()
      throw cause
    }
    this.#connected += 1
    return this.#keep(socket, to)
  }

  async stop(): Promise<void> {
    this.#state = 'stopped'
    for (const fail of [...this.#attempts]) fail('stopped')
    for (const stream of [...this.#streams]) stream.destroy()
    this.#streams.clear()
    await this.#listener?.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  stats(): TcpStats {
    const listener = this.#listener
    const none = { accepted: 0, connectionsRefused: 0, connectionsSilent: 0, handshakesFailed: 0 }
    return {
      connections: listener?.connections ?? 0,
      ...(listener?.stats ?? { ...none, socketErrors: 0 }),
      ...this.#bytes,
      connected: this.#connected,
      connectsFailed: this.#connectsFailed,
      handlerErrors: this.#handlerErrors,
    }
  }

  /** In a method, so that the compiler does not remember the state from before an await. */
  #stopping(): boolean {
    return this.#state === 'stopped'
  }

  #dial(to: Address): Socket {
    const { tls } = this.#options
    const common = { host: to.host, port: to.port, allowHalfOpen: true, highWaterMark }
    if (tls === undefined) return connectTcp({ ...common, noDelay: true, keepAlive: true })
    // A literal is no server name; its certificate is checked against the address instead.
    const name = tls.servername ?? (isIP(to.host) === 0 ? to.host : undefined)
    const servername = name === undefined ? {} : { servername: name }
    const { connect: connectTls } = process.getBuiltinModule('node:tls')
    return connectTls({ ...common, ...contextOptions(tls), ...servername })
  }

  #established(
    socket: Socket,
    to: Address,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const ready = this.#options.tls === undefined ? 'connect' : 'secureConnect'
    return new Promise((resolve, reject) => {
      const settle = (cause?: Error): void => {
        stopTimer()
        signal?.removeEventListener('abort', onAbort)
        this.#attempts.delete(fail)
        socket.off('error', onError).off('close', onClose).off(ready, onReady)
        if (cause === undefined) resolve()
        else reject(cause)
      }
      const fail = (reason: TransportFailure, cause?: unknown): void =>
        settle(connectError(reason, to, cause))
      const onAbort = (): void => fail('aborted', signal?.reason)
      const onError = (cause: Error): void => fail(reasonOf(cause), cause)
      const onClose = (): void => fail('reset')
      const onReady = (): void => settle()
      const stopTimer = this.#context.clock.after(timeoutMs, () => fail('timeout'))
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#attempts.add(fail)
      socket.on('error', onError).on('close', onClose).on(ready, onReady)
    })
  }

  #accept(socket: Socket, remote: Address): void {
    if (this.#state !== 'started') {
      socket.destroy()
      return
    }
    const stream = this.#keep(socket, remote)
    try {
      this.#handlers?.stream(stream)
    } catch (cause) {
      this.#handlerErrors += 1
      this.#context.logger.error({ cause }, 'a stream handler threw')
      stream.destroy()
    }
  }

  #keep(socket: Socket, remote: Address): TcpStream {
    const stream = new TcpStream(socket, remote, this.#options.idleTimeoutMs, this.#bytes)
    this.#streams.add(stream)
    socket.once('close', () => this.#streams.delete(stream))
    return stream
  }
}
