/** `POST /v1/log/records`: one request is one append, stored whole or not at all. */
import type { AppendOptions, AppendRecord } from '@kith/interface'
import { releaseBytes } from '@kith/interface'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { boundedBody, contentLength, createBodyMemory, joined, refuseLongBody } from '../body.ts'
import type { BodyMemory } from '../body.ts'
import type { RouteContext } from '../context.ts'
import { ServerError } from '../errors.ts'
import { linesToRecords } from '../ndjson.ts'
import { type AppendQuery, appendQuery, parse } from '../schema.ts'
import { goneSignal } from '../stream.ts'

export function appendRoutes(app: FastifyInstance, context: RouteContext): void {
  app.post('/v1/log/records', async (request, reply) => {
    const { log } = context.parts()
    const query = parse(appendQuery, request.query, 'query')
    const readRecords = bodyReader(request, context)
    const signal = goneSignal(reply.raw)
    const announced = contentLength(request.raw) ?? context.limits.bodyBytesMax
    const wanted = Math.min(announced, context.limits.bodyBytesMax)
    const reservation = await context.bodies.reserve(wanted, signal)
    const memory = createBodyMemory(wanted)
    try {
      refuseLongBody(request.raw, context.limits.bodyBytesMax)
      let length = 0
      const body = counted(boundedBody(request.raw, context.limits.bodyBytesMax), (bytes) => {
        length += bytes
        context.counters.bodyBytes += bytes
      })
      const records = await readRecords(body, memory)
      reservation.shrink(length)
      const result = await log.append(records, appendOptions(query, signal))
      if (!result.duplicate) context.counters.recordsAppended += result.count
      return result
    } finally {
      memory.free()
      reservation.release()
    }
  })
}

type RecordsReader = (
  body: AsyncIterable<Uint8Array>,
  memory: BodyMemory,
) => Promise<readonly AppendRecord[]>

/** Which reader fits the body; a wrong type is refused before the body is read. */
function bodyReader(request: FastifyRequest, { limits }: RouteContext): RecordsReader {
  const type = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase()
  if (type === 'application/octet-stream') {
    return async (body, memory) => [{ value: await joined(body, memory) }]
  }
  if (type === 'application/x-ndjson') {
    return (body, memory) => linesToRecords(body, limits, memory)
  }
  throw new ServerError(
    'ERR_SERVER_MEDIA_TYPE',
    'content-type must be application/x-ndjson (a record a line) or application/octet-stream ' +
      `(one record), got ${type === undefined || type === '' ? 'nothing' : type.slice(0, 80)}`,
  )
}

/** Counts the parts, and frees each once the next is asked for. */
async function* counted(
  body: AsyncIterable<Uint8Array>,
  count: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const part of body) {
    count(part.length)
    yield part
    releaseBytes(part)
  }
}

function appendOptions(query: AppendQuery, signal: AbortSignal): AppendOptions {
  const { durability, replicas, timeoutMs, producer: id, producerSequence: sequence } = query
  return {
    signal,
    ...(durability === undefined ? {} : { durability }),
    ...(replicas === undefined ? {} : { replicas }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(id === undefined || sequence === undefined ? {} : { producer: { id, sequence } }),
  }
}
