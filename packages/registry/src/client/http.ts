/** Questions to one agent over HTTP: answered once, or in lines that go on; bounded either way. */
import type { Clock } from '@kith/interface'
import { tlsFailure } from '@kith/interface/node'
import { RegistryError } from '../errors.ts'

/** Bytes of one answer, and of one line of an answer that goes on. */
const answerBytesMax = 16 * 1_048_576

export interface AskOptions {
  readonly fetch: typeof fetch
  readonly clock: Clock
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
  /** Shown to the agent. */
  readonly token: string | undefined
}

/** The parsed answer; rejects with a `RegistryError`, or with the signal's reason. */
export async function askOnce(url: URL, options: AskOptions): Promise<unknown> {
  const patience = new Patience(url, options)
  try {
    const response = await reach(url, patience, options)
    return parseJson(await readText(bodyOf(response, url, patience), url, answerBytesMax), url)
  } finally {
    patience.end()
  }
}

export interface FollowOptions extends AskOptions {
  /** Milliseconds from one word to the next. */
  readonly silenceMs: number
}

/**
 * Each line parsed, undefined for an empty one. Ends when the agent ends its answer; throws a
 * `RegistryError` where it breaks off, is silent for too long or sends what is no JSON.
 */
export async function* askForLines(
  url: URL,
  options: FollowOptions,
): AsyncGenerator<unknown, void, undefined> {
  const patience = new Patience(url, options)
  try {
    const response = await reach(url, patience, options)
    const decoder = new TextDecoder()
    let text = ''
    for await (const chunk of bodyOf(response, url, patience)) {
      patience.renew(options.silenceMs)
      const lines = decoder.decode(chunk, { stream: true }).split('\n')
      lines[0] = text + (lines[0] ?? '')
      text = lines.pop() ?? ''
      for (const line of lines) yield line === '' ? undefined : parseJson(line, url)
      if (text.length > answerBytesMax) throw tooLong(url, answerBytesMax)
    }
    // An answer that does not go on may end without a line break.
    if (text !== '') yield parseJson(text, url)
  } finally {
    patience.end()
  }
}

/** Aborts what waits for an agent, when the caller's signal does or when it takes too long. */
class Patience {
  readonly #over = new AbortController()
  readonly #url: URL
  readonly #clock: Clock
  readonly #outer: AbortSignal | undefined
  readonly #abort = (): void => this.#over.abort(this.#outer?.reason)
  #cancel = (): void => {}

  constructor(url: URL, { clock, signal, timeoutMs }: AskOptions) {
    this.#url = url
    this.#clock = clock
    this.#outer = signal
    signal?.throwIfAborted()
    signal?.addEventListener('abort', this.#abort, { once: true })
    this.renew(timeoutMs)
  }

  get signal(): AbortSignal {
    return this.#over.signal
  }

  renew(timeoutMs: number): void {
    this.#cancel()
    this.#cancel = this.#clock.after(timeoutMs, () => {
      this.#over.abort(unavailable(this.#url, `silent for ${timeoutMs} ms`))
    })
  }

  /** Lets go of timer, signal and connection. */
  end(): void {
    this.#cancel()
    this.#outer?.removeEventListener('abort', this.#abort)
    this.#over.abort()
  }
}

async function reach(url: URL, patience: Patience, options: AskOptions): Promise<Response> {
  const { signal } = patience
  const { token } = options
  const headers = {
    accept: 'application/json',
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  }
  const init: RequestInit = { signal, headers, redirect: 'error' }
  const response = await options.fetch(url, init).catch((cause: unknown) => {
    throw failure(url, patience, cause)
  })
  if (response.ok) return response
  const { status } = response
  const text = await readText(bodyOf(response, url, patience), url, 65_536).catch(() => '')
  const wrongQuestion = status >= 400 && status < 500 && status !== 408 && status !== 429
  throw new RegistryError(
    wrongQuestion ? 'ERR_REGISTRY_CLIENT_REFUSED' : 'ERR_REGISTRY_CLIENT_UNAVAILABLE',
    `${url.origin} answered ${status}: ${text.slice(0, 500)}`,
    { details: { status } },
  )
}

async function* bodyOf(
  response: Response,
  url: URL,
  patience: Patience,
): AsyncGenerator<Uint8Array> {
  try {
    yield* (response.body ?? []) as AsyncIterable<Uint8Array>
  } catch (cause) {
    throw failure(url, patience, cause)
  }
}

async function readText(
  chunks: AsyncIterable<Uint8Array>,
  url: URL,
  bytesMax: number,
): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  let bytes = 0
  for await (const chunk of chunks) {
    bytes += chunk.length
    if (bytes > bytesMax) throw tooLong(url, bytesMax)
    text += decoder.decode(chunk, { stream: true })
  }
  return text + decoder.decode()
}

/** What broke off, where, and why: `fetch failed` says neither. */
function failure(url: URL, { signal }: Patience, cause: unknown): unknown {
  if (signal.aborted) return signal.reason
  const inner = (cause as { cause?: { code?: string; message?: string } }).cause
  const why = tlsFailure(inner) ?? inner?.code ?? inner?.message ?? (cause as Error).message
  return unavailable(url, why, cause)
}

function unavailable(url: URL, why: string, cause?: unknown): RegistryError {
  return new RegistryError('ERR_REGISTRY_CLIENT_UNAVAILABLE', `${url.origin}: ${why}`, { cause })
}

function tooLong(url: URL, bytesMax: number): RegistryError {
  const text = `${url.origin} sent more than ${bytesMax} bytes`
  return new RegistryError('ERR_REGISTRY_CLIENT_RESPONSE', text)
}

function parseJson(text: string, url: URL): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new RegistryError('ERR_REGISTRY_CLIENT_RESPONSE', `${url.origin} sent no JSON`, { cause })
  }
}
