/** Is the process alive, should it get traffic, and what did it count so far. */
import type { FastifyInstance } from 'fastify'
import type { RouteContext } from '../context.ts'
import { ServerError } from '../errors.ts'
import { metricsText } from '../metrics.ts'

export function healthRoutes(app: FastifyInstance, context: RouteContext): void {
  // Answers also before the parts are bound: the process runs, and that is the question.
  app.get('/livez', async () => ({ live: true }))

  // A probe has no token: it hears whether, and only who shows one hears who and why not.
  app.get('/readyz', async ({ headers }) => {
    const { gate } = context
    const { member, unready } = context.parts()
    const told = gate.open || gate.callerOf(headers.authorization) !== undefined
    const why = unready()
    if (why !== undefined) {
      throw new ServerError('ERR_SERVER_NOT_READY', told ? why : 'the member is not ready')
    }
    return told ? { ready: true, member } : { ready: true }
  })

  app.get('/metrics', async (_request, reply) => {
    const figures = { ...context.parts().counters(), ...serverFigures(context) }
    return reply.type('text/plain; version=0.0.4; charset=utf-8').send(metricsText(figures))
  })
}

function serverFigures({ counters, bodies }: RouteContext): Record<string, number> {
  return {
    http_requests_total: counters.requests,
    http_bad_requests_total: counters.badRequests,
    http_unauthorized_total: counters.unauthorized,
    http_forbidden_total: counters.forbidden,
    http_failures_total: counters.failures,
    http_body_bytes_total: counters.bodyBytes,
    http_records_appended_total: counters.recordsAppended,
    http_records_read_total: counters.recordsRead,
    http_followers: counters.followers,
    http_watchers: counters.watchers,
    http_body_bytes_reserved: bodies.reservedBytes,
    process_resident_memory_bytes: process.memoryUsage.rss(),
    process_uptime_seconds: process.uptime(),
  }
}
