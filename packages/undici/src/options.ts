/** Options of the dispatcher, checked all at once. */
import { describeProblems, type OptionProblem, showValue } from '@kith/interface'
import { Client, type Dispatcher, type Pool } from 'undici'
import { UndiciError } from './errors.ts'
import type { LeaseStrategy, ServiceSource } from './ports.ts'

export interface KithDispatcherOptions {
  /** Whose instances: a `Registry` of a member, or a `RegistryClient`. */
  readonly registry: ServiceSource
  /** The last label of host names that are services; default `kith`, as in `http://web.kith`. */
  readonly domain?: string
  /** How an instance is chosen; default `least-loaded`. `rendezvous` needs `key`. */
  readonly strategy?: LeaseStrategy
  /** What `rendezvous` goes by: requests with the same text go to the same instance. */
  readonly key?: (request: Dispatcher.DispatchOptions) => string
  /** Rather instances of this zone or with these tags, where there are any. */
  readonly prefer?: { readonly zone?: string; readonly tags?: readonly string[] }
  /**
   * Instances tried for one request, 1 to 10; default 3. Methods that are not idempotent are tried
   * again only where nothing of the request was sent.
   */
  readonly attemptsMax?: number
  /** Milliseconds until a connection stands; default 2 000. Less leaves a dead host sooner. */
  readonly connectTimeoutMs?: number
  /**
   * Milliseconds for which an instance that broke a connection is chosen only where there is no
   * other; default 5 000. It ends early where the registry has news of the instance.
   */
  readonly avoidMs?: number
  /** Connections to one instance; default 128. Further requests wait for one. */
  readonly connectionsMax?: number
  /** Further options of undici for the connections to each instance; HTTP/2 is off by default. */
  readonly pool?: Omit<Pool.Options, 'connect' | 'connections' | 'factory' | 'socketPath'>
  /** Who takes requests to other hosts; default undici's global dispatcher. */
  readonly fallback?: Dispatcher
}

export interface ResolvedOptions extends KithDispatcherOptions {
  readonly domain: string
  readonly strategy: LeaseStrategy
  readonly attemptsMax: number
  readonly connectTimeoutMs: number
  readonly avoidMs: number
  readonly connectionsMax: number
}

const strategies: ReadonlySet<unknown> = new Set<LeaseStrategy>([
  'round-robin',
  'random',
  'least-loaded',
  'rendezvous',
  'nearest',
])
/** For each number its default and its bounds. */
const numbers = {
  attemptsMax: [3, 1, 10],
  connectTimeoutMs: [2_000, 1, 600_000],
  avoidMs: [5_000, 0, 600_000],
  connectionsMax: [128, 1, 65_536],
} as const
const others: ReadonlySet<string> = new Set([
  'registry',
  'domain',
  'strategy',
  'key',
  'prefer',
  'pool',
  'fallback',
])

export function resolveOptions(options: KithDispatcherOptions): ResolvedOptions {
  const problems: OptionProblem[] = Object.entries(options)
    .filter(([field]) => !others.has(field) && !Object.hasOwn(numbers, field))
    .map(([field, value]) => ({ field, got: showValue(value), want: 'absent' }))
  const number = (name: keyof typeof numbers): number => {
    const [usual, least, most] = numbers[name]
    const given: unknown = options[name] ?? usual
    if (!Number.isInteger(given) || (given as number) < least || (given as number) > most) {
      const want = `an integer from ${least} to ${most}`
      problems.push({ field: name, got: showValue(given), want })
    }
    return given as number
  }
  const { domain = 'kith', strategy = 'least-loaded' } = options
  const resolved: ResolvedOptions = {
    ...options,
    domain,
    strategy,
    attemptsMax: number('attemptsMax'),
    connectTimeoutMs: number('connectTimeoutMs'),
    avoidMs: number('avoidMs'),
    connectionsMax: number('connectionsMax'),
  }
  problems.push(...objectProblems(resolved), ...textProblems(resolved))
  if (problems.length > 0) {
    const text = describeProblems(problems)
    throw new UndiciError('ERR_UNDICI_OPTIONS', text, { details: { problems } })
  }
  return Object.freeze(resolved)
}

function textProblems({ domain, strategy, key }: ResolvedOptions): OptionProblem[] {
  const problems: OptionProblem[] = []
  if (typeof domain !== 'string' || !/^[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?$/.test(domain)) {
    problems.push({ field: 'domain', got: showValue(domain), want: 'a domain in small letters' })
  }
  if (!strategies.has(strategy)) {
    const want = `one of ${[...strategies].map(String).join(', ')}`
    problems.push({ field: 'strategy', got: showValue(strategy), want })
  }
  if (key === undefined ? strategy === 'rendezvous' : typeof key !== 'function') {
    const want = 'a function of a request, exactly where the strategy is rendezvous'
    problems.push({ field: 'key', got: showValue(key), want })
  }
  return problems
}

function objectProblems({ registry, prefer, pool, fallback }: ResolvedOptions): OptionProblem[] {
  const problems: OptionProblem[] = []
  const methods = ['resolve', 'lease', 'on'] as const
  if (!methods.every((name) => typeof registry?.[name] === 'function')) {
    const want = 'a registry of a member or a registry client'
    problems.push({ field: 'registry', got: showValue(registry), want })
  }
  const { zone, tags = [] } = (prefer ?? {}) as { zone?: unknown; tags?: unknown }
  const texts = Array.isArray(tags) && tags.every((tag) => typeof tag === 'string')
  if (!isObject(prefer ?? {}) || !texts || !['string', 'undefined'].includes(typeof zone)) {
    problems.push({ field: 'prefer', got: showValue(prefer), want: '{ zone?, tags? } of texts' })
  }
  const wrong = poolProblem(pool)
  if (wrong !== undefined) {
    const want = `options of an undici pool (${wrong})`
    problems.push({ field: 'pool', got: showValue(pool), want })
  }
  if (fallback !== undefined && typeof (fallback as Dispatcher | null)?.dispatch !== 'function') {
    problems.push({ field: 'fallback', got: showValue(fallback), want: 'an undici dispatcher' })
  }
  return problems
}

/** What undici has against them; a client opens nothing until it is used. */
function poolProblem(options: unknown = {}): string | undefined {
  if (!isObject(options)) return 'an object'
  const own = ['connect', 'connections', 'factory', 'socketPath']
  const taken = own.find((name) => Object.hasOwn(options as object, name))
  if (taken !== undefined) return `${taken} is the dispatcher's own`
  try {
    void new Client('http://localhost', options as Client.Options).destroy()
    return undefined
  } catch (cause) {
    return (cause as Error).message
  }
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
