/** The sockets: UDP and TCP on one port, each query answered on its own, everything bounded. */
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, isIPv6, type Server, type Socket } from 'node:net'
import type { Address } from '@kith/interface'
import { answer } from './answer.ts'
import { Answers } from './answers.ts'
import { DnsError } from './errors.ts'
import { answerBytesMax, decodeQuery, encodeReply, type Query, type Reply } from './message.ts'
import { type DnsServerOptions, resolveOptions, type ResolvedDnsOptions } from './options.ts'
import type { DnsStats } from './stats.ts'

export interface DnsServer extends AsyncDisposable {
  /**
   * Listens on UDP and TCP and resolves with the address. Rejects with `ERR_DNS_LISTEN` where it
   * cannot be had, with `ERR_DNS_STATE` on a second call.
   */
  start(): Promise<Address>
  /** Closes both sockets and every connection. Idempotent. */
  stop(): Promise<void>
  stats(): DnsStats
}

/** Throws `ERR_DNS_OPTIONS` that names every field at fault. Nothing listens before `start`. */
export function createDnsServer(options: DnsServerOptions): DnsServer {
  return new RunningDnsServer(resolveOptions(options))
}

const failed: Reply = {
  code: 2,
  authoritative: false,
  answers: [],
  authorities: [],
  additionals: [],
}
const tcpBytesMax = 65_535
/** A free port of TCP may be taken on UDP: how often another one is tried. */
const portsTriedMax = 16

