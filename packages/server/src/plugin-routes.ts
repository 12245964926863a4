/**
 * Routes of others: what a plugin says of each, and which one a request is for. They stand below
 * `/v1/plugins/NAME`, so that none of ours can ever be in their way, nor they in ours.
 */
import { describeProblems, type OptionProblem, showValue, type Unsubscribe } from '@kith/interface'
import { type AccessRole, accessRoles, type Caller } from './access.ts'
import { ServerError } from './errors.ts'

export type PluginMethod = 'GET' | 'POST' | 'PUT' | 'DELETE'

/** One route of a plugin. Who may use it must be said: none is open by default. */
export interface PluginRoute {
  readonly method: PluginMethod
  /**
   * Below `/v1/plugins/NAME`, 1 to 16 segments: `/notes/:id`. A segment is 1 to 64 of
   * `A-Z a-z 0-9 . _ ~ -`, or `:` and the name of a parameter. Where two routes fit a request, the
   * one with the earlier fixed segment answers.
   */
  readonly path: string
  /** The smallest role that may use it, where the member takes tokens. */
  readonly role: AccessRole
  /** Names of what its query may hold, at most 32; any other is refused with 400. Default: none. */
  readonly query?: readonly string[]
  /** Answers one request. What it throws is answered with 500 `ERR_SERVER_PLUGIN`. */
  readonly handle: (request: PluginRequest) => Promise<PluginAnswer | void> | PluginAnswer | void
}

/** One request, as far as a plugin needs it. */
export interface PluginRequest {
  /** Each parameter of the path, decoded, 1 to 512 characters. */
  readonly params: Readonly<Record<string, string>>
  /** What of `query` was given, decoded, each once. */
  readonly query: Readonly<Record<string, string>>
  /** With POST and PUT the JSON that was sent, at most 64 KiB; undefined where there was none. */
  readonly body: unknown
  /** Who shows a token; undefined where the member takes none. */
  readonly caller: Caller | undefined
  /**
   * Aborts when the caller went, the route was removed, the member stops, or 30 s are over. The
   * answer does not wait for the handler then.
   */
  readonly signal: AbortSignal
}

/** What a handler answers: one of `json`, `text` and `refusal`, or nothing. */
export interface PluginAnswer {
  /** 200 to 299, with a refusal 400 to 599. Default 200, without a body 204, with a refusal 400. */
  readonly status?: number
  /** Sent as JSON, at most 8 MiB as text. */
  readonly json?: unknown
  /** Sent as it is, at most 8 MiB. */
  readonly text?: string
  /** The content type of `text`. Default `text/plain; charset=utf-8`. */
  readonly type?: string
  /** Sent as a problem (RFC 9457) with this code, 1 to 64 of `A-Z 0-9 _`. */
  readonly refusal?: { readonly code: string; readonly detail: string }
  /** At most 16 more, in lower case: `cache-control`, `location`. */
  readonly headers?: Readonly<Record<string, string>>
}

/** The route that a request is for, and what its path holds. */
export interface FoundRoute {
  readonly plugin: string
  readonly pattern: string
  readonly route: PluginRoute
  readonly params: Readonly<Record<string, string>>
  /** Aborts when the route is removed. */
  readonly removed: AbortSignal
}

interface Entry extends Omit<FoundRoute, 'params'> {
  readonly segments: readonly string[]
  /** Equal where two routes would fit the same requests. */
  readonly shape: string
  /** The smaller one is the more specific one. */
  readonly order: string
}

export const pluginPrefix = '/v1/plugins/'
const routesMax = 256
const segmentsMax = 16
const paramLengthMax = 512
const methods: readonly unknown[] = ['GET', 'POST', 'PUT', 'DELETE']
const fields: readonly string[] = ['method', 'path', 'role', 'query', 'handle']
const segmentPattern = /^(?!\.\.?$)[A-Za-z0-9._~-]{1,64}$/
const paramPattern = /^:[A-Za-z][A-Za-z0-9]{0,63}$/
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const queryPattern = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/

export class PluginRoutes {
  readonly #entries = new Map<string, Entry>()

