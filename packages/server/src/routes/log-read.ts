/** `GET /v1/log/records`: records as lines, once through or followed as they come. */
import type { ReadFrom } from '@kith/interface'
import type { FastifyInstance } from 'fastify'
import type { RouteContext } from '../context.ts'
import { ServerError } from '../errors.ts'
import { recordToLine } from '../ndjson.ts'
import type { LogPort } from '../ports.ts'
import { parse, readQuery } from '../schema.ts'
import { goneSignal, sendStream } from '../stream.ts'

const HEAD = {
  status: 200,
  headers: { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' },
}
/**
 * One read of the log while streaming: large enough to be quick, small enough to wait in memory.
 */
const READ_RECORDS_MAX = 512
const READ_BYTES_MAX = 64 * 1024

interface ReadPlan {
  readonly from: number
  readonly limit: number
  readonly follow: boolean
}

export function readRoutes(app: FastifyInstance, context: RouteContext): void {
  app.get('/v1/log/records', async (request, reply) => {
    const { log } = context.parts()
    const query = parse(readQuery, request.query, 'query')
    const plan: ReadPlan = {
      // What is not held is answered as a problem, while there still can be one.
      from: await offsetOf(log, query.from ?? 'earliest'),
      limit: query.limit ?? Number.MAX_SAFE_INTEGER,
      follow: query.follow ?? false,
    }
    refuseTooMany(plan, context)
    const signal = goneSignal(reply.raw, context.stopping)
    const lines = plan.follow ? followLines(log, plan, signal) : storedLines(log, plan, signal)
    reply.hijack()
    context.counters.readers += 1
    if (plan.follow) context.counters.followers += 1
    try {
      const { writeTimeoutMs } = context.limits
      await sendStream(reply.raw, HEAD, counted(lines, context), { signal, writeTimeoutMs })
    } catch (cause) {
      context.logger.warn({ cause }, 'an answer with records broke off')
    } finally {
      context.counters.readers -= 1
      if (plan.follow) context.counters.followers -= 1
    }
  })
}

async function offsetOf(log: LogPort, from: ReadFrom): Promise<number> {
  const { records, next } = await log.read({ from, limit: 1 })
  return records[0]?.offset ?? next
}

/** Each holds a page for as long as its reader takes nothing. */
function refuseTooMany(plan: ReadPlan, { counters, limits }: RouteContext): void {
  if (plan.follow && counters.followers >= limits.followersMax) {
    throw new ServerError('ERR_SERVER_BUSY', `${limits.followersMax} readers follow already`)
  }
  if (counters.readers >= limits.readersMax) {
    throw new ServerError('ERR_SERVER_BUSY', `${limits.readersMax} readers are served already`)
  }
}

interface Lines {
  readonly text: string
  readonly count: number
}

async function* counted(
  lines: AsyncIterable<Lines>,
  context: RouteContext,
): AsyncGenerator<string> {
  for await (const { text, count } of lines) {
    context.counters.recordsRead += count
    yield text
  }
}

/** Everything stored when the request came; what is appended meanwhile is for the next one. */
async function* storedLines(
  log: LogPort,
  { from, limit }: ReadPlan,
  signal: AbortSignal,
): AsyncGenerator<Lines> {
  const end = log.status().next
  let at = from
  let left = limit
  while (at < end && left > 0 && !signal.aborted) {
    const records = Math.min(left, READ_RECORDS_MAX, end - at)
    const page = await log.read({ from: at, limit: records, bytesMax: READ_BYTES_MAX })
    if (page.records.length > 0) {
      yield { text: page.records.map(recordToLine).join(''), count: page.records.length }
    }
    if (page.next <= at) return
    left -= page.records.length
    at = page.next
  }
}

async function* followLines(
  log: LogPort,
  { from, limit }: ReadPlan,
  signal: AbortSignal,
): AsyncGenerator<Lines> {
  let left = limit
  for await (const record of log.tail({ from, signal })) {
    yield { text: recordToLine(record), count: 1 }
    left -= 1
    if (left === 0) return
  }
}
