/** Is the process alive, should it get traffic, and what did it count so far. */
import type { FastifyInstance } from 'fastify'
import type { RouteContext } from '../context.ts'
import { ServerError } from '../errors.ts'
import { metricsText } from '../metrics.ts'

export function healthRoutes(app: FastifyInstance, context: RouteContext): void {
  // Answers also before the parts are bound: the process runs, and that is the question.
  app.get('/livez', async () => ({ live: true }))

  app.get('/readyz', async () => {
    const { member, unready } = context.parts()
    const why = unready()
    if (why !== undefined) throw new ServerError('ERR_SERVER_NOT_READY', why)
    return { ready: true, member }
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
