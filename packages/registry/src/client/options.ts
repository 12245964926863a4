/** Options of the client, checked all at once. */
import {
  type Clock,
  type Logger,
  type OptionProblem,
  type Random,
  showValue,
  silentLogger,
} from '@kith/interface'
import { systemClock, systemRandom, tlsClientProblems } from '@kith/interface/node'
import { problemError } from '../errors.ts'
import { secureFetch } from './secure-fetch.ts'
import type { RegistryClientOptions } from './types.ts'

export interface ResolvedClientOptions {
  readonly bases: readonly URL[]
  readonly fetch: typeof fetch
  /** Ends the connections of `fetch`, where they are the client's own. */
  readonly close: () => Promise<void>
  readonly timeoutMs: number
  readonly silenceMs: number
  readonly retryMsMax: number
  readonly servicesMax: number
  readonly idleMs: number
  readonly near: string | undefined
  readonly token: string | undefined
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

const urlsMax = 64
/** For each number its default and its bounds. */
const numbers = {
  timeoutMs: [3_000, 1, 600_000],
  silenceMs: [15_000, 100, 600_000],
  retryMsMax: [10_000, 100, 600_000],
  servicesMax: [64, 1, 10_000],
  idleMs: [600_000, 100, 86_400_000],
} as const
const others: ReadonlySet<string> = new Set([
  'urls',
  'fetch',
  'near',
  'token',
  'tls',
  'clock',
  'random',
  'logger',
])

export function resolveClientOptions(options: RegistryClientOptions): ResolvedClientOptions {
  const problems: OptionProblem[] = Object.entries(options)
    .filter(([field]) => !others.has(field) && !Object.hasOwn(numbers, field))
    .map(([field, value]) => ({ field, got: showValue(value), want: 'absent' }))
  checkUrls(options.urls, problems)
  const number = (name: keyof typeof numbers): number => {
    const [usual, least, most] = numbers[name]
    const given: unknown = options[name]
    if (given === undefined) return usual
    const fits = typeof given === 'number' && given >= least && given <= most
    if (!fits || (name === 'servicesMax' && !Number.isInteger(given))) {
      const want = `${name === 'servicesMax' ? 'an integer' : 'a number'} from ${least} to ${most}`
      problems.push({ field: name, got: showValue(given), want })
    }
    return given as number
  }
  const { fetch: request = fetch, tls, near, clock = systemClock } = options
  const { random = systemRandom(), logger = silentLogger, token } = options
  if (token !== undefined && (typeof token !== 'string' || !/^[!-~]{1,512}$/.test(token))) {
    // Never the token itself: messages end in logs.
    const want = 'text of 1 to 512 visible ASCII characters'
    problems.push({ field: 'token', got: typeof token, want })
  }
  if (typeof request !== 'function') {
    problems.push({ field: 'fetch', got: showValue(request), want: 'a function as the global one' })
  }
  if (tls !== undefined) {
    problems.push(...tlsClientProblems(tls, 'tls'))
    if (options.fetch !== undefined) {
      problems.push({ field: 'fetch', got: showValue(request), want: 'absent beside tls' })
    }
  }
  if (near !== undefined && (typeof near !== 'string' || !/^.{1,128}$/su.test(near))) {
    problems.push({ field: 'near', got: showValue(near), want: 'text of 1 to 128 characters' })
  }
  const resolved = {
    timeoutMs: number('timeoutMs'),
    silenceMs: number('silenceMs'),
    retryMsMax: number('retryMsMax'),
    servicesMax: number('servicesMax'),
    idleMs: number('idleMs'),
  }
  if (problems.length > 0) throw problemError('ERR_REGISTRY_CLIENT_OPTIONS', problems)
  const bases = options.urls.map((url) => new URL(url.endsWith('/') ? url : `${url}/`))
  const over = tls === undefined ? { fetch: request, close: async () => {} } : secureFetch(tls)
  const rest = { ...over, near, token, clock, random, logger }
  return Object.freeze({ ...resolved, bases, ...rest })
}

function checkUrls(urls: unknown, problems: OptionProblem[]): void {
  if (!Array.isArray(urls) || urls.length < 1 || urls.length > urlsMax) {
    problems.push({ field: 'urls', got: showValue(urls), want: 'a list of 1 to 64 URLs' })
    return
  }
  for (const [index, url] of (urls as unknown[]).entries()) {
    const fits =
      typeof url === 'string' && URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)
    if (fits) continue
    problems.push({ field: `urls[${index}]`, got: showValue(url), want: 'an http or https URL' })
  }
}
