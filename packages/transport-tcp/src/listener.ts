/** The listening half: who may connect, how many, and how long they may stay silent. */
import { createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import type { Server as TlsServer, TLSSocket } from 'node:tls'
import type { Address, CancelTimer, PluginContext } from '@kith/interface'
import { contextOptions } from './options.ts'
import type { ResolvedTcpOptions } from './options.ts'

export interface ListenerStats {
  accepted: number
  /** Reset because of `connectionsMax` or `connectionsPerAddressMax`. */
  connectionsRefused: number
  /** Destroyed because nothing came within `firstByteTimeoutMs`. */
  connectionsSilent: number
  /** TLS handshakes that failed, those cut off for their silence included. */
  handshakesFailed: number
  /** Errors of the listening socket. */
  socketErrors: number
}

/** One connection somebody opened to us, from its first moment. */
interface Slot {
  readonly host: string
  socket: Socket
  stopTimer: CancelTimer
}

/**
 * A socket reads ahead one piece and no more. With several it would hand out a copy of them all and
 * leave the pieces to the collector, where nobody can free them.
 */
export const highWaterMark = 1

const mappedPrefix = '::ffff:'

/** IPv4 as IPv4, also where it came in over an IPv6 socket. */
export function plainHost(host: string): string {
  return host.startsWith(mappedPrefix) && host.includes('.')
    ? host.slice(mappedPrefix.length)
    : host
}

export class Listener {
  readonly stats: ListenerStats = {
    accepted: 0,
    connectionsRefused: 0,
    connectionsSilent: 0,
    handshakesFailed: 0,
    socketErrors: 0,
  }
  readonly #options: ResolvedTcpOptions
  readonly #context: PluginContext
  readonly #deliver: (socket: Socket, remote: Address) => void
  readonly #server: Server
  readonly #tls: TlsServer | undefined
  readonly #slots = new Map<string, Slot>()
  readonly #perHost = new Map<string, number>()

  constructor(
    options: ResolvedTcpOptions,
    context: PluginContext,
    deliver: (socket: Socket, remote: Address) => void,
  ) {
    this.#options = options
    this.#context = context
    this.#deliver = deliver
    const common = { allowHalfOpen: true, noDelay: true, keepAlive: true, highWaterMark }
    this.#server = createServer(common, (socket) => this.#connected(socket))
    if (options.tls === undefined) return
    const { requestCert } = options.tls
    const secure = { ...contextOptions(options.tls), requestCert, rejectUnauthorized: requestCert }
    const { createServer: createTlsServer } = process.getBuiltinModule('node:tls')
    this.#tls = createTlsServer({ ...secure, allowHalfOpen: true, highWaterMark }, (socket) =>
      this.#secured(socket),
    )
    this.#tls.on('tlsClientError', (_, socket) => {
      this.stats.handshakesFailed += 1
      socket.destroy()
    })
  }

  get connections(): number {
    return this.#slots.size
  }

  /** Resolves with the bound address; rejects with the system's error, or undefined when closed. */
  listen(port: number): Promise<Address | undefined> {
    const { host } = this.#options
    const server = this.#server
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      server.once('close', () => resolve(undefined))
      server.listen({ host, port, exclusive: true }, () => {
        server.off('error', reject)
        server.on('error', (cause) => this.#failed(cause))
        const bound = server.address()
        if (bound === null || typeof bound === 'string') resolve(undefined)
        else resolve({ host: bound.address, port: bound.port })
      })
    })
  }

  /** Closes the listening socket and everything that came in through it. */
  close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      if (this.#server.listening) this.#server.once('close', () => resolve())
      else resolve()
    })
    this.#server.close()
    for (const slot of this.#slots.values()) {
      slot.stopTimer()
      slot.socket.destroy()
    }
    return closed
  }

  #connected(socket: Socket): void {
    // Whatever happens before somebody listens must not end the process.
    socket.on('error', () => {})
    const host = plainHost(socket.remoteAddress ?? '')
    const open = this.#perHost.get(host) ?? 0
    const full = this.#slots.size >= this.#options.connectionsMax
    if (host === '' || full || open >= this.#options.connectionsPerAddressMax) {
      if (host !== '') this.stats.connectionsRefused += 1
      socket.resetAndDestroy()
      return
    }
    this.stats.accepted += 1
    this.#perHost.set(host, open + 1)
    const key = slotKey(socket)
    const slot: Slot = { host, socket, stopTimer: () => {} }
    this.#slots.set(key, slot)
    socket.once('close', () => this.#release(key, slot))
    this.#expectBytes(slot)
    if (this.#tls === undefined) this.#open(socket, slot)
    else this.#tls.emit('connection', socket)
  }

  #secured(socket: TLSSocket): void {
    const slot = this.#slots.get(slotKey(socket))
    if (slot === undefined) {
      socket.destroy()
      return
    }
    slot.socket = socket
    slot.stopTimer()
    this.#expectBytes(slot)
    this.#open(socket, slot)
  }

  #open(socket: Socket, slot: Slot): void {
    const spoke = (): void => slot.stopTimer()
    socket.once('readable', spoke)
    socket.once('close', spoke)
    this.#deliver(socket, { host: slot.host, port: socket.remotePort ?? 0 })
  }

  #expectBytes(slot: Slot): void {
    slot.stopTimer = this.#context.clock.after(this.#options.firstByteTimeoutMs, () => {
      // Where we spoke first, it is on them to answer in their own time.
      if (slot.socket.bytesWritten > 0 && this.#tls === undefined) return
      this.stats.connectionsSilent += 1
      slot.socket.destroy()
    })
  }

  #release(key: string, slot: Slot): void {
    slot.stopTimer()
    this.#slots.delete(key)
    const open = (this.#perHost.get(slot.host) ?? 1) - 1
    if (open > 0) this.#perHost.set(slot.host, open)
    else this.#perHost.delete(slot.host)
  }

  #failed(cause: Error): void {
    this.stats.socketErrors += 1
    this.#context.logger.warn({ cause }, 'the listening socket reported an error')
  }
}

/** Unique among open connections, and the same for a socket and the TLS socket around it. */
function slotKey(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort} ${socket.localAddress}`
}
