/**
 * The HTTP interface of one member. It listens before the other parts run, so that its address can
 * be told to the cluster, and answers 503 until they are bound.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { type Address, invariant, showValue, type Unsubscribe } from '@kith/interface'
import type { TlsServerOptions } from '@kith/interface/node'
import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { accessOf, Gate } from './access.ts'
import { Audit } from './audit.ts'
import { createBodyBudget } from './body.ts'
import { createCounters, notReady, type RouteContext, type ServerCounters } from './context.ts'
import { ServerError } from './errors.ts'
import { resolveServerOptions, type ResolvedServerOptions, type ServerOptions } from './options.ts'
import { PluginRequests } from './plugin-requests.ts'
import type { PluginRoute } from './plugin-routes.ts'
import type { ServerParts } from './ports.ts'
import { notFound, problemOf } from './problem.ts'
import { tellOfRequest } from './requests.ts'
import { healthRoutes } from './routes/health.ts'
import { appendRoutes } from './routes/log-append.ts'
import { readRoutes } from './routes/log-read.ts'
import { logStatusRoutes } from './routes/log-status.ts'
import { pluginRoutes } from './routes/plugins.ts'
import { replicationRoutes } from './routes/replication.ts'
import { serviceRoutes } from './routes/services.ts'
import { statusRoutes } from './routes/status.ts'
import { answerBeforeBody } from './stream.ts'
import { TlsDoor } from './tls.ts'

/** Figures since `start`; the last four and `bodyBytesReserved` are of now. */
export interface ServerStats extends Readonly<Omit<ServerCounters, 'verifying'>> {
  /** Bytes of append bodies held. */
  readonly bodyBytesReserved: number
}

export interface Server extends AsyncDisposable {
  /**
   * Listens and resolves with the address. Rejects with `ERR_SERVER_LISTEN` when the address is
   * taken or not ours, with `ERR_SERVER_STATE` on a second call.
   */
  start(): Promise<Address>
  /** Hands over the parts: from here on requests are answered. Once only. */
  bind(parts: ServerParts): void
  /**
   * Serves a route of a plugin below `/v1/plugins/NAME` until the function that it returns is
   * called; requests under way are answered 503 then. At any time. Whoever may use it, as `tokens`
   * and `tls` have it, is asked before the handler is. Throws `ERR_SERVER_ROUTE` where it is not
   * right, or where one that fits the same requests is there.
   */
  addRoute(plugin: string, route: PluginRoute): Unsubscribe
  /**
   * Takes over another certificate, key and authority: new connections get and are held to them,
   * those that there are end with the answer they wait for. Throws `ERR_SERVER_OPTIONS` for what
   * `createServer` would not take, `ERR_SERVER_STATE` where it began without `tls`.
   */
  renewTls(tls: TlsServerOptions): void
  /**
   * Takes no new requests, answers what is parked, gives the rest a moment, then closes every
   * connection. Idempotent; ends within `limits.stopTimeoutMs` and half a second.
   */
  stop(): Promise<void>
  stats(): ServerStats
}

/**
 * No route has a schema of Fastify's, and what would compile one takes as long to load as Fastify.
 */
const schemaController = {
  compilersFactory: { buildValidator: compilesNothing, buildSerializer: compilesNothing },
}

function compilesNothing(): never {
  throw new Error('a route has a schema that Fastify should compile')
}

