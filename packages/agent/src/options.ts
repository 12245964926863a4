/** Options of an agent, checked all at once before anything starts. */
import { createHash } from 'node:crypto'
import { isIP } from 'node:net'
import { hostname } from 'node:os'
import { join as joinPath, resolve as resolvePath } from 'node:path'
import {
  type Address,
  type CheckKind,
  type Logger,
  type OptionProblem,
  parseAddress,
  type Random,
  showValue,
  silentLogger,
} from '@kith/interface'
import { systemRandom } from '@kith/interface/node'
import { type LogStorage, type RetentionOptions, retentionProblems } from '@kith/log'
import { bytesPerSecondBounds, type GapPolicy } from '@kith/replicator'
import { type ServiceDefinition, serviceProblems } from '@kith/registry'
import type { AccessToken } from '@kith/server'
import { type EncryptionOptions, isEncrypted, resolveEncryption } from './encryption.ts'
import type { ResolvedEncryption } from './encryption.ts'
import { invalidOptions } from './errors.ts'
import { type AgentDiscovery, readDiscovery } from './finding.ts'
import { type EventHandler, readEventHandlers } from './handler-options.ts'
import type { ResolvedEventHandler } from './handler-options.ts'
import { isLoopback, isWildcard } from './hosts.ts'
import type { AgentPlugin } from './plugin.ts'
import { type Added, kindProblems, withPlugins } from './plugin-options.ts'
import { readTokens } from './tokens.ts'
import { type ResolvedRpc, resolveRpc, rpcExposure, type RpcOptions } from './rpc-options.ts'
import { isGuarded, type ResolvedTls, resolveTls, type TlsOptions } from './tls-options.ts'

export type AgentProfile = 'lan' | 'wan' | 'local' | 'fast'

export interface AgentOptions extends EncryptionOptions, RpcOptions, TlsOptions {
  /** 1 to 128 of `[A-Za-z0-9._-]`, unique in the cluster. Default: the host name and a suffix. */
  readonly name?: string
  /** Where gossip listens, `host:port`. Default 127.0.0.1 with a free port. */
  readonly bind?: string | Address
  /**
   * Where others reach our gossip. Default: where it listens. `auto`, where `bind` is a wildcard:
   * an address that this machine has, looked for anew once a second; the services, and the address
   * of a wildcard `http`, go where it goes.
   */
  readonly advertise?: string | Address
  /** Members to join: `host:port` or `name/host:port`. Tried again until one answers. */
  readonly join?: readonly string[]
  /**
   * Further ways to find them, asked as often: `dns:NAME` and `dns:NAME:PORT` (A and AAAA, or SRV
   * records of a name that begins with an underscore), `file:PATH` (an address a line), a plugin.
   */
  readonly discovery?: readonly AgentDiscovery[]
  /**
   * The file in which this member remembers the others, in Serf's format: after a crash it finds
   * back without `join`. Default `members.snapshot` in `data`; without `data` none.
   */
  readonly snapshot?: string
  /** Finds back also after it had left in order. Default false. */
  readonly rejoinAfterLeave?: boolean
  /** Where the HTTP interface listens. Default 127.0.0.1 with a free port. */
  readonly http?: string | Address
  /**
   * Where others reach it. Default: where it listens; for a wildcard, the host at which gossip is
   * reached, also after that has become another one.
   */
  readonly httpAdvertise?: string | Address
  /**
   * Who may ask for what over HTTP. Default: nobody needs a token, which whoever reaches the port
   * can then do everything with.
   */
  readonly httpTokens?: readonly AccessToken[]
  /**
   * What this member shows to the others when it copies their records; whoever is a member gets to
   * see it. Default: the first of `httpTokens` that has the smallest role.
   */
  readonly httpToken?: string
  /** A directory for the log. Absent: a memory log, which ends with the process. */
  readonly data?: string
  /**
   * How a new log is kept in `data`: `sqlite`, in one file, or `segment`, which takes more appends a
   * second. Another than the one there is `ERR_LOG_FORMAT` at the start. Default: as the log there,
   * `sqlite` where there is none.
   */
  readonly logStorage?: LogStorage
  /** Bounds on the records kept; the oldest go. Default: everything is kept. */
  readonly retention?: RetentionOptions
  /**
   * Bytes of records a second that are copied from all others together, 262,144 to 17,179,869,184,
   * or 0 for no limit. Default 0.
   */
  readonly replicationBytesPerSecond?: number
  /**
   * What becomes of an origin of which the next records are held by nobody any more: `halt` waits
   * for a member that has them, `skip` declares them lost in this log, for good. Default halt.
   */
  readonly gapPolicy?: GapPolicy
  /** Told to all members; names that begin with `kith.` are the agent's own. */
  readonly tags?: Readonly<Record<string, string>>
  /** Pace of probes and gossip. Default lan. */
  readonly profile?: AgentProfile
  /** Allows addresses other than loopback although gossip is not encrypted. Default false. */
  readonly insecurePlaintext?: boolean
  /** Registered at the start. */
  readonly services?: readonly ServiceDefinition[]
  /**
   * Kinds of checks beside the built-in ones, for instance `scriptCheck()` of `@kith/registry`:
   * with it, whoever may register a service over HTTP runs programs on this host.
   */
  readonly checkKinds?: readonly CheckKind[]
  /**
   * Programs that run when something happens in the cluster, with the environment and the input
   * that Serf gives its event handlers; what they print answers a query. At most 64. Default: none.
   */
  readonly eventHandlers?: readonly EventHandler[]
  /** Members of another cluster id are refused as sources of records. Default `kith`. */
  readonly clusterId?: string
  /** What runs inside the agent, and what it adds. See `AgentPlugin`. Default: none. */
  readonly plugins?: readonly AgentPlugin[]
  readonly logger?: Logger
}

