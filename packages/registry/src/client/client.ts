/** Resolution for processes that are no members: asks agents over HTTP, one after the other. */
import type { OptionProblem, ServiceInstance } from '@kith/interface'
import { isKithError, showValue } from '@kith/interface'
import { problemError, RegistryError } from '../errors.ts'
import type { ResolveOptions } from '../runtime/types.ts'
import { readInstances, readServices } from './answers.ts'

export interface RegistryClientOptions {
  /** Base URLs of agents, such as `http://127.0.0.1:7947`; at least one, at most 64. */
  readonly urls: readonly string[]
  /** Default: the global `fetch`. */
  readonly fetch?: typeof fetch
  /**
   * Bound on each agent's answer; default 3 000. More is patience with a slow agent before the
   * next.
   */
  readonly timeoutMs?: number
}

export interface RegistryClientCallOptions {
  readonly signal?: AbortSignal
}

export interface RegistryClient {
  /** How many instances of every status there are under each name. */
  services(options?: RegistryClientCallOptions): Promise<ReadonlyMap<string, number>>
  /**
   * As `Registry.resolve`, from the first agent that answers; the one that answered last is asked
   * first. Rejects with `ERR_REGISTRY_CLIENT_UNAVAILABLE` when none did, and with
   * `ERR_REGISTRY_CLIENT_REFUSED` when one said that the question is wrong.
   */
  resolve(
    service: string,
    options?: ResolveOptions & RegistryClientCallOptions,
  ): Promise<readonly ServiceInstance[]>
}

const answerBytesMax = 16 * 1_048_576
const urlsMax = 64

/**
 * Throws `ERR_REGISTRY_CLIENT_OPTIONS` that names every field at fault. Opens nothing by itself.
 */
export function createRegistryClient(options: RegistryClientOptions): RegistryClient {
  const { urls, timeoutMs = 3_000, fetch: request = fetch } = options
  checkOptions(urls, timeoutMs)
  const bases = urls.map((url) => new URL(url.endsWith('/') ? url : `${url}/`))
  let first = 0

  async function ask(path: string, signal: AbortSignal | undefined): Promise<unknown> {
    const failures: unknown[] = []
    for (let turn = 0; turn < bases.length; turn += 1) {
      const index = (first + turn) % bases.length
      const base = bases[index]
      if (base === undefined) continue
      signal?.throwIfAborted()
      try {
        const answer = await askOne(request, new URL(path, base), timeoutMs, signal)
        first = index
        return answer
      } catch (cause) {
        signal?.throwIfAborted()
        if (isKithError(cause) && cause.code === 'ERR_REGISTRY_CLIENT_REFUSED') throw cause
        failures.push(cause)
      }
    }
    const text = failures.map((cause) => (cause instanceof Error ? cause.message : String(cause)))
    throw new RegistryError(
      'ERR_REGISTRY_CLIENT_UNAVAILABLE',
      `no agent answered: ${text.join('; ')}`,
      { cause: new AggregateError(failures) },
    )
  }

  return {
    services: async ({ signal } = {}) => readServices(await ask('v1/services', signal)),
    async resolve(service, { passing, tags, limit, signal } = {}) {
      const query = new URLSearchParams()
      if (passing !== undefined) query.set('passing', String(passing))
      for (const tag of tags ?? []) query.append('tag', tag)
      if (limit !== undefined) query.set('limit', String(limit))
      const search = query.size > 0 ? `?${query.toString()}` : ''
      return readInstances(await ask(`v1/services/${encodeURIComponent(service)}${search}`, signal))
    },
  }
}

function checkOptions(urls: unknown, timeoutMs: unknown): void {
  const problems: OptionProblem[] = []
  const listed = Array.isArray(urls) && urls.length >= 1 && urls.length <= urlsMax
  if (!listed)
    problems.push({ field: 'urls', got: showValue(urls), want: 'a list of 1 to 64 URLs' })
  for (const [index, url] of (listed ? (urls as unknown[]) : []).entries()) {
    const fits =
      typeof url === 'string' && URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)
    if (fits) continue
    problems.push({ field: `urls[${index}]`, got: showValue(url), want: 'an http or https URL' })
  }
  const time = typeof timeoutMs === 'number' && timeoutMs >= 1 && timeoutMs <= 600_000
  if (!time) {
    const want = 'a number from 1 to 600000'
    problems.push({ field: 'timeoutMs', got: showValue(timeoutMs), want })
  }
  if (problems.length > 0) throw problemError('ERR_REGISTRY_CLIENT_OPTIONS', problems)
}

async function askOne(
  request: typeof fetch,
  url: URL,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<unknown> {
  const timeout = AbortSignal.timeout(timeoutMs)
  const either = signal === undefined ? timeout : AbortSignal.any([timeout, signal])
  const response = await reach(request, url, either)
  const { status } = response
  const text = await readText(response)
  if (response.ok) return parseJson(text, url)
  const wrongQuestion = status >= 400 && status < 500 && status !== 408 && status !== 429
  throw new RegistryError(
    wrongQuestion ? 'ERR_REGISTRY_CLIENT_REFUSED' : 'ERR_REGISTRY_CLIENT_UNAVAILABLE',
    `${url.origin} answered ${status}: ${text.slice(0, 500)}`,
    { details: { status } },
  )
}

async function reach(
  request: typeof fetch,
  url: URL,
  signal: AbortSignal,
): Promise<Awaited<ReturnType<typeof fetch>>> {
  try {
    return await request(url, {
      signal,
      headers: { accept: 'application/json' },
      redirect: 'error',
    })
  } catch (cause) {
    // `fetch failed` says neither where nor why.
    const inner = (cause as { cause?: { code?: string; message?: string } }).cause
    const why = inner?.code ?? inner?.message ?? (cause as Error).message
    throw new RegistryError('ERR_REGISTRY_CLIENT_UNAVAILABLE', `${url.origin}: ${why}`, { cause })
  }
}

async function readText(response: Response): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  let bytes = 0
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += chunk.length
    if (bytes > answerBytesMax) {
      throw new RegistryError('ERR_REGISTRY_CLIENT_RESPONSE', `more than ${answerBytesMax} bytes`)
    }
    text += decoder.decode(chunk, { stream: true })
  }
  return text + decoder.decode()
}

function parseJson(text: string, url: URL): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new RegistryError('ERR_REGISTRY_CLIENT_RESPONSE', `${url.origin} sent no JSON`, { cause })
  }
}