/** Throws `ERR_SERVER_OPTIONS` that names every option at fault. Nothing listens before `start`. */
export function createServer(options: ServerOptions = {}): Server {
  const resolved = resolveServerOptions(options)
  const stopping = new AbortController()
  const open = new Set<ServerResponse>()
  let parts: ServerParts | undefined
  let started = false
  let stopped: Promise<void> | undefined
  const { limits, logger, tls } = resolved
  const counters = createCounters()
  const context: RouteContext = {
    limits,
    logger,
    bodies: createBodyBudget(limits.bodiesBytesMax),
    counters,
    gate: new Gate(resolved.tokens),
    plugins: new PluginRequests(),
    door: tls === undefined ? undefined : new TlsDoor(tls, counters, logger),
    stopping: stopping.signal,
    parts() {
      if (parts === undefined) throw notReady()
      return parts
    },
  }
  const app = createApp(resolved, context, open, () => ({ source: server, member: parts?.member }))

  async function stop(): Promise<void> {
    stopping.abort(new ServerError('ERR_SERVER_STOPPING', 'the member is stopping'))
    const grace = delay(resolved.limits.stopTimeoutMs, undefined, { ref: false })
    const parked = parts?.replication.stop().catch((cause: unknown) => {
      resolved.logger.warn({ cause }, 'parked pulls were not answered')
    })
    await Promise.race([Promise.all([parked, settled(open)]), grace])
    // What is still open had its time: closing the server would wait for it.
    app.server.closeAllConnections()
    context.door?.end()
    await Promise.race([app.close(), delay(500, undefined, { ref: false })])
  }

  const server: Server = {
    async start() {
      if (started || stopped) {
        throw new ServerError('ERR_SERVER_STATE', 'a server starts once; make another one')
      }
      started = true
      return listen(app, resolved)
    },
    bind(given) {
      if (parts) throw new ServerError('ERR_SERVER_STATE', 'the parts are bound already')
      parts = given
    },
    addRoute: (plugin, route) => context.plugins.routes.add(plugin, route),
    renewTls(next) {
      if (context.door === undefined) {
        throw new ServerError(
          'ERR_SERVER_STATE',
          'a server without TLS has no certificate to renew',
        )
      }
      context.door.renew(next, open)
    },
    stop: () => (stopped ??= stop()),
    stats() {
      const { verifying: _, ...counters } = context.counters
      return { ...counters, bodyBytesReserved: context.bodies.reservedBytes }
    },
    [Symbol.asyncDispose]: () => server.stop(),
  }
  return server
}

async function listen(app: FastifyInstance, options: ResolvedServerOptions): Promise<Address> {
  const { host, port } = options
  try {
    await app.listen({ host, port })
  } catch (cause) {
    const text = `cannot listen on ${host}:${port}: ${(cause as Error).message}`
    throw new ServerError('ERR_SERVER_LISTEN', text, { cause })
  }
  const bound = app.server.address()
  if (bound === null || typeof bound === 'string') {
    throw new ServerError('ERR_SERVER_LISTEN', `the system gave no address for ${host}:${port}`)
  }
  return { host: bound.address, port: bound.port }
}

function createApp(
  options: ResolvedServerOptions,
  context: RouteContext,
  open: Set<ServerResponse>,
  origin: Parameters<typeof tellOfRequest>[2],
): FastifyInstance {
  const { limits } = options
  const { door } = context
  const app = fastify({
    schemaController,
    forceCloseConnections: true,
    // A HEAD that followed the log would hold a reader's place and show nothing.
    exposeHeadRoutes: false,
    requestTimeout: limits.requestTimeoutMs,
    ...(door === undefined
      ? { http: { headersTimeout: Math.min(limits.headersTimeoutMs, limits.requestTimeoutMs) } }
      : { serverFactory: door.factory(limits) }),
    routerOptions: { maxParamLength: 512 },
    clientErrorHandler: refuseMalformed,
    frameworkErrors: (cause, request, reply) => {
      sendProblem(frameworkError(cause), request, reply, context.counters)
    },
  })
  app.server.maxConnections = limits.connectionsMax
  // Bodies are read by the routes, each within its own bound, straight from the connection.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, _payload, done) => done(null))
  guard(app, context)
  app.addHook('onRequest', async (request, reply) => {
    context.counters.requests += 1
    tellOfRequest(request, reply, origin)
    open.add(reply.raw)
    reply.raw.once('close', () => open.delete(reply.raw))
    boundUnreadBody(request.raw, reply.raw, limits.requestTimeoutMs)
    if (context.stopping.aborted) {
      reply.header('connection', 'close')
      throw context.stopping.reason
    }
    refuseStranger(request, reply, context)
    const caller = context.gate.callerOf(request.headers.authorization)
    context.gate.check(caller, context.plugins.accessOf(request))
    refuseEncodedBody(request.headers['content-encoding'])
  })
  app.setNotFoundHandler((request: FastifyRequest) => {
    throw notFound(`${request.method} ${request.url.slice(0, 200)} is not part of this interface`)
  })
  app.setErrorHandler((cause, request, reply) => {
    const problem = problemOf(frameworkError(cause))
    if (problem.code === 'ERR_SERVER_INTERNAL') options.logger.error({ cause }, 'a request failed')
    sendProblem(frameworkError(cause), request, reply, context.counters)
  })
  const groups = [
    healthRoutes,
    statusRoutes,
    appendRoutes,
    readRoutes,
    logStatusRoutes,
    serviceRoutes,
    pluginRoutes,
  ]
  for (const routes of [...groups, replicationRoutes]) routes(app, context)
  return app
}