export interface ResolvedAgentOptions extends ResolvedEncryption, ResolvedRpc, ResolvedTls, Added {
  readonly name: string
  readonly bind: Address
  readonly advertise: Address | 'auto' | undefined
  readonly join: readonly string[]
  readonly snapshot: string | undefined
  readonly rejoinAfterLeave: boolean
  readonly http: Address
  readonly httpAdvertise: Address | undefined
  readonly httpTokens: readonly AccessToken[]
  readonly httpToken: string | undefined
  readonly data: string | undefined
  readonly logStorage: LogStorage | undefined
  readonly replicationBytesPerSecond: number
  readonly gapPolicy: GapPolicy
  readonly retention: RetentionOptions | undefined
  readonly tags: Readonly<Record<string, string>>
  readonly profile: AgentProfile
  readonly services: readonly ServiceDefinition[]
  readonly eventHandlers: readonly ResolvedEventHandler[]
  readonly clusterId: string
  readonly plugins: readonly AgentPlugin[]
  readonly logger: Logger
}

type ListField = 'join' | 'discovery' | 'services' | 'checkKinds' | 'eventHandlers' | 'plugins'

const namePattern = /^[A-Za-z0-9._-]{1,128}$/
const knownOptions: ReadonlySet<string> = new Set<keyof AgentOptions>([
  'encrypt',
  'keyring',
  'label',
  'verifyIncoming',
  'verifyOutgoing',
  'name',
  'bind',
  'advertise',
  'join',
  'discovery',
  'snapshot',
  'rejoinAfterLeave',
  'http',
  'httpAdvertise',
  'httpTokens',
  'httpToken',
  'data',
  'logStorage',
  'replicationBytesPerSecond',
  'gapPolicy',
  'retention',
  'tags',
  'profile',
  'insecurePlaintext',
  'services',
  'checkKinds',
  'eventHandlers',
  'clusterId',
  'plugins',
  'logger',
  'rpc',
  'rpcAuth',
  'rpcRequired',
  'tlsCert',
  'tlsKey',
  'tlsCa',
  'tlsClientCert',
  'tlsServerName',
])

/** Fills in defaults; throws `ERR_AGENT_OPTIONS` that names everything that is wrong. */
export function resolveAgentOptions(options: AgentOptions): ResolvedAgentOptions {
  const problems: OptionProblem[] = []
  for (const field of Object.keys(options).filter((key) => !knownOptions.has(key))) {
    const got = showValue((options as Record<string, unknown>)[field])
    problems.push({ field, got, want: 'absent (the name is not known here)' })
  }
  const anyPort = { host: '127.0.0.1', port: 0 }
  const listed = <Item>(field: ListField): readonly Item[] =>
    readList(field, options[field] as readonly Item[] | undefined, problems)
  const read = (field: AddressField, anyPortFits: boolean): Address | undefined =>
    readAddress(field, options[field], anyPortFits, problems)
  const logger = options.logger ?? silentLogger
  // In the order in which what is wrong is told.
  const own: Omit<ResolvedAgentOptions, 'transports' | 'logStore'> = {
    ...resolveEncryption(options, logger, problems),
    name: options.name ?? defaultName(options.data, systemRandom()),
    discovery: readDiscovery(listed('discovery'), problems),
    bind: read('bind', true) ?? anyPort,
    advertise: options.advertise === 'auto' ? 'auto' : read('advertise', true),
    http: read('http', true) ?? anyPort,
    httpAdvertise: read('httpAdvertise', true),
    ...readTokens(options, problems),
    join: listed('join'),
    snapshot: options.snapshot ?? defaultSnapshot(options.data),
    rejoinAfterLeave: options.rejoinAfterLeave ?? false,
    data: options.data,
    logStorage: options.logStorage,
    replicationBytesPerSecond: options.replicationBytesPerSecond ?? 0,
    gapPolicy: options.gapPolicy ?? 'halt',
    retention: options.retention,
    tags: readTags(options.tags, problems),
    profile: options.profile ?? 'lan',
    services: listed('services'),
    checkKinds: listed('checkKinds'),
    eventHandlers: readEventHandlers(listed('eventHandlers'), problems),
    clusterId: options.clusterId ?? 'kith',
    plugins: listed('plugins'),
    logger,
    ...resolveRpc(options, problems),
    ...resolveTls(options, logger, problems),
  }
  const resolved = { ...own, ...withPlugins(own.plugins, own, problems) }
  const { insecurePlaintext } = options
  for (const field of ['insecurePlaintext', 'rejoinAfterLeave'] as const) {
    const given: unknown = options[field]
    if (given === undefined || typeof given === 'boolean') continue
    problems.push({ field, got: showValue(given), want: 'true or false' })
  }
  checkPlain(resolved, problems)
  checkStorage(resolved, problems)
  checkRate(resolved.replicationBytesPerSecond, problems)
  checkGapPolicy(resolved.gapPolicy, problems)
  checkLists(resolved, problems)
  const plaintextFits = insecurePlaintext === true || isEncrypted(resolved)
  problems.push(...rpcExposure(resolved, plaintextFits, options.tlsCert !== undefined))
  if (!plaintextFits) checkLoopback(resolved, problems)
  if (problems.length > 0) throw invalidOptions(problems)
  return Object.freeze(resolved)
}

