/**
 * HTTPS, and who may connect. A certificate that is not accepted does not end the handshake: what
 * it gets is an answer that says why, to the first request, whatever that asks for.
 */
import { constants } from 'node:crypto'
import type { Server as HttpServer, ServerResponse } from 'node:http'
import { createServer, type Server as HttpsServer } from 'node:https'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { describeProblems, type Logger, type OptionProblem } from '@kith/interface'
import {
  certificateProblem,
  tlsContext,
  tlsFailure,
  type TlsServerOptions,
  tlsServerProblems,
} from '@kith/interface/node'
import type { FastifyServerFactory } from 'fastify'
import { FewLines } from './audit.ts'
import { ServerError } from './errors.ts'
import type { ServerLimits } from './options.ts'

/** Sessions are not resumed: one that began before a renewal would go round it. */
const noTickets = { secureOptions: constants.SSL_OP_NO_TICKET }

/** What it counts. */
export interface TlsCounters {
  certificatesRefused: number
  handshakesFailed: number
}

export class TlsDoor {
  readonly #counters: TlsCounters
  readonly #logger: Logger
  readonly #lines = new FewLines()
  readonly #servers: HttpsServer[] = []
  /** Those amid a handshake are not among the connections that the server knows. */
  readonly #sockets = new Set<Socket>()
  readonly #wantsClients: boolean
  #options: TlsServerOptions
  /** Those who came since the certificates are those of now. */
  #current = new WeakSet<Socket>()

  constructor(options: TlsServerOptions, counters: TlsCounters, logger: Logger) {
    this.#options = options
    this.#wantsClients = wantsClients(options)
    this.#counters = counters
    this.#logger = logger
  }

  /** For Fastify: a server with these limits, which it does not set on one that it did not make. */
  factory(limits: ServerLimits): FastifyServerFactory<HttpServer> {
    return (handler) => {
      const server = createServer(
        {
          ...tlsContext(this.#options),
          ...noTickets,
          requestCert: this.#wantsClients,
          rejectUnauthorized: false,
          handshakeTimeout: limits.headersTimeoutMs,
          headersTimeout: Math.min(limits.headersTimeoutMs, limits.requestTimeoutMs),
          requestTimeout: limits.requestTimeoutMs,
          keepAliveTimeout: keepAliveTimeoutMs,
        },
        handler,
      )
      server.on('connection', (socket: Socket) => {
        this.#sockets.add(socket)
        socket.once('close', () => this.#sockets.delete(socket))
      })
      server.on('secureConnection', (socket) => this.#current.add(socket))
      server.on('tlsClientError', (cause, socket) => this.#failed(cause, socket))
      this.#servers.push(server)
      // The same in all that Fastify touches: it knows the type of one only.
      return server as unknown as HttpServer
    }
  }

  /** Throws where whoever is connected may ask for nothing. */
  check(socket: Socket): void {
    if (!this.#current.has(socket)) {
      const text = 'the certificates of this member have changed: connect again'
      throw new ServerError('ERR_SERVER_CERTIFICATE', text)
    }
    if (!this.#wantsClients) return
    const problem =
      socket instanceof TLSSocket ? certificateProblem(socket) : 'this is a connection without TLS'
    if (problem === undefined) return
    this.#counters.certificatesRefused += 1
    if (this.#lines.mayTell()) {
      const from = socket.remoteAddress ?? null
      this.#logger.warn({ from, reason: problem }, 'a client certificate was refused')
    }
    const text = `this member wants a certificate that its authority signed; ${problem}`
    throw new ServerError('ERR_SERVER_CERTIFICATE', text)
  }

  /**
   * From here on new connections get and are held to the new ones. Of those that there are nobody
   * asks for anything any more: the idle ones end now, each other one with its answer.
   */
  renew(next: TlsServerOptions, open: ReadonlySet<ServerResponse>): void {
    const problems: OptionProblem[] = tlsServerProblems(next, 'tls')
    if (problems.length === 0 && wantsClients(next) !== this.#wantsClients) {
      const got = 'another'
      problems.push({
        field: 'tls.clientCert',
        got,
        want: 'what it was, as long as the server runs',
      })
    }
    if (problems.length > 0) {
      const text = describeProblems(problems)
      throw new ServerError('ERR_SERVER_OPTIONS', text, { details: { problems } })
    }
    this.#options = next
    this.#current = new WeakSet()
    for (const response of open) {
      response.shouldKeepAlive = false
      // Where the head is out already, the connection ends behind the body.
      const { socket } = response
      response.once('finish', () => socket?.destroySoon())
    }
    for (const server of this.#servers) {
      server.setSecureContext({ ...tlsContext(next), ...noTickets })
      server.closeIdleConnections()
    }
  }

  /** Ends every connection at once. */
  end(): void {
    for (const socket of [...this.#sockets]) socket.destroy()
  }

  #failed(cause: Error, socket: TLSSocket): void {
    const { code } = cause as NodeJS.ErrnoException
    const from = socket.remoteAddress ?? null
    if (code === 'ECONNRESET') {
      // So do checks of ports, too; whoever does not trust us says so on its own side.
      this.#logger.debug({ from }, 'somebody hung up before the end of a TLS handshake')
      return
    }
    this.#counters.handshakesFailed += 1
    if (!this.#lines.mayTell()) return
    const plain = 'plain HTTP was spoken: the address has to begin with https'
    const known = code === 'ERR_SSL_HTTP_REQUEST' ? plain : tlsFailure(cause)
    this.#logger.warn({ from, reason: known ?? cause.message }, 'a TLS handshake failed')
  }
}

/** As Fastify has it. */
const keepAliveTimeoutMs = 72_000

function wantsClients({ ca, clientCert = ca !== undefined }: TlsServerOptions): boolean {
  return clientCert
}
