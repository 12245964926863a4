/** Options and limits of the HTTP server, checked all at once. */
import {
  describeProblems,
  type Logger,
  type OptionProblem,
  showValue,
  silentLogger,
} from '@kith/interface'
import { type TlsServerOptions, tlsServerProblems } from '@kith/interface/node'
import { type AccessToken, tokenProblems } from './access.ts'
import { ServerError } from './errors.ts'

const MIB = 1024 * 1024

/** What one server takes on. Every limit answers with an error that names it. */
export interface ServerLimits {
  /** Bytes of one streamed body; more is answered 413. Default 8 MiB. */
  readonly bodyBytesMax: number
  /**
   * Bytes of all append bodies held at a time; further uploads wait unread. Default 8 MiB, or
   * `bodyBytesMax` where that is more.
   */
  readonly bodiesBytesMax: number
  /**
   * Bytes of one message of replication, which carries the vector of every origin. Default 32 MiB.
   */
  readonly replicationBytesMax: number
  /** Bytes of one JSON body. Default 64 KiB. */
  readonly jsonBytesMax: number
  /** Bytes of one line of an NDJSON body. Default 2 MiB. */
  readonly lineBytesMax: number
  /** Records in one append request, which is stored whole or not at all. Default 10 000. */
  readonly recordsMax: number
  /** Open connections; more are closed at once. Default 1 024. */
  readonly connectionsMax: number
  /** Answers with records at a time, with `follow` or without. Default 256. */
  readonly readersMax: number
  /** Readers with `follow` at a time. Default 128. */
  readonly followersMax: number
  /** Answers that follow a service at a time. Default 512. */
  readonly watchersMax: number
  /**
   * Whoever follows a service hears something at least this often: an empty line where nothing
   * changed. Default 5 000.
   */
  readonly watchBeatMs: number
  /**
   * Requests that plugins work on at a time, those among them whose caller is answered already.
   * Default 64.
   */
  readonly pluginRequestsMax: number
  /** A plugin must have answered a request within this. Default 30 000. */
  readonly pluginTimeoutMs: number
  /** A request must have arrived whole within this. Default 60 000. */
  readonly requestTimeoutMs: number
  /** The head of a request must have arrived within this. Default 10 000. */
  readonly headersTimeoutMs: number
  /** A reader that takes nothing for this long is closed. Default 60 000. */
  readonly writeTimeoutMs: number
  /** Bound of `stop()`. Default 2 500. */
  readonly stopTimeoutMs: number
}

export interface ServerOptions {
  /** Where to listen. Default 127.0.0.1. */
  readonly host?: string
  /** 0 to 65535; default 0, which asks for a free port. */
  readonly port?: number
  readonly logger?: Logger
  readonly limits?: Partial<ServerLimits>
  /**
   * Who may ask for what. Empty, which is the default: whoever reaches the port may do everything.
   */
  readonly tokens?: readonly AccessToken[]
  /**
   * Speaks HTTPS with this certificate; with `ca` only whoever shows one that it signed is
   * answered. Default: plain HTTP.
   */
  readonly tls?: TlsServerOptions
}

export interface ResolvedServerOptions {
  readonly host: string
  readonly port: number
  readonly logger: Logger
  readonly limits: ServerLimits
  readonly tokens: readonly AccessToken[]
  readonly tls: TlsServerOptions | undefined
}

export const defaultServerLimits: ServerLimits = Object.freeze({
  bodyBytesMax: 8 * MIB,
  bodiesBytesMax: 8 * MIB,
  replicationBytesMax: 32 * MIB,
  jsonBytesMax: 64 * 1024,
  lineBytesMax: 2 * MIB,
  recordsMax: 10_000,
  connectionsMax: 1024,
  readersMax: 256,
  followersMax: 128,
  watchersMax: 512,
  watchBeatMs: 5_000,
  pluginRequestsMax: 64,
  pluginTimeoutMs: 30_000,
  requestTimeoutMs: 60_000,
  headersTimeoutMs: 10_000,
  writeTimeoutMs: 60_000,
  stopTimeoutMs: 2_500,
})

const optionNames: readonly string[] = ['host', 'port', 'logger', 'limits', 'tokens', 'tls']

/** Fills in the defaults; throws `ERR_SERVER_OPTIONS` with everything that is wrong. */
export function resolveServerOptions(options: ServerOptions): ResolvedServerOptions {
  const problems: OptionProblem[] = Object.entries(options)
    .filter(([field]) => !optionNames.includes(field))
    .map(([field, value]) => ({ field, got: showValue(value), want: 'absent' }))
  const host = options.host ?? '127.0.0.1'
  if (typeof host !== 'string' || !/^[0-9A-Za-z.:_-]{1,253}$/.test(host)) {
    problems.push({ field: 'host', got: showValue(host), want: 'an IP address or a host name' })
  }
  const port = options.port ?? 0
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    problems.push({ field: 'port', got: showValue(port), want: 'an integer from 0 to 65535' })
  }
  const limits = resolveLimits(options.limits ?? {}, problems)
  const { tokens = [], tls, logger = silentLogger } = options
  problems.push(...tokenProblems(tokens, 'tokens'))
  if (tls !== undefined) problems.push(...tlsServerProblems(tls, 'tls'))
  if (problems.length > 0) {
    throw new ServerError('ERR_SERVER_OPTIONS', describeProblems(problems), {
      details: { problems },
    })
  }
  return Object.freeze({ host, port, logger, limits, tokens, tls })
}

function resolveLimits(given: Partial<ServerLimits>, problems: OptionProblem[]): ServerLimits {
  const { bodyBytesMax, bodiesBytesMax } = defaultServerLimits
  const limits = {
    ...defaultServerLimits,
    // Room for one body at least, also where only its own limit was raised.
    bodiesBytesMax: Math.max(bodiesBytesMax, Number(given.bodyBytesMax ?? bodyBytesMax) || 0),
    ...given,
  }
  for (const [name, value] of Object.entries(limits)) {
    if (!Object.hasOwn(defaultServerLimits, name)) {
      problems.push({ field: `limits.${name}`, got: showValue(value), want: 'absent' })
    } else if (!Number.isSafeInteger(value) || value < 1 || value > 2 ** 31 - 1) {
      const want = 'an integer from 1 to 2147483647'
      problems.push({ field: `limits.${name}`, got: showValue(value), want })
    }
  }
  if (limits.bodiesBytesMax < limits.bodyBytesMax) {
    problems.push({
      field: 'limits.bodiesBytesMax',
      got: showValue(limits.bodiesBytesMax),
      want: `at least limits.bodyBytesMax (${limits.bodyBytesMax})`,
    })
  }
  return Object.freeze(limits)
}
