/** `PacketTransport` over one UDP socket, from which everything is sent and received. */
import { createSocket } from 'node:dgram'
import type { RemoteInfo, Socket } from 'node:dgram'
import { once } from 'node:events'
import { isIP, isIPv4 } from 'node:net'
import type {
  Address,
  PacketHandlers,
  PacketTransport,
  PluginContext,
  TransportFailure,
  TransportStart,
} from '@kith/interface'
import { reasonOf, sendError, UdpError } from './errors.ts'
import { resolveOptions } from './options.ts'
import type { ResolvedUdpOptions, UdpOptions } from './options.ts'

/** Counters since `start`; they never go down. */
export interface UdpStats {
  readonly packetsIn: number
  readonly bytesIn: number
  readonly packetsOut: number
  readonly bytesOut: number
  /** Packets not sent or come back, whatever the reason. */
  readonly sendsFailed: number
  /** Of those, dropped because `sendQueueBytesMax` was reached. */
  readonly sendsDropped: number
  /** Packets lost because a handler threw. */
  readonly handlerErrors: number
  /** Errors of the socket itself. */
  readonly socketErrors: number
  /** What the system really gave; 0 before `start`. */
  readonly receiveBufferBytes: number
}

export interface UdpTransport extends PacketTransport {
  stats(): UdpStats
}

/**
 * A packet transport over UDP. Throws `ERR_UDP_OPTIONS` for bad options; opens nothing before
 * `start`. Refusals that the network reports (ICMP) do not reach Node.js on an unconnected socket,
 * so sending to where nobody listens is silent.
 */
export function udpTransport(options: UdpOptions = {}): (context: PluginContext) => UdpTransport {
  const resolved = resolveOptions(options)
  return (context) => new UdpPackets(resolved, context)
}

const mappedPrefix = '::ffff:'

