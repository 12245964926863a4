/** Another member's log over HTTP/1.1: two connections, so that a parked pull blocks nothing. */
import { createRequire } from 'node:module'
import { describeProblems, formatAddress, isKithError, showValue } from '@kith/interface'
import type { Address, OptionProblem, ReplicationSource } from '@kith/interface'
import {
  forCurrentTls,
  tlsClientProblems,
  type TlsClientSource,
  tlsContext,
  tlsFailure,
} from '@kith/interface/node'
import type { buildConnector, Dispatcher, Pool } from 'undici'
import type * as Undici from 'undici'
import { isReplicatorCode, ReplicatorError } from '../errors.ts'
import { createCodec } from '../wire/codec.ts'
import type { Codec, Decoded } from '../wire/codec.ts'
import { wireLimits } from '../wire/limits.ts'
import { announcedLength, readBody } from './body.ts'
import type { ReplicationOperation } from './handler.ts'
import { MessageMemory } from './memory.ts'

const require = createRequire(import.meta.url)

/** Loaded for the first source: a member that is alone asks nobody. */
function undici(): typeof Undici {
  return require('undici') as typeof Undici
}

export interface HttpSourceOptions {
  /** `http://127.0.0.1:7947`, or `https:`; a path is kept as a prefix. Or give `address`. */
  readonly url?: string
  readonly address?: Address
  /** Milliseconds until a connection counts as impossible, 10 to 60,000; default 5,000. */
  readonly connectTimeoutMs?: number
  /** Milliseconds an answer may take beyond its parking time, 10 to 120,000; default 10,000. */
  readonly answerTimeoutMs?: number
  /** Connections kept, 1 to 8; default 2. */
  readonly connectionsMax?: number
  /** Shown to the member as a bearer token, 1 to 512 characters without blanks. Default: none. */
  readonly token?: string
  /**
   * For `https:` and for `address`, which is called with TLS then: whom we trust and what we show.
   * A function is asked for each connection. Default: the authorities of Node.js, and nothing.
   */
  readonly tls?: TlsClientSource
}

interface Remote {
  readonly pool: Pool
  readonly codec: Codec
  readonly prefix: string
  readonly headers: Readonly<Record<string, string>>
  readonly answerTimeoutMs: number
  readonly closing: AbortController
  readonly memory: MessageMemory
}

interface Call {
  readonly operation: ReplicationOperation
  readonly bytes: Uint8Array
  readonly bytesMax: number
  readonly waitMs: number
  readonly signal: AbortSignal
  /** For an answer that is given back. */
  readonly memory?: MessageMemory
}

/** Bad options throw here. Nothing is opened before the first call. */
export function httpSource(options: HttpSourceOptions): ReplicationSource {
  const remote = openRemote(options)
  const { codec } = remote
  return {
    async hello(message, signal) {
      const bytes = codec.hello.encode(message)
      const bytesMax = wireLimits.responseBytesMax
      const answer = await call(remote, { operation: 'hello', bytes, bytesMax, waitMs: 0, signal })
      return open(codec.hello.decode(answer))
    },
    async pull(request, signal) {
      const bytes = codec.pullRequest.encode(request)
      const bytesMax = wireLimits.responseBytesMax
      const [waitMs, { memory }] = [request.maxWaitMs, remote]
      const wanted = { operation: 'pull', bytes, bytesMax, waitMs, signal, memory } as const
      const answer = await call(remote, wanted)
      const response = open(codec.pullResponse.decode(answer))
      return { ...response, release: memory.releaseOf(answer) }
    },
    async chainAt(origin, sequences, signal) {
      const bytes = codec.chainRequest.encode({ origin, sequences })
      const bytesMax = wireLimits.smallBytesMax
      const answer = await call(remote, { operation: 'chain', bytes, bytesMax, waitMs: 0, signal })
      return open(codec.chainResponse.decode(answer))
    },
    async fetch(origin, first, signal) {
      const bytes = codec.fetchRequest.encode({ origin, first })
      const bytesMax = wireLimits.batchBytesMax + wireLimits.smallBytesMax
      const answer = await call(remote, { operation: 'fetch', bytes, bytesMax, waitMs: 0, signal })
      return open(codec.fetchResponse.decode(answer))
    },
    async close() {
      remote.closing.abort(new ReplicatorError('ERR_REPLICATOR_STOPPED', 'the source was closed'))
      await remote.pool.destroy()
      remote.memory.clear()
    },
  }
}

const optionNames: ReadonlySet<string> = new Set<keyof HttpSourceOptions>([
  'url',
  'address',
  'connectTimeoutMs',
  'answerTimeoutMs',
  'connectionsMax',
  'token',
  'tls',
])

/** Undefined for what names no port that could be connected to. */
function addressUrl({ address, tls }: HttpSourceOptions): string | undefined {
  const { host, port } = address ?? { host: '', port: 0 }
  const scheme = tls === undefined ? 'http' : 'https'
  return host !== '' && port > 0 ? `${scheme}://${formatAddress({ host, port })}` : undefined
}