  /** Adds a route; returns its removal. Throws `ERR_SERVER_ROUTE` that names what is wrong. */
  add(plugin: string, given: PluginRoute): Unsubscribe {
    const problems = routeProblems(plugin, given)
    if (problems.length > 0) throw wrongRoute(describeProblems(problems), problems)
    // A copy: what its plugin changes later must not change who may use it.
    const route: PluginRoute = { ...given, query: [...(given.query ?? [])] }
    const segments = route.path.slice(1).split('/')
    const pattern = `${pluginPrefix}${plugin}${route.path}`
    const place = segments.map((it) => (it.startsWith(':') ? ':' : it)).join('/')
    const shape = `${route.method} ${plugin}/${place}`
    const there = this.#entries.get(shape)
    if (there !== undefined) {
      const both = `${route.method} ${pattern} would stand where ${route.method} ${there.pattern} is`
      throw wrongRoute(`${both}: give one of them another path`)
    }
    if (this.#entries.size >= routesMax) {
      throw wrongRoute(`${route.method} ${pattern} is one too many: at most ${routesMax} are taken`)
    }
    const removal = new AbortController()
    const order = segments.map((it) => (it.startsWith(':') ? '1' : '0')).join('')
    const removed = removal.signal
    const entry: Entry = { plugin, pattern, route, removed, segments, shape, order }
    this.#entries.set(shape, entry)
    return () => {
      if (this.#entries.get(shape) === entry) this.#entries.delete(shape)
      removal.abort(new ServerError('ERR_SERVER_STOPPING', `the plugin ${plugin} has stopped`))
    }
  }

  /** Undefined where there is none. */
  find(method: string, url: string): FoundRoute | undefined {
    const [plugin, ...segments] = segmentsOf(url)
    let best: Entry | undefined
    for (const entry of this.#entries.values()) {
      if (entry.plugin !== plugin || entry.route.method !== method) continue
      if (!fits(entry, segments)) continue
      if (best === undefined || entry.order < best.order) best = entry
    }
    if (best === undefined) return undefined
    const params = best.segments.flatMap((name, at) => {
      return name.startsWith(':') ? [[name.slice(1), segments[at] ?? ''] as const] : []
    })
    return { ...best, params: Object.fromEntries(params) }
  }
}

function fits({ segments }: Entry, given: readonly string[]): boolean {
  if (segments.length !== given.length) return false
  return segments.every((wanted, at) => {
    const segment = given[at] ?? ''
    return wanted.startsWith(':') ? segment !== '' : wanted === segment
  })
}

/**
 * The name of the plugin and what is behind it, decoded one by one, so that a `%2F` parts nothing;
 * none where a segment is too long or no UTF-8. That the path is one of plugins, the router found.
 */
function segmentsOf(url: string): readonly string[] {
  const [path = ''] = url.replace(/^https?:\/\/[^/]*/i, '').split(/[?#]/, 1)
  const raw = path.split('/').slice(3)
  if (raw.length > segmentsMax + 1) return []
  try {
    const segments = raw.map((segment) => decodeURIComponent(segment))
    return segments.every(({ length }) => length <= paramLengthMax) ? segments : []
  } catch {
    return []
  }
}

function wrongRoute(text: string, problems: readonly OptionProblem[] = []): ServerError {
  return new ServerError('ERR_SERVER_ROUTE', text, { details: { problems } })
}

/** Everything that is wrong with a route, each problem with its field. */
function routeProblems(plugin: string, given: PluginRoute): readonly OptionProblem[] {
  const problems: OptionProblem[] = []
  const need = (holds: boolean, field: string, value: unknown, want: string): void => {
    if (!holds) problems.push({ field, got: showValue(value), want })
  }
  const name = '1 to 64 of A-Z a-z 0-9 . _ - where it has routes, the first a letter or a digit'
  need(typeof plugin === 'string' && namePattern.test(plugin), 'plugin', plugin, name)
  if (typeof given !== 'object' || given === null) {
    need(false, 'route', given, '{ method, path, role, handle, query? }')
    return problems
  }
  const { method, path, role, query = [], handle } = given
  need(methods.includes(method), 'method', method, '"GET", "POST", "PUT" or "DELETE"')
  need(isPath(path), 'path', path, `1 to ${segmentsMax} segments such as /notes/:id, none twice`)
  const roles = '"read", "write" or "operator": who may use it has to be said'
  need(accessRoles.includes(role), 'role', role, roles)
  const names = Array.isArray(query) && query.length <= 32 && new Set(query).size === query.length
  const listed = names && query.every((it) => typeof it === 'string' && queryPattern.test(it))
  need(listed, 'query', query, 'a list of at most 32 names, none twice')
  need(typeof handle === 'function', 'handle', handle, 'a function')
  for (const [field, value] of Object.entries(given)) {
    need(fields.includes(field), field, value, 'absent')
  }
  return problems
}

function isPath(path: unknown): boolean {
  if (typeof path !== 'string' || !path.startsWith('/')) return false
  const segments = path.slice(1).split('/')
  if (segments.length > segmentsMax) return false
  if (!segments.every((it) => segmentPattern.test(it) || paramPattern.test(it))) return false
  const params = segments.filter((it) => it.startsWith(':'))
  return new Set(params).size === params.length
}
