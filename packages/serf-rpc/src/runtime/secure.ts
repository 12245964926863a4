/** The listening half over TLS: handshakes are bounded as strangers are. */
import { constants } from 'node:crypto'
import type { Socket } from 'node:net'
import type { Server, TLSSocket } from 'node:tls'
import type { Logger } from '@kith/interface'
import {
  certificateProblem,
  tlsContext,
  tlsFailure,
  type TlsServerOptions,
} from '@kith/interface/node'
import type { RpcServerLimits } from '../limits.ts'

export interface SecureContext {
  readonly limits: RpcServerLimits
  readonly logger: Logger
  /** Through the handshake; with why its certificate is not accepted, where it is not. */
  accept(socket: TLSSocket, refusal: string | undefined): void
  count(what: string): void
}

/** Sessions are not resumed: one that began before a renewal would go round it. */
const noTickets = { secureOptions: constants.SSL_OP_NO_TICKET }
const linesPerSecond = 10

export interface SecureServer {
  readonly server: Server
  /** Ends the handshakes under way. */
  end(): void
}

export function createSecureServer(tls: TlsServerOptions, context: SecureContext): SecureServer {
  const { limits, logger, accept, count } = context
  const requestCert = tls.clientCert ?? tls.ca !== undefined
  const { createServer } = process.getBuiltinModule('node:tls')
  const server = createServer({
    ...tlsContext(tls),
    ...noTickets,
    requestCert,
    // Who is refused is told so in the words of the protocol, not by a connection that breaks.
    rejectUnauthorized: false,
    handshakeTimeout: limits.handshakeMs,
  })
  const mayTell = fewLines()
  const greeting = new Map<string, Socket>()
  server.on('connection', (socket: Socket) => {
    const [longest] = greeting.values()
    if (longest !== undefined && greeting.size >= limits.strangersMax) {
      count('strangersEvicted')
      longest.destroy()
    }
    const key = keyOf(socket)
    greeting.set(key, socket)
    socket.once('close', () => {
      if (greeting.get(key) === socket) greeting.delete(key)
    })
  })
  server.on('secureConnection', (socket) => {
    greeting.delete(keyOf(socket))
    const refusal = requestCert ? certificateProblem(socket) : undefined
    if (refusal !== undefined && mayTell()) {
      const from = socket.remoteAddress ?? null
      logger.warn({ from, reason: refusal }, 'a client certificate was refused by the RPC')
    }
    // Not before: whoever hung up amid the handshake would be waited for.
    socket.allowHalfOpen = true
    socket.setNoDelay(true)
    socket.setKeepAlive(true)
    accept(socket, refusal)
  })
  server.on('tlsClientError', (cause: NodeJS.ErrnoException, socket) => {
    const from = socket.remoteAddress ?? null
    // One that took too long is open still.
    socket.destroy()
    // Checks of ports connect and hang up.
    if (cause.code === 'ECONNRESET') return
    count('handshakesFailed')
    if (!mayTell()) return
    const reason = tlsFailure(cause) ?? cause.message
    logger.warn({ from, reason }, 'a TLS handshake with the RPC failed')
  })
  const end = (): void => {
    for (const socket of [...greeting.values()]) socket.destroy()
  }
  return { server, end }
}

/** New connections get the certificate and are held to the authority of `tls`. */
export function renewSecureServer(server: Server, tls: TlsServerOptions): void {
  server.setSecureContext({ ...tlsContext(tls), ...noTickets })
}

/** Unique among open connections, and the same for a socket and the TLS socket around it. */
function keyOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`
}

/** Whether one more line may be written in this second. */
function fewLines(): () => boolean {
  let second = 0
  let told = 0
  return () => {
    const now = Math.floor(performance.now() / 1_000)
    told = now === second ? told + 1 : 1
    second = now
    return told <= linesPerSecond
  }
}
