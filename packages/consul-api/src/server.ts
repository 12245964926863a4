/** The API on a port of its own. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { type Address, formatAddress } from '@kith/interface'
import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { checkAccess } from './access.ts'
import { type Api, type Counters, refusalOf } from './api.ts'
import { Changes } from './changes.ts'
import { ConsulApiError, refused } from './errors.ts'
import { type ConsulApiOptions, resolveOptions, type ResolvedConsulApiOptions } from './options.ts'
import { agentRoutes } from './routes/agent.ts'
import { catalogRoutes } from './routes/catalog.ts'
import { healthRoutes } from './routes/health.ts'
import { statusRoutes } from './routes/status.ts'
import type { ConsulApiStats } from './stats.ts'

export interface ConsulApi extends AsyncDisposable {
  /**
   * Listens and resolves with the address. Rejects with `ERR_CONSUL_LISTEN` where it is taken or
   * not ours, with `ERR_CONSUL_STATE` on a second call.
   */
  start(): Promise<Address>
  /** Answers what waits, closes every connection. Idempotent; ends within 3 s. */
  stop(): Promise<void>
  stats(): ConsulApiStats
}

/** What is under way when it stops has so long to end. */
const STOP_MS = 2_000
const CLOSE_MS = 500
/** How long the rest of a body that was refused may still come. */
const LINGER_MS = 2_000

/**
 * No route has a schema of Fastify's, and what would compile one takes as long to load as Fastify.
 */
const schemaController = {
  compilersFactory: { buildValidator: compilesNothing, buildSerializer: compilesNothing },
}

function compilesNothing(): never {
  throw new Error('a route has a schema that Fastify should compile')
}

/** Throws `ERR_CONSUL_OPTIONS` that names every option at fault. Nothing listens before `start`. */
export function createConsulApi(options: ConsulApiOptions): ConsulApi {
  const resolved = resolveOptions(options)
  const stopping = new AbortController()
  const counters: Counters = { requests: 0, refused: 0, failures: 0, parked: 0 }
  const changes = new Changes(resolved.clock)
  const api: Api = { options: resolved, changes, counters, stopping: stopping.signal }
  const open = new Set<ServerResponse>()
  const app = createApp(api, open)
  const undo: (() => void)[] = []
  let started = false
  let stopped: Promise<void> | undefined

  async function stop(): Promise<void> {
    stopping.abort(refused(503, 'the agent is stopping'))
    for (const each of undo) each()
    await Promise.race([settled(open), delay(STOP_MS, undefined, { ref: false })])
    app.server.closeAllConnections()
    await Promise.race([app.close(), delay(CLOSE_MS, undefined, { ref: false })])
    changes.stop()
  }

  return {
    async start() {
      if (started || stopped !== undefined) {
        throw new ConsulApiError('ERR_CONSUL_STATE', 'the API starts once; make another one')
      }
      started = true
      undo.push(...follow(resolved, changes))
      return listen(app, resolved)
    },
    stop: () => (stopped ??= stop()),
    stats: () => ({ ...counters }),
    [Symbol.asyncDispose]() {
      return this.stop()
    },
  }
}

function follow(
  { registry, membership }: ResolvedConsulApiOptions,
  changes: Changes,
): readonly (() => void)[] {
  return [
    registry.on('change', ({ service }) => {
      changes.serviceChanged(service, registry.resolve(service, { passing: false }).length > 0)
    }),
    membership.subscribe({ memberChanged: () => changes.memberChanged() }),
  ]
}

async function listen(app: FastifyInstance, options: ResolvedConsulApiOptions): Promise<Address> {
  const { host, port } = options
  const text = `cannot listen on ${formatAddress({ host, port })}`
  try {
    await app.listen({ host, port })
  } catch (cause) {
    throw new ConsulApiError('ERR_CONSUL_LISTEN', `${text}: ${(cause as Error).message}`, { cause })
  }
  const bound = app.server.address()
  if (bound !== null && typeof bound !== 'string') return { host: bound.address, port: bound.port }
  throw new ConsulApiError('ERR_CONSUL_LISTEN', `${text}: the system gave no address`)
}

