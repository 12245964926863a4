/** Mounts the replicator's own handler: the server carries the bytes and knows none of them. */
import type { FastifyInstance } from 'fastify'
import { boundedBody, refuseLongBody } from '../body.ts'
import type { RouteContext } from '../context.ts'
import type { ReplicationOperation } from '../ports.ts'
import { answerBeforeBody, goneSignal, sendStream } from '../stream.ts'

const operations: readonly ReplicationOperation[] = ['hello', 'pull', 'chain', 'fetch']

export function replicationRoutes(app: FastifyInstance, context: RouteContext): void {
  for (const operation of operations) {
    app.post(`/v1/replication/${operation}`, async (request, reply) => {
      const { replication } = context.parts()
      const signal = goneSignal(reply.raw)
      refuseLongBody(request.raw, context.limits.replicationBytesMax)
      const body = boundedBody(request.raw, context.limits.replicationBytesMax)
      const answer = await replication.handle(operation, body, signal)
      if (answer.body instanceof Uint8Array) {
        reply.code(answer.status).headers(answer.headers)
        reply.raw.once('finish', () => answer.release?.())
        const { buffer, byteOffset, length } = answer.body
        if (request.raw.complete) return reply.send(Buffer.from(buffer, byteOffset, length))
        answerBeforeBody(request.raw, reply, answer.body)
        return reply
      }
      reply.hijack()
      const { writeTimeoutMs } = context.limits
      try {
        await sendStream(reply.raw, answer, answer.body, { signal, writeTimeoutMs })
      } catch (cause) {
        context.logger.warn({ cause, operation }, 'a replication answer broke off')
      }
      return reply
    })
  }
}