function openRemote(options: HttpSourceOptions): Remote {
  const { connectTimeoutMs = 5_000, answerTimeoutMs = 10_000, connectionsMax = 2 } = options
  const problems: OptionProblem[] = Object.keys(options)
    .filter((field) => !optionNames.has(field))
    .map((field) => ({ field, got: 'an unknown option', want: 'left out' }))
  checkInteger(problems, 'connectTimeoutMs', connectTimeoutMs, 10, 60_000)
  checkInteger(problems, 'answerTimeoutMs', answerTimeoutMs, 10, 120_000)
  checkInteger(problems, 'connectionsMax', connectionsMax, 1, 8)
  const { address, token, tls } = options
  if (token !== undefined && (typeof token !== 'string' || !/^[!-~]{1,512}$/.test(token))) {
    // Never the token itself: messages end in logs.
    const want = 'text of 1 to 512 visible ASCII characters'
    problems.push({ field: 'token', got: typeof token, want })
  }
  const [field, text] =
    options.url === undefined && address !== undefined
      ? (['address', addressUrl(options)] as const)
      : (['url', options.url] as const)
  const url = text !== undefined && URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.hostname === '') {
    const got = showValue(field === 'url' ? text : address)
    problems.push({ field, got, want: 'an http: or https: address with a port above 0' })
  }
  if (tls !== undefined) problems.push(...tlsClientProblems(tls, 'tls'))
  if (problems.length > 0 || url === undefined) {
    throw new ReplicatorError('ERR_REPLICATOR_OPTIONS', describeProblems(problems), {
      details: problems,
    })
  }
  const pool = new (undici().Pool)(url.origin, {
    connections: connectionsMax,
    pipelining: 1,
    connect: connectorOf(tls, connectTimeoutMs),
    // A connection that idles longer than this is not kept: the far side may have closed its end.
    keepAliveTimeout: 4_000,
  })
  const prefix = url.pathname.replace(/\/$/, '')
  const headers = {
    'content-type': 'application/vnd.kith.replication',
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  }
  const closing = new AbortController()
  const memory = new MessageMemory()
  return { pool, codec: createCodec(), prefix, headers, answerTimeoutMs, closing, memory }
}

function connectorOf(tls: TlsClientSource = {}, timeout: number): buildConnector.connector {
  const current = forCurrentTls(tls, ({ serverName, ...shown }) => {
    const name = serverName === undefined ? {} : { servername: serverName }
    return undici().buildConnector({ timeout, allowH2: false, ...tlsContext(shown), ...name })
  })
  return (options, callback) => current()(options, callback)
}

function checkInteger(
  problems: OptionProblem[],
  field: string,
  value: unknown,
  min: number,
  max: number,
): void {
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) return
  problems.push({ field, got: String(value), want: `an integer from ${min} to ${max}` })
}

async function call(remote: Remote, request: Call): Promise<Uint8Array> {
  const { closing } = remote
  closing.signal.throwIfAborted()
  request.signal.throwIfAborted()
  const signal = AbortSignal.any([closing.signal, request.signal])
  const limitMs = request.waitMs + remote.answerTimeoutMs
  try {
    const response = await remote.pool.request({
      method: 'POST',
      path: `${remote.prefix}/v1/replication/${request.operation}`,
      headers: remote.headers,
      body: request.bytes,
      signal,
      headersTimeout: limitMs,
      bodyTimeout: remote.answerTimeoutMs,
    })
    return await readAnswer(response, request.bytesMax, request.memory)
  } catch (cause) {
    if (signal.aborted) throw signal.reason
    if (isKithError(cause)) throw cause
    const reason = tlsFailure(cause) ?? (cause instanceof Error ? cause.message : String(cause))
    const text = `${request.operation} failed: ${reason}`
    throw new ReplicatorError('ERR_REPLICATOR_UNAVAILABLE', text, { cause })
  }
}

const problemBytesMax = 16 * 1024

async function readAnswer(
  response: Dispatcher.ResponseData,
  bytesMax: number,
  memory: MessageMemory | undefined,
): Promise<Uint8Array> {
  const expected = announcedLength(response.headers['content-length'])
  try {
    if (response.statusCode === 200) {
      return await readBody(response.body, bytesMax, expected, memory)
    }
    throw problemError(
      response.statusCode,
      await readBody(response.body, problemBytesMax, expected),
    )
  } catch (cause) {
    // What is left of a body that is not wanted must not hold the connection.
    response.body.destroy()
    throw cause
  }
}

function problemError(status: number, bytes: Uint8Array): ReplicatorError {
  const document = parseProblem(bytes)
  const code = isReplicatorCode(document['code']) ? document['code'] : 'ERR_REPLICATOR_UNAVAILABLE'
  const detail = typeof document['detail'] === 'string' ? document['detail'] : 'no detail given'
  const text = `answered ${status}: ${detail.slice(0, 500)}`
  return new ReplicatorError(code, text, { details: { status } })
}

function parseProblem(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes))
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

function open<Value>(decoded: Decoded<Value>): Value {
  if (decoded.ok) return decoded.value
  throw new ReplicatorError('ERR_REPLICATOR_MALFORMED', `malformed answer: ${decoded.problem}`)
}