function createApp(api: Api, open: Set<ServerResponse>): FastifyInstance {
  const { connectionsMax, requestTimeoutMs, bodyBytesMax, logger } = api.options
  const app = fastify({
    schemaController,
    forceCloseConnections: true,
    exposeHeadRoutes: false,
    bodyLimit: bodyBytesMax,
    requestTimeout: requestTimeoutMs,
    http: {
      headersTimeout: Math.min(10_000, requestTimeoutMs),
      // Node.js looks every 30 s otherwise, whatever the timeouts are.
      connectionsCheckingInterval: Math.min(1_000, requestTimeoutMs),
    },
    routerOptions: { maxParamLength: 512, ignoreTrailingSlash: true },
    clientErrorHandler: refuseMalformed,
    frameworkErrors: (cause, request, reply) => sendRefusal(cause, request, reply, api),
  })
  app.server.maxConnections = connectionsMax
  // Whatever the type says: Consul's clients send JSON, and many of them do not say so.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.addHook('onRequest', async (request, reply) => {
    api.counters.requests += 1
    open.add(reply.raw)
    reply.raw.once('close', () => open.delete(reply.raw))
    if (api.stopping.aborted) {
      reply.header('connection', 'close')
      throw api.stopping.reason
    }
    checkAccess(request, api.options.roleOf)
  })
  app.setNotFoundHandler((request: FastifyRequest) => {
    const path = request.url.split('?')[0]?.slice(0, 200) ?? ''
    throw refused(404, `${path} is not part of Consul's API as Kith has it`)
  })
  app.setErrorHandler((cause, request, reply) => {
    if (refusalOf(cause).status >= 500 && !api.stopping.aborted) {
      logger.error({ err: cause, url: request.url.slice(0, 200) }, 'a request failed')
    }
    sendRefusal(cause, request, reply, api)
  })
  for (const routes of [agentRoutes, catalogRoutes, healthRoutes, statusRoutes]) routes(app, api)
  return app
}

/** A text, as Consul's clients expect it. */
function sendRefusal(
  cause: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  { counters }: Api,
): void {
  const { status, text } = refusalOf(cause)
  if (status >= 500) counters.failures += 1
  else counters.refused += 1
  if (status === 429 || status === 503) reply.header('retry-after', '1')
  reply.code(status).type('text/plain; charset=utf-8')
  if (request.raw.complete) void reply.send(text)
  else answerBeforeBody(request.raw, reply, Buffer.from(text))
}

/**
 * The answer goes out at once and ends with the body, or after a while: a connection that is closed
 * with bytes unread is reset, and a reset can take the answer with it.
 */
function answerBeforeBody(request: IncomingMessage, reply: FastifyReply, body: Uint8Array): void {
  const response = reply.hijack().raw
  const { 'content-type': type } = reply.getHeaders()
  response.writeHead(reply.statusCode, {
    'content-type': String(type),
    'content-length': body.length,
    connection: 'close',
  })
  response.write(body)
  const finish = (): void => {
    clearTimeout(timer)
    response.end()
  }
  const timer = setTimeout(finish, LINGER_MS)
  timer.unref()
  request.once('end', finish).once('close', finish).resume()
}

function refuseMalformed(cause: Error & { code?: string }, socket: Duplex): void {
  if (cause.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
    socket.destroy()
    return
  }
  const [status, text] =
    cause.code === 'HPE_HEADER_OVERFLOW'
      ? ['431 Request Header Fields Too Large', 'the headers are too large']
      : cause.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? ['408 Request Timeout', 'the request did not arrive in time']
        : ['400 Bad Request', 'this is not HTTP as this server speaks it']
  socket.end(
    `HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-8\r\n` +
      `content-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  )
}

/** Resolves once every open request has been answered. */
async function settled(open: ReadonlySet<ServerResponse>): Promise<void> {
  const closing = [...open].map(
    (response) => new Promise<void>((resolve) => response.once('close', () => resolve())),
  )
  await Promise.all(closing)
}