class UdpPackets implements UdpTransport {
  readonly packetBytesMax: number
  readonly #options: ResolvedUdpOptions
  readonly #context: PluginContext
  readonly #sixfold: boolean
  readonly #stats: { -readonly [Counter in keyof UdpStats]: number } = {
    packetsIn: 0,
    bytesIn: 0,
    packetsOut: 0,
    bytesOut: 0,
    sendsFailed: 0,
    sendsDropped: 0,
    handlerErrors: 0,
    socketErrors: 0,
    receiveBufferBytes: 0,
  }
  #state: 'new' | 'started' | 'stopped' = 'new'
  #socket: Socket | undefined
  #handlers: PacketHandlers | undefined
  #closed: Promise<void> | undefined

  constructor(options: ResolvedUdpOptions, context: PluginContext) {
    this.#options = options
    this.#context = context
    this.#sixfold = isIP(options.host) === 6
    this.packetBytesMax = options.packetBytesMax
  }

  async start(handlers: PacketHandlers, options: TransportStart = {}): Promise<Address> {
    const { host } = this.#options
    const port = this.#options.port === 0 ? (options.port ?? 0) : this.#options.port
    if (this.#state !== 'new') throw stateError('misuse', 'start works once')
    this.#state = 'started'
    options.signal?.throwIfAborted()
    const socket = this.#open()
    this.#socket = socket
    this.#handlers = handlers
    const abort = (): void => void this.stop()
    options.signal?.addEventListener('abort', abort, { once: true })
    try {
      // Binding to a literal happens at once, so whoever waits for it has to wait first.
      const bound = Promise.race([once(socket, 'listening'), this.#whenClosed(socket)])
      socket.bind({ address: host, port, exclusive: true })
      await bound
      options.signal?.throwIfAborted()
      if (this.#stopping()) throw stateError('stopped', 'stopped while starting')
      socket.on('error', (cause) => this.#socketFailed(cause))
      this.#growReceiveBuffer(socket)
      const { address, port: real } = socket.address()
      return { host: address, port: real }
    } catch (cause) {
      await this.stop()
      options.signal?.throwIfAborted()
      if (cause instanceof UdpError) throw cause
      const details = { reason: reasonOf(cause), address: { host, port } }
      throw new UdpError('ERR_UDP_BIND', `cannot listen: ${String(cause)}`, details, cause)
    } finally {
      options.signal?.removeEventListener('abort', abort)
    }
  }

  send(to: Address, bytes: Uint8Array): void {
    const socket = this.#socket
    if (socket === undefined || this.#state !== 'started') {
      this.#failed(to, 'stopped')
      return
    }
    const host = this.#reachable(to)
    if (host === undefined) {
      this.#failed(to, 'address')
      return
    }
    if (bytes.length > this.packetBytesMax) {
      this.#failed(to, 'tooLarge')
      return
    }
    try {
      if (socket.getSendQueueSize() + bytes.length > this.#options.sendQueueBytesMax) {
        this.#stats.sendsDropped += 1
        this.#failed(to, 'limit')
        return
      }
      socket.send(bytes, to.port, host, (cause) => {
        if (cause !== null && cause !== undefined) this.#failed(to, reasonOf(cause), cause)
      })
      this.#stats.packetsOut += 1
      this.#stats.bytesOut += bytes.length
    } catch (cause) {
      this.#failed(to, reasonOf(cause), cause)
    }
  }

  async stop(): Promise<void> {
    this.#state = 'stopped'
    const socket = this.#socket
    if (socket === undefined) return
    if (this.#closed === undefined) {
      this.#closed = this.#whenClosed(socket)
      // Without its listener nothing that is queued already reaches a handler.
      socket.removeAllListeners('message')
      try {
        socket.close()
      } catch {
        return
      }
    }
    await this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  stats(): UdpStats {
    return { ...this.#stats }
  }

  #open(): Socket {
    const socket = createSocket({
      type: this.#sixfold ? 'udp6' : 'udp4',
      // Only literals come here, so there is nothing to look up, now or later.
      lookup: (host, _, done) => done(null, host, isIPv4(host) ? 4 : 6),
    })
    socket.on('message', (bytes, from) => this.#received(bytes, from))
    return socket
  }

  #whenClosed(socket: Socket): Promise<void> {
    return new Promise((resolve) => socket.once('close', () => resolve()))
  }

  /** In a method, so that the compiler does not remember the state from before an await. */
  #stopping(): boolean {
    return this.#state === 'stopped'
  }

  #growReceiveBuffer(socket: Socket): void {
    try {
      socket.setRecvBufferSize(this.#options.receiveBufferBytes)
    } catch (cause) {
      this.#context.logger.debug({ cause }, 'the receive buffer stays at its default size')
    }
    this.#stats.receiveBufferBytes = socket.getRecvBufferSize()
  }

  #received(bytes: Buffer, from: RemoteInfo): void {
    const { address } = from
    const mapped = address.startsWith(mappedPrefix) && isIPv4(address.slice(mappedPrefix.length))
    const host = mapped ? address.slice(mappedPrefix.length) : address
    this.#stats.packetsIn += 1
    this.#stats.bytesIn += bytes.length
    // A plain Uint8Array: `slice` of a Buffer would not copy.
    const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#guard(() => this.#handlers?.packet({ host, port: from.port }, plain))
  }

  /** The host as this socket has to write it; undefined where it cannot be sent to. */
  #reachable(to: Address): string | undefined {
    if (!Number.isInteger(to.port) || to.port < 1 || to.port > 65_535) return undefined
    const family = isIP(to.host)
    if (family === 6) return this.#sixfold ? to.host : undefined
    if (family !== 4) return undefined
    return this.#sixfold ? mappedPrefix + to.host : to.host
  }

  /** Later, because whoever sends is in the middle of something. */
  #failed(to: Address, reason: TransportFailure, cause?: unknown): void {
    this.#stats.sendsFailed += 1
    const error = sendError(reason, to, cause)
    queueMicrotask(() => this.#guard(() => this.#handlers?.sendFailed?.(to, error)))
  }

  #socketFailed(cause: Error): void {
    this.#stats.socketErrors += 1
    this.#context.logger.warn({ cause }, 'the UDP socket reported an error')
  }

  #guard(handler: () => void): void {
    try {
      handler()
    } catch (cause) {
      this.#stats.handlerErrors += 1
      this.#context.logger.error({ cause }, 'a packet handler threw')
    }
  }
}

function stateError(reason: TransportFailure, message: string): UdpError {
  return new UdpError('ERR_UDP_STATE', message, { reason })
}
