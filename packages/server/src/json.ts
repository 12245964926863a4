/** JSON that is sent to us. */
import type { FastifyRequest } from 'fastify'
import { readBody } from './body.ts'
import type { RouteContext } from './context.ts'
import { ServerError } from './errors.ts'
import { badRequest } from './schema.ts'

/** A JSON body within its bound; undefined where there is none. */
export async function readJson(request: FastifyRequest, context: RouteContext): Promise<unknown> {
  const { raw } = request
  const type = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? ''
  const bytes = await readBody(raw, context.limits.jsonBytesMax)
  if (bytes.length === 0) return undefined
  if (type !== 'application/json') {
    const got = type === '' ? 'nothing' : type.slice(0, 80)
    throw new ServerError(
      'ERR_SERVER_MEDIA_TYPE',
      `content-type must be application/json, got ${got}`,
    )
  }
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown
  } catch {
    throw badRequest([
      { field: 'body', got: JSON.stringify(bytes.toString('utf8', 0, 40)), want: 'valid JSON' },
    ])
  }
}
