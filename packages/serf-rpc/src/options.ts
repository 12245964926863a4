/** Options of server and client: checked all at once, before anything is opened. */
import {
  type Address,
  type Clock,
  describeProblems,
  type Logger,
  type OptionProblem,
  parseAddress,
  showValue,
  silentLogger,
} from '@kith/interface'
import {
  systemClock,
  tlsClientProblems,
  type TlsClientSource,
  type TlsServerOptions,
  tlsServerProblems,
} from '@kith/interface/node'
import { RpcError } from './errors.ts'
import { defaultServerLimits, type RpcServerLimits } from './limits.ts'
import type { SerfRpcHost } from './ports.ts'

export interface SerfRpcServerOptions {
  /** The agent that the server speaks for. Required. */
  readonly host: SerfRpcHost
  /**
   * Where to listen on TCP, `host:port`; port 0 takes a free one. Default: 127.0.0.1 with a free
   * port, or nowhere where `path` is given.
   */
  readonly address?: string | Address
  /** A Unix socket to listen on; only the owner of the process may open it. Default: none. */
  readonly path?: string
  /**
   * What callers must show first. Default: nothing; then only loopback is allowed, because whoever
   * reaches the port commands the cluster.
   */
  readonly authKey?: string
  /**
   * TCP speaks TLS with this certificate; with `ca` only whoever shows one that it signed is
   * answered. Serf's own command knows no TLS. Default: plaintext. A `path` never speaks it.
   */
  readonly tls?: TlsServerOptions
  readonly limits?: Partial<RpcServerLimits>
  readonly logger?: Logger
  readonly clock?: Clock
}

export interface ResolvedServerOptions {
  readonly host: SerfRpcHost
  readonly address: Address | undefined
  readonly path: string | undefined
  readonly authKey: string | undefined
  readonly tls: TlsServerOptions | undefined
  readonly limits: RpcServerLimits
  readonly logger: Logger
  readonly clock: Clock
}

export interface SerfClientOptions {
  /** Where the agent's RPC listens, `host:port`. Default `127.0.0.1:7373`, as Serf's. */
  readonly address?: string | Address
  /** Its Unix socket instead. */
  readonly path?: string
  /** What the agent wants to be shown. Default: nothing. */
  readonly authKey?: string
  /**
   * Speaks TLS with the agent, which has to be one of Kith: whom we trust and what we show. A
   * function is asked for each connection. Not beside `path`. Default: plaintext.
   */
  readonly tls?: TlsClientSource
  /** Milliseconds for connection, handshake and key together. Default 10 000. */
  readonly connectTimeoutMs?: number
  /**
   * Milliseconds for the answer to a command. Default 30 000: `leave` and commands about keys take
   * several seconds.
   */
  readonly requestTimeoutMs?: number
  /** Attempts to connect until a command fails. Default 1. */
  readonly connectAttemptsMax?: number
  /** Milliseconds before the second attempt; doubled with each further one. Default 250. */
  readonly reconnectDelayMs?: number
  /** The longest wait between two attempts, in milliseconds. Default 5 000. */
  readonly reconnectDelayMsMax?: number
  /** Bytes of one answer or record of the agent. Default 67 108 864. */
  readonly responseBytesMax?: number
  /** Commands that wait for their answers at the same time; more are refused. Default 256. */
  readonly requestsMax?: number
  /** Records of one iteration that wait for its consumer; then reading stops. Default 1 024. */
  readonly recordsMax?: number
}

type Numbers = Required<
  Pick<
    SerfClientOptions,
    | 'connectTimeoutMs'
    | 'requestTimeoutMs'
    | 'connectAttemptsMax'
    | 'reconnectDelayMs'
    | 'reconnectDelayMsMax'
    | 'responseBytesMax'
    | 'requestsMax'
    | 'recordsMax'
  >
>

export interface ResolvedClientOptions extends Numbers {
  readonly target: Address | string
  readonly authKey: string | undefined
  readonly tls: TlsClientSource | undefined
}

const clientDefaults: Numbers = Object.freeze({
  connectTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  connectAttemptsMax: 1,
  reconnectDelayMs: 250,
  reconnectDelayMsMax: 5_000,
  responseBytesMax: 67_108_864,
  requestsMax: 256,
  recordsMax: 1_024,
})

const authKeyBytesMax = 1_024
const integerMax = 2 ** 31 - 1