function readList<Item>(
  field: string,
  given: readonly Item[] | undefined,
  problems: OptionProblem[],
): readonly Item[] {
  if (given === undefined || Array.isArray(given)) return given ?? []
  problems.push({ field, got: showValue(given), want: 'a list' })
  return []
}

function readTags(
  given: Readonly<Record<string, string>> | undefined,
  problems: OptionProblem[],
): Readonly<Record<string, string>> {
  if (given === undefined) return {}
  if (typeof given === 'object' && given !== null && !Array.isArray(given)) return given
  problems.push({ field: 'tags', got: showValue(given), want: 'an object of texts' })
  return {}
}

type AddressField = 'bind' | 'advertise' | 'http' | 'httpAdvertise'

function readAddress(
  field: AddressField,
  given: string | Address | undefined,
  anyPortFits: boolean,
  problems: OptionProblem[],
): Address | undefined {
  if (given === undefined) return undefined
  const address = typeof given === 'string' ? parseAddress(given) : given
  const port: unknown = address?.port
  const fits = Number.isInteger(port) && (port as number) <= 65_535
  if (address && fits && typeof address.host === 'string' && address.host !== '') {
    if ((port as number) > 0 || (port === 0 && anyPortFits)) return address
  }
  const want = 'host:port with a port from 0 to 65535'
  const or = field === 'advertise' ? ', or "auto"' : ''
  problems.push({ field, got: showValue(given), want: `${want}${or}` })
  return undefined
}

/** A wildcard is nowhere: others need an address, which may be looked for there and only there. */
function checkAdvertise(
  { bind, advertise }: ResolvedAgentOptions,
  problems: OptionProblem[],
): void {
  const got = showValue(advertise)
  if (!isWildcard(bind.host)) {
    if (advertise !== 'auto') return
    const want = 'host:port, or absent: "auto" needs as bind every address of this machine'
    problems.push({ field: 'advertise', got, want })
  } else if (advertise !== 'auto' && (advertise === undefined || isWildcard(advertise.host))) {
    const want =
      'host:port that others reach, or "auto", because bind is every address of this machine'
    problems.push({ field: 'advertise', got, want })
  }
}

function checkPlain(options: ResolvedAgentOptions, problems: OptionProblem[]): void {
  const { name, data, retention, snapshot, profile, clusterId } = options
  const { bind, httpAdvertise } = options
  checkAdvertise(options, problems)
  if (httpAdvertise !== undefined && isWildcard(httpAdvertise.host)) {
    const want = 'host:port that others reach'
    problems.push({ field: 'httpAdvertise', got: showValue(httpAdvertise), want })
  }
  if (isIP(bind.host) === 0) {
    problems.push({ field: 'bind', got: showValue(bind.host), want: 'an IP address with a port' })
  }
  if (typeof name !== 'string' || !namePattern.test(name)) {
    problems.push({ field: 'name', got: showValue(name), want: '1 to 128 of A-Z a-z 0-9 . _ -' })
  }
  if (snapshot !== undefined && (typeof snapshot !== 'string' || snapshot === '')) {
    problems.push({ field: 'snapshot', got: showValue(snapshot), want: 'the path of a file' })
  }
  if (data !== undefined && (typeof data !== 'string' || data === '')) {
    problems.push({ field: 'data', got: showValue(data), want: 'the path of a directory' })
  }
  if (retention !== undefined) {
    for (const { field, ...rest } of retentionProblems(retention)) {
      problems.push({ field: field === '' ? 'retention' : `retention.${field}`, ...rest })
    }
  }
  if (!['lan', 'wan', 'local', 'fast'].includes(profile)) {
    problems.push({
      field: 'profile',
      got: showValue(profile),
      want: '"lan", "wan", "local" or "fast"',
    })
  }
  if (typeof clusterId !== 'string' || !namePattern.test(clusterId)) {
    const want = '1 to 128 of A-Z a-z 0-9 . _ -'
    problems.push({ field: 'clusterId', got: showValue(clusterId), want })
  }
}

