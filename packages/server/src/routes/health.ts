/** Is the process alive, should it get traffic, and what did it count so far. */
import type { FastifyInstance } from 'fastify'
import type { RouteContext } from '../context.ts'
import { ServerError } from '../errors.ts'

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
    const { contentType, text } = await context.parts().metrics()
    return reply.type(contentType).send(text)
  })
}