/** The options with their defaults; throws `ERR_RPC_OPTIONS` with every problem. */
export function resolveServerOptions(options: SerfRpcServerOptions): ResolvedServerOptions {
  const problems = unknownFields(options, [
    'host',
    'address',
    'path',
    'authKey',
    'tls',
    'limits',
    'logger',
    'clock',
  ])
  const { host, authKey, path, tls } = options
  if (typeof host !== 'object' || host === null) {
    problems.push({ field: 'host', got: showValue(host), want: 'an agent to speak for' })
  }
  const free = path === undefined ? { host: '127.0.0.1', port: 0 } : undefined
  const address = readAddress(options.address, 0, problems) ?? free
  checkPath(path, problems)
  checkKey(authKey, problems)
  if (address !== undefined && authKey === undefined && !isLoopback(address.host)) {
    const want = 'given where the address is not on loopback: whoever reaches it commands'
    problems.push({ field: 'authKey', got: 'nothing', want })
  }
  if (tls !== undefined) problems.push(...tlsServerProblems(tls, 'tls'))
  const limits = readLimits(options.limits ?? {}, problems)
  throwProblems(problems)
  const { logger = silentLogger, clock = systemClock } = options
  return Object.freeze({ host, address, path, authKey, tls, limits, logger, clock })
}

/** The options with their defaults; throws `ERR_RPC_OPTIONS` with every problem. */
export function resolveClientOptions(options: SerfClientOptions): ResolvedClientOptions {
  const { address: given, path, authKey, tls, ...numbers } = options
  const problems = unknownFields(numbers, Object.keys(clientDefaults))
  const address = readAddress(given, 1, problems)
  checkPath(path, problems)
  checkKey(authKey, problems)
  if (given !== undefined && path !== undefined) {
    problems.push({ field: 'path', got: showValue(path), want: 'absent where address is given' })
  }
  if (tls !== undefined) {
    problems.push(...tlsClientProblems(tls, 'tls'))
    if (path !== undefined) {
      problems.push({ field: 'path', got: showValue(path), want: 'absent where tls is given' })
    }
  }
  const set = Object.entries(numbers).filter(([, value]) => value !== undefined)
  const resolved: Numbers = { ...clientDefaults, ...(Object.fromEntries(set) as typeof numbers) }
  for (const field of Object.keys(clientDefaults) as (keyof Numbers)[]) {
    checkInteger(field, resolved[field], problems)
  }
  throwProblems(problems)
  const target = path ?? address ?? { host: '127.0.0.1', port: 7373 }
  return Object.freeze({ ...resolved, target, authKey, tls })
}

function unknownFields(options: object, known: readonly string[]): OptionProblem[] {
  return Object.entries(options)
    .filter(([field]) => !known.includes(field))
    .map(([field, value]) => ({
      field,
      got: showValue(value),
      want: 'absent (the name is not known here)',
    }))
}

function readAddress(
  given: string | Address | undefined,
  portMin: 0 | 1,
  problems: OptionProblem[],
): Address | undefined {
  if (given === undefined) return undefined
  const address = typeof given === 'string' ? parseAddress(given) : given
  const { host, port } = address ?? { host: '', port: -1 }
  if (typeof host === 'string' && host !== '' && Number.isInteger(port)) {
    if (port >= portMin && port <= 65_535) return { host, port }
  }
  const want = `host:port with a port from ${portMin} to 65535`
  problems.push({ field: 'address', got: showValue(given), want })
  return undefined
}

/** What `sun_path` holds on every system, its end included. */
const pathBytesMax = 103

function checkPath(path: unknown, problems: OptionProblem[]): void {
  if (path === undefined) return
  const bytes = typeof path === 'string' ? Buffer.byteLength(path) : 0
  if (bytes >= 1 && bytes <= pathBytesMax) return
  const want = `a path of 1 to ${pathBytesMax} bytes`
  problems.push({ field: 'path', got: showValue(path), want })
}

function checkKey(key: unknown, problems: OptionProblem[]): void {
  if (key === undefined) return
  const bytes = typeof key === 'string' ? Buffer.byteLength(key) : 0
  if (bytes >= 1 && bytes <= authKeyBytesMax) return
  const got = typeof key === 'string' ? `a text of ${bytes} bytes` : typeof key
  // The key itself is not shown: messages end in logs.
  problems.push({ field: 'authKey', got, want: `a text of 1 to ${authKeyBytesMax} bytes` })
}

function readLimits(given: object, problems: OptionProblem[]): RpcServerLimits {
  const known = Object.keys(defaultServerLimits)
  for (const { field, ...rest } of unknownFields(given, known)) {
    problems.push({ field: `limits.${field}`, ...rest })
  }
  const set = Object.entries(given).filter(([, value]) => value !== undefined)
  const limits = { ...defaultServerLimits, ...(Object.fromEntries(set) as object) }
  for (const field of known as (keyof RpcServerLimits)[]) {
    checkInteger(`limits.${field}`, limits[field], problems)
  }
  return Object.freeze(limits)
}

function checkInteger(field: string, value: number, problems: OptionProblem[]): void {
  if (Number.isInteger(value) && value >= 1 && value <= integerMax) return
  problems.push({ field, got: showValue(value), want: `an integer from 1 to ${integerMax}` })
}

function throwProblems(problems: readonly OptionProblem[]): void {
  if (problems.length === 0) return
  throw new RpcError('ERR_RPC_OPTIONS', describeProblems(problems), { details: { problems } })
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host)
}
