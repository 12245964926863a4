/** Hands requests below `/v1/plugins` to the plugin whose route they are for. */
import { type OptionProblem, showValue } from '@kith/interface'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { RouteContext } from '../context.ts'
import { ServerError } from '../errors.ts'
import { readJson } from '../json.ts'
import { type CheckedAnswer, checkedAnswer, failedPlugin } from '../plugin-answer.ts'
import type { FoundRoute, PluginRequest } from '../plugin-routes.ts'
import { isRefusal, notFound } from '../problem.ts'
import { badRequest } from '../schema.ts'
import { goneSignal } from '../stream.ts'

export function pluginRoutes(app: FastifyInstance, context: RouteContext): void {
  const answer = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    // As everything else: not before the member's parts run.
    context.parts()
    const found = context.plugins.of(request)
    if (found === undefined) {
      const path = request.url.split('?', 1)[0]?.slice(0, 200) ?? ''
      throw notFound(`no plugin of this member has ${request.method} ${path}`)
    }
    const query = queryOf(request, found)
    const takesBody = request.method === 'POST' || request.method === 'PUT'
    const body = takesBody ? await readJson(request, context) : undefined
    const { params } = found
    const caller = context.gate.callerOf(request.headers.authorization)
    try {
      const answered = await perform(found, { params, query, body, caller }, reply, context)
      return reply.code(answered.status).headers(answered.headers).send(answered.body)
    } catch (cause) {
      if (!reply.raw.destroyed) throw cause
      // Whoever asked went away: nobody is left to be told.
      return reply.hijack()
    }
  }
  app.get('/v1/plugins/:plugin/*', answer)
  app.post('/v1/plugins/:plugin/*', answer)
  app.put('/v1/plugins/:plugin/*', answer)
  app.delete('/v1/plugins/:plugin/*', answer)
}

/** What the route takes, each once; anything else is refused, as by our own routes. */
function queryOf(request: FastifyRequest, { route }: FoundRoute): Record<string, string> {
  const { query: taken = [] } = route
  const query: Record<string, string> = {}
  const problems: OptionProblem[] = []
  for (const [field, value] of Object.entries(request.query as Record<string, unknown>)) {
    const known = taken.includes(field)
    if (known && typeof value === 'string') query[field] = value
    else problems.push({ field, got: showValue(value), want: known ? 'given once' : 'absent' })
  }
  if (problems.length > 0) throw badRequest(problems)
  return query
}

/** Waits for the handler within its time. Its place is taken until it has settled. */
async function perform(
  found: FoundRoute,
  asked: Omit<PluginRequest, 'signal'>,
  reply: FastifyReply,
  context: RouteContext,
): Promise<CheckedAnswer> {
  const { plugins, limits, logger, stopping } = context
  if (plugins.running >= limits.pluginRequestsMax) {
    const text = `plugins work on ${limits.pluginRequestsMax} requests already`
    throw new ServerError('ERR_SERVER_BUSY', text)
  }
  const late = new AbortController()
  const timer = setTimeout(() => {
    const text = `the plugin ${found.plugin} did not answer within ${limits.pluginTimeoutMs} ms`
    logger.warn({ route: `${found.route.method} ${found.pattern}` }, text)
    late.abort(new ServerError('ERR_SERVER_PLUGIN', text))
  }, limits.pluginTimeoutMs)
  timer.unref()
  const signal = goneSignal(reply.raw, stopping, found.removed, late.signal)
  plugins.running += 1
  const work = handle(found, { ...asked, signal }, context).finally(() => (plugins.running -= 1))
  try {
    return await unlessAborted(work, signal)
  } finally {
    clearTimeout(timer)
  }
}

async function handle(
  { plugin, pattern, route }: FoundRoute,
  asked: PluginRequest,
  { limits, logger }: RouteContext,
): Promise<CheckedAnswer> {
  try {
    return checkedAnswer(await route.handle(asked), limits.bodyBytesMax)
  } catch (cause) {
    // What parts say of a request, as of a service that is wrong, is an answer.
    if (isRefusal(cause) || asked.signal.aborted) throw cause
    logger.error({ cause, plugin, route: `${route.method} ${pattern}` }, 'a plugin failed')
    throw failedPlugin(plugin, cause)
  }
}

/** What was thrown late is of no interest any more. */
function unlessAborted<Value>(work: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error)
    signal.addEventListener('abort', abort, { once: true })
    if (signal.aborted) abort()
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
