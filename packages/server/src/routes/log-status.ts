/** What the log holds of each origin, how far behind it is, and whether it is whole. */
import type { OriginId, OriginState } from '@kith/interface'
import type { FastifyInstance } from 'fastify'
import type { RouteContext } from '../context.ts'
import { ServerError } from '../errors.ts'
import { noQuery, originId, parse } from '../schema.ts'

interface OriginParams {
  readonly Params: { readonly origin: string }
}

export function logStatusRoutes(app: FastifyInstance, context: RouteContext): void {
  app.get('/v1/log/status', async (request) => {
    parse(noQuery, request.query, 'query')
    const { log, lag, member } = context.parts()
    const { logId, origin, durable, records, bytes, floor, next, origins } = log.status()
    const behind = lag()
    return {
      member,
      logId,
      origin,
      durable,
      records,
      bytes,
      floor,
      next,
      // The own origin has no better holder; of any other, not knowing is said as such.
      origins: [...origins, ...notBegun(origins, behind)].map((state) => ({
        ...state,
        lag: state.own ? 0 : (behind.get(state.origin) ?? 'unknown'),
      })),
    }
  })

  app.post<OriginParams>('/v1/log/origins/:origin/retire', async (request) => {
    parse(noQuery, request.query, 'query')
    const { retire } = context.parts()
    const origin = parse(originId, request.params.origin, 'origin')
    await retire(origin)
    return { origin, status: 'retired' }
  })

  // A POST because it reads the whole store: nothing should fetch it ahead or repeat it.
  app.post('/v1/log/verify', async (request) => {
    parse(noQuery, request.query, 'query')
    const { log } = context.parts()
    if (context.counters.verifying) {
      throw new ServerError('ERR_SERVER_BUSY', 'a verification runs already; wait for it')
    }
    context.counters.verifying = true
    try {
      return await log.verify()
    } finally {
      context.counters.verifying = false
    }
  })
}

/** Origins of which others told that they hold records, and of which nothing came yet. */
function notBegun(
  held: readonly OriginState[],
  behind: ReadonlyMap<OriginId, number | 'unknown'>,
): readonly OriginState[] {
  const known = new Set(held.map(({ origin }) => origin))
  return [...behind]
    .filter(([origin, lag]) => lag !== 0 && !known.has(origin))
    .map(([origin]) => ({
      ...{ origin, member: '', floor: 1, next: 1, chain: '' },
      ...{ status: 'live', holes: [], own: false },
    }))
}