class RunningDnsServer implements DnsServer {
  readonly #options: ResolvedDnsOptions
  readonly #connections = new Set<Socket>()
  readonly #counts = {
    udpQueries: 0,
    tcpQueries: 0,
    malformed: 0,
    overloaded: 0,
    truncated: 0,
    failures: 0,
    waiting: 0,
  }
  readonly #answers = new Answers()
  #udp: UdpSocket | undefined
  #tcp: Server | undefined
  #state: 'new' | 'started' | 'stopped' = 'new'

  constructor(options: ResolvedDnsOptions) {
    this.#options = options
  }

  async start(): Promise<Address> {
    if (this.#state !== 'new') {
      throw new DnsError('ERR_DNS_STATE', 'a DNS server starts once; make another one')
    }
    this.#state = 'started'
    const { host, port } = this.#options
    try {
      for (let tried = 1; ; tried += 1) {
        const bound = await this.#listen(host, port)
        if (bound !== undefined) return { host, port: bound }
        if (port !== 0 || tried >= portsTriedMax) throw new Error('the port is taken on UDP')
      }
    } catch (cause) {
      await this.#close()
      const text = `cannot listen on ${host}:${port}: ${(cause as Error).message}`
      throw new DnsError('ERR_DNS_LISTEN', text, { cause })
    }
  }

  async stop(): Promise<void> {
    this.#state = 'stopped'
    await this.#close()
  }

  stats(): DnsStats {
    const answers = this.#answers.read()
    return { ...this.#counts, answers, connections: this.#connections.size }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  /** The port, the same on both; undefined where it is taken on UDP. */
  async #listen(host: string, port: number): Promise<number | undefined> {
    const tcp = createServer((socket) => this.#connected(socket))
    this.#tcp = tcp
    tcp.listen({ host, port })
    await once(tcp, 'listening')
    const bound = (tcp.address() as { port: number }).port
    const udp = createSocket({ type: isIPv6(host) ? 'udp6' : 'udp4' })
    udp.bind({ address: host, port: bound })
    try {
      await once(udp, 'listening')
    } catch (cause) {
      if ((cause as { code?: string }).code !== 'EADDRINUSE') throw cause
      await closed(tcp)
      return undefined
    }
    this.#udp = udp
    const failedSocket = (cause: Error): void => {
      this.#options.logger.warn({ cause }, 'a socket of the DNS server failed')
    }
    udp.on('error', failedSocket)
    tcp.on('error', failedSocket)
    udp.on('message', (bytes, from) => this.#packet(bytes, from))
    return bound
  }

  #packet(bytes: Buffer, from: RemoteInfo): void {
    const query = this.#read(bytes)
    if (query === undefined) return
    this.#counts.udpQueries += 1
    const { udpBytesMax } = this.#options
    const bytesMax = answerBytesMax(query, udpBytesMax)
    this.#reply(query, bytesMax, (encoded) => {
      // Whoever is not there any more misses nothing.
      this.#udp?.send(encoded, from.port, from.address, () => {})
    })
  }

  #read(bytes: Buffer): Query | undefined {
    const query = decodeQuery(bytes, this.#options.queryBytesMax)
    if (query === undefined) this.#counts.malformed += 1
    return query
  }

  /** Calls `send` once, at once where the registry answers at once. */
  #reply(query: Query, bytesMax: number, send: (bytes: Buffer) => void): void {
    const finish = (reply: Reply): void => {
      const { udpBytesMax, recordBytes } = this.#options
      const encoded = encodeReply(query, reply, bytesMax, udpBytesMax, recordBytes)
      const { bytes, truncated } = encoded
      if (truncated) this.#counts.truncated += 1
      this.#answers.count(query, reply)
      send(bytes)
    }
    const fail = (cause: unknown): void => {
      this.#counts.failures += 1
      this.#options.logger.warn({ cause, name: query.name }, 'a DNS query could not be answered')
      finish(failed)
    }
    if (this.#counts.waiting >= this.#options.waitingMax) {
      this.#counts.overloaded += 1
      return
    }
    try {
      const reply = answer(query, this.#options)
      if (!(reply instanceof Promise)) return finish(reply)
      this.#counts.waiting += 1
      const done = (): void => void (this.#counts.waiting -= 1)
      void reply.finally(done).then(finish).catch(fail)
    } catch (cause) {
      fail(cause)
    }
  }

  #connected(socket: Socket): void {
    const { connectionsMax, idleMs } = this.#options
    if (this.#connections.size >= connectionsMax || this.#state !== 'started') {
      this.#counts.overloaded += 1
      socket.destroy()
      return
    }
    this.#connections.add(socket)
    socket.setNoDelay(true)
    socket.setTimeout(idleMs, () => socket.destroy())
    socket.on('close', () => this.#connections.delete(socket))
    // What a broken connection has to say was said: it closes.
    socket.on('error', () => {})
    let held: Buffer = Buffer.alloc(0)
    socket.on('data', (chunk: Buffer) => {
      held = this.#messages(socket, held.length === 0 ? chunk : Buffer.concat([held, chunk]))
    })
  }

  /** Answers the whole messages among `bytes`; what is left is the beginning of the next. */
  #messages(socket: Socket, bytes: Buffer): Buffer {
    let at = 0
    while (bytes.length - at >= 2) {
      const length = bytes.readUInt16BE(at)
      const query = bytes.subarray(at + 2, at + 2 + length)
      if (length > this.#options.queryBytesMax) {
        this.#counts.malformed += 1
        socket.destroy()
        return Buffer.alloc(0)
      }
      if (query.length < length) break
      at += 2 + length
      this.#message(socket, query)
    }
    return at === bytes.length ? Buffer.alloc(0) : bytes.subarray(at)
  }

  #message(socket: Socket, bytes: Buffer): void {
    const query = this.#read(bytes)
    // On a stream there is no telling where the next message begins.
    if (query === undefined) return void socket.destroy()
    this.#counts.tcpQueries += 1
    this.#reply(query, tcpBytesMax, (encoded) => {
      if (socket.destroyed) return
      const length = Buffer.alloc(2)
      length.writeUInt16BE(encoded.length)
      socket.cork()
      socket.write(length)
      // Whoever asks and does not read is let go.
      if (!socket.write(encoded) && socket.writableLength > 16 * tcpBytesMax) socket.destroy()
      socket.uncork()
    })
  }

  async #close(): Promise<void> {
    const [udp, tcp] = [this.#udp, this.#tcp]
    this.#udp = undefined
    this.#tcp = undefined
    for (const socket of this.#connections) socket.destroy()
    const udpClosed = udp && new Promise<void>((resolve) => udp.close(() => resolve()))
    await Promise.all([udpClosed, tcp?.listening === true ? closed(tcp) : undefined])
  }
}

async function closed(server: Server): Promise<void> {
  await new Promise<void>((resolve) => server.close(() => resolve()))
}
