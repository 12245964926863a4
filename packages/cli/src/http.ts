/** Asks one agent over HTTP. */
import { createRequire } from 'node:module'
import { tlsContext, tlsFailure } from '@kith/interface/node'
import type { Dispatcher } from 'undici'
import type * as Undici from 'undici'
import { CliError } from './errors.ts'
import type { Io } from './io.ts'
import { readTls, type TlsFlags } from './tls.ts'

const require = createRequire(import.meta.url)

/** Loaded late: most commands ask nobody over HTTP, an agent least of all. */
function undici(): typeof Undici {
  return require('undici') as typeof Undici
}

export interface AskOptions {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  readonly body?: Uint8Array | string
  readonly type?: string
  /** The whole answer must have come within this; default 30 000. */
  readonly timeoutMs?: number
}

export interface HttpCaller extends AsyncDisposable {
  readonly url: string
  /** The JSON answer. Rejects with `ERR_CLI_UNREACHABLE`, `ERR_CLI_REFUSED` or `ERR_CLI_ANSWER`. */
  json<Answer>(path: string, options?: AskOptions): Promise<Answer>
  /** Asks for something that is answered without a body. Rejects as `json` does. */
  tell(path: string, options?: AskOptions): Promise<void>
  /** The lines of an answer as they come; without a bound on their time when `follow` is set. */
  lines(path: string, options?: AskOptions & { signal?: AbortSignal }): AsyncGenerator<string>
}

const ANSWER_BYTES_MAX = 64 * 1024 * 1024

export interface HttpFlags extends TlsFlags {
  readonly httpAddr: string
}

/** The token comes from the environment: flags are seen by everybody on the machine. */
export function createHttpCaller(flags: HttpFlags, io: Pick<Io, 'env'>): HttpCaller {
  const { httpAddr: url } = flags
  const token = shownToken(io)
  const shown = token === undefined ? {} : { authorization: `Bearer ${token}` }
  const { Agent, request } = undici()
  const dispatcher = new Agent({ connect: connecting(flags, io), keepAliveTimeout: 1000 })

  async function ask(path: string, options: AskOptions & { signal?: AbortSignal }) {
    const { method = 'GET', query = {}, body, type, signal } = options
    const asked = new URL(path, url)
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) asked.searchParams.set(name, String(value))
    }
    try {
      return await request(asked, {
        method,
        dispatcher,
        headersTimeout: options.timeoutMs ?? 30_000,
        bodyTimeout: signal ? 0 : 30_000,
        ...(signal === undefined ? {} : { signal }),
        ...(body === undefined ? {} : { body }),
        headers: { ...shown, ...(body === undefined ? {} : { 'content-type': type ?? '' }) },
      })
    } catch (cause) {
      throw signal?.aborted ? cause : unreachable(url, cause)
    }
  }
  async function accepted(path: string, options: AskOptions & { signal?: AbortSignal }) {
    const answer = await ask(path, options)
    if (answer.statusCode >= 400) throw await refusal(answer, url)
    return answer
  }

  const caller: HttpCaller = {
    url,
    async json<Answer>(path: string, options: AskOptions = {}) {
      const { body } = await accepted(path, options)
      const text = await readText(body, url)
      try {
        return JSON.parse(text) as Answer
      } catch (cause) {
        throw new CliError('ERR_CLI_ANSWER', `${url} answered with something that is no JSON`, {
          cause,
        })
      }
    },
    async tell(path, options = {}) {
      const { body } = await accepted(path, options)
      await body.dump()
    },
    async *lines(path, options = {}) {
      const { body } = await accepted(path, options)
      let rest = ''
      body.setEncoding('utf8')
      try {
        for await (const chunk of body) {
          const parts = (rest + (chunk as string)).split('\n')
          rest = parts.pop() ?? ''
          yield* parts
        }
      } catch (cause) {
        if (options.signal?.aborted) return
        throw unreachable(url, cause)
      }
      if (rest !== '') yield rest
    },
    [Symbol.asyncDispose]: () => dispatcher.destroy(),
  }
  return caller
}

function connecting(flags: HttpFlags, io: Pick<Io, 'env'>): object {
  const common = { timeout: 5000, allowH2: false }
  if (!flags.httpAddr.startsWith('https:')) return common
  const { serverName, ...shown } = readTls(flags, io)
  const name = serverName === undefined ? {} : { servername: serverName }
  return { ...common, ...tlsContext(shown), ...name }
}

/** Throws `ERR_CLI_CONFIG` where it is none that could be shown. */
export function shownToken({ env }: Pick<Io, 'env'>): string | undefined {
  const token = env['KITH_HTTP_TOKEN'] || undefined
  if (token === undefined || /^[!-~]{1,512}$/.test(token)) return token
  const want = '1 to 512 visible ASCII characters'
  throw new CliError('ERR_CLI_CONFIG', `the environment's KITH_HTTP_TOKEN must be ${want}`)
}

async function readText(body: AsyncIterable<Buffer>, url: string): Promise<string> {
  const parts: Buffer[] = []
  let bytes = 0
  try {
    for await (const part of body) {
      bytes += part.length
      if (bytes > ANSWER_BYTES_MAX) break
      parts.push(part)
    }
  } catch (cause) {
    throw unreachable(url, cause)
  }
  if (bytes > ANSWER_BYTES_MAX) {
    const text = `${url} answered with more than ${ANSWER_BYTES_MAX} bytes`
    throw new CliError('ERR_CLI_ANSWER', text)
  }
  return Buffer.concat(parts).toString('utf8')
}

async function refusal(answer: Dispatcher.ResponseData, url: string): Promise<CliError> {
  const { statusCode: status } = answer
  let problem: { detail?: unknown; code?: unknown } = {}
  try {
    problem = JSON.parse(await readText(answer.body, url)) as typeof problem
  } catch {
    // Whatever answered is no agent of ours; its status is all there is to say.
  }
  const { detail, code } = problem
  const known =
    typeof detail === 'string' ? detail : `${url} answered ${status}; is it an agent of Kith?`
  const text = `${known}${hints[status === 401 ? 'token' : String(code)] ?? ''}`
  return new CliError('ERR_CLI_REFUSED', typeof code === 'string' ? `${text} (${code})` : text, {
    details: { status, ...(typeof code === 'string' ? { agentCode: code } : {}) },
  })
}

/** What to do about a refusal. */
const hints: Readonly<Record<string, string>> = {
  token: '; set KITH_HTTP_TOKEN',
  ERR_SERVER_CERTIFICATE:
    '; name one with --tls-cert and --tls-key, or KITH_TLS_CERT and KITH_TLS_KEY',
}

function unreachable(url: string, cause: unknown): CliError {
  const insecure = tlsFailure(cause)
  if (insecure !== undefined) {
    const text =
      `the agent at ${url} cannot be asked: ${insecure}; ` +
      'name whom to trust with --tls-ca or KITH_TLS_CA, or another address with --http-addr'
    return new CliError('ERR_CLI_UNREACHABLE', text, { cause })
  }
  const { code, message } = cause as { code?: string; message?: string }
  const why = code ?? message ?? 'unknown reason'
  // So it looks from here, where the other side waits for a handshake.
  const hungUp = code === 'UND_ERR_SOCKET' && url.startsWith('http:')
  return new CliError(
    'ERR_CLI_UNREACHABLE',
    `no agent answers at ${url} (${hungUp ? `${why}; it may speak https only` : why}); ` +
      'start one with "kith agent", or name another with --http-addr or KITH_HTTP_ADDR',
    { cause },
  )
}