function checkStorage(options: ResolvedAgentOptions, problems: OptionProblem[]): void {
  const { logStorage, data, logStore } = options
  if (logStorage === undefined) return
  const got = showValue(logStorage)
  if (logStorage !== 'sqlite' && logStorage !== 'segment') {
    problems.push({ field: 'logStorage', got, want: '"sqlite" or "segment"' })
  } else if (data === undefined) {
    problems.push({ field: 'logStorage', got, want: 'absent where no data is given' })
  } else if (logStore !== undefined) {
    problems.push({ field: 'logStorage', got, want: 'absent where a plugin has a logStore' })
  }
}

function checkRate(rate: number, problems: OptionProblem[]): void {
  const [min, max] = bytesPerSecondBounds
  if (rate === 0 || (Number.isInteger(rate) && rate >= min && rate <= max)) return
  const want = `0 for no limit, or an integer from ${min} to ${max}`
  problems.push({ field: 'replicationBytesPerSecond', got: showValue(rate), want })
}

function checkGapPolicy(policy: unknown, problems: OptionProblem[]): void {
  if (policy === 'halt' || policy === 'skip') return
  problems.push({ field: 'gapPolicy', got: showValue(policy), want: '"halt" or "skip"' })
}

function checkLists(options: ResolvedAgentOptions, problems: OptionProblem[]): void {
  for (const [at, seed] of options.join.entries()) {
    const address =
      typeof seed === 'string' ? parseAddress(seed.slice(seed.indexOf('/') + 1)) : undefined
    if (!address || address.port === 0) {
      const want = 'host:port or name/host:port with a port from 1 to 65535'
      problems.push({ field: `join[${at}]`, got: showValue(seed), want })
    }
  }
  for (const [tag, value] of Object.entries(options.tags)) {
    const field = `tags.${tag}`
    if (tag === '' || tag.startsWith('kith.')) {
      problems.push({
        field,
        got: showValue(value),
        want: 'a name that does not begin with "kith."',
      })
    } else if (typeof value !== 'string') {
      problems.push({ field, got: showValue(value), want: 'text' })
    }
  }
  // Services can only be judged by kinds that are kinds.
  const kinds = kindProblems(options.checkKinds, 'checkKinds')
  problems.push(...kinds)
  if (kinds.length > 0) return
  for (const [at, service] of options.services.entries()) {
    for (const problem of serviceProblems(service, options.checkKinds)) {
      problems.push({ ...problem, field: `services[${at}].${problem.field}` })
    }
  }
}

function checkLoopback(options: ResolvedAgentOptions, problems: OptionProblem[]): void {
  const want = 'a loopback address unless there is a key (encrypt or keyring)'
  const others = {
    bind: ' or insecurePlaintext is set',
    http: ', TLS (tlsCert with tlsCa or httpTokens) or insecurePlaintext is set',
  }
  for (const field of ['bind', 'http'] as const) {
    const { host, port } = options[field]
    if (isLoopback(host) || (field === 'http' && isGuarded(options))) continue
    const got = showValue(`${host}:${port}`)
    problems.push({ field, got, want: `${want}${others[field]}` })
  }
}

/** Beside the log, so that a member that keeps its records also keeps whom it knew. */
function defaultSnapshot(data: string | undefined): string | undefined {
  return typeof data === 'string' && data !== '' ? joinPath(data, 'members.snapshot') : undefined
}

/**
 * The host's name with a suffix: of the data directory where there is one, so that a restarted
 * member keeps its name, else random, so that two agents of one process differ.
 */
function defaultName(data: string | undefined, random: Random): string {
  const suffix =
    typeof data === 'string'
      ? createHash('sha256').update(resolvePath(data)).digest('hex').slice(0, 8)
      : random.uint32().toString(16).padStart(8, '0')
  const host = hostname()
    .replaceAll(/[^A-Za-z0-9._-]/g, '-')
    .slice(0, 100)
  return `${host === '' ? 'member' : host}-${suffix}`
}