/** Before anything of a request is looked at. */
function refuseStranger(
  { raw }: FastifyRequest,
  reply: FastifyReply,
  { door }: RouteContext,
): void {
  try {
    door?.check(raw.socket)
  } catch (cause) {
    reply.header('connection', 'close')
    throw cause
  }
}

/** Every route has its access, and what was asked for stands in the log. */
function guard(app: FastifyInstance, { gate, plugins, logger }: RouteContext): void {
  app.addHook('onRoute', ({ method, url }) => {
    const known = [method].flat().every((one) => accessOf(one, url) !== undefined)
    invariant(known, `the route ${url} says who may use it`)
  })
  if (gate.open) return
  const audit = new Audit(logger)
  app.addHook('onResponse', async (request, reply) => {
    const caller = gate.callerOf(request.headers.authorization)
    audit.answered(request, reply, caller, plugins.accessOf(request))
  })
}

function sendProblem(
  cause: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  counters: ServerCounters,
): void {
  const problem = problemOf(cause)
  if (problem.status >= 500) counters.failures += 1
  else counters.badRequests += 1
  if (problem.status === 401) {
    counters.unauthorized += 1
    reply.header('www-authenticate', 'Bearer realm="kith"')
  } else if (problem.code === 'ERR_SERVER_FORBIDDEN') counters.forbidden += 1
  if (problem.status === 503 || problem.status === 429) reply.header('retry-after', '1')
  reply.code(problem.status).header('content-type', 'application/problem+json')
  if (request.raw.complete) {
    reply.serializer((body: unknown) => JSON.stringify(body)).send(problem)
    return
  }
  answerBeforeBody(request.raw, reply, Buffer.from(JSON.stringify(problem)))
}

/** Fastify's own refusals (a bad URL, a bad length) in our words. */
function frameworkError(cause: unknown): unknown {
  const { code, statusCode, message } = cause as {
    code?: string
    statusCode?: number
    message?: string
  }
  if (typeof code !== 'string' || !code.startsWith('FST_') || (statusCode ?? 500) >= 500)
    return cause
  return new ServerError('ERR_SERVER_BAD_REQUEST', message ?? code, { cause })
}

/** Nothing here unpacks bodies: what is packed would be stored as if it were the record. */
function refuseEncodedBody(encoding: string | undefined): void {
  if (encoding === undefined || encoding.toLowerCase() === 'identity') return
  const got = showValue(encoding)
  const text = `content-encoding must be absent or "identity", got ${got}`
  throw new ServerError('ERR_SERVER_MEDIA_TYPE', text)
}

/**
 * An answer that went out before its request was read leaves Node dropping the rest of the body,
 * which keeps the answer readable. It may take a little while, not for ever.
 */
function boundUnreadBody(
  request: IncomingMessage,
  response: ServerResponse,
  timeoutMs: number,
): void {
  response.once('finish', () => {
    if (request.complete) return
    const timer = setTimeout(() => request.socket.destroy(), Math.min(5000, timeoutMs))
    timer.unref()
    request.once('close', () => clearTimeout(timer))
  })
}

function refuseMalformed(cause: Error & { code?: string }, socket: Duplex): void {
  // A handshake that failed left nothing that could carry an answer.
  const unencrypted = cause.code?.startsWith('ERR_SSL_') || cause.code?.startsWith('ERR_TLS_')
  if (cause.code === 'ECONNRESET' || unencrypted || socket.destroyed || !socket.writable)
    return void socket.destroy()
  const [status, detail] =
    cause.code === 'HPE_HEADER_OVERFLOW'
      ? ['431 Request Header Fields Too Large', 'the headers are too large']
      : cause.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? ['408 Request Timeout', 'the request did not arrive in time']
        : ['400 Bad Request', 'this is not HTTP as this server speaks it']
  const body = JSON.stringify({
    title: 'The request is not right',
    status: Number(status.slice(0, 3)),
    detail,
    code: 'ERR_SERVER_BAD_REQUEST',
  })
  socket.end(
    `HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-type: application/problem+json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}

/** Resolves once every open request has been answered. */
async function settled(open: ReadonlySet<ServerResponse>): Promise<void> {
  await Promise.all(
    [...open].map(
      (response) => new Promise<void>((resolve) => response.once('close', () => resolve())),
    ),
  )
}
