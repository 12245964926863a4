/** Options of the DNS server, checked all at once. */
import { isIP } from 'node:net'
import {
  describeProblems,
  type Logger,
  type OptionProblem,
  type Random,
  showValue,
  silentLogger,
} from '@kith/interface'
import { systemRandom } from '@kith/interface/node'
import { DnsError } from './errors.ts'
import type { DnsMembers, DnsRegistry } from './ports.ts'
import { PreparedAnswers, RecordBytes } from './prepared.ts'

export interface DnsServerOptions {
  /** Whose instances are told: a `Registry` of a member, or a `RegistryClient`. */
  readonly registry: DnsRegistry
  /** Who the members are, for `name.node.kith`; default: nobody. */
  readonly members?: DnsMembers
  /** The IP address to listen on; default 127.0.0.1. Whoever reaches it can ask for everything. */
  readonly host?: string
  /** UDP and TCP, 0 to 65535; default 0, which asks for a free port. */
  readonly port?: number
  /** The zone that is answered for; default `kith`. */
  readonly domain?: string
  /** Seconds for which others may keep an answer, 0 to 86 400; default 1. More is staler. */
  readonly ttlSeconds?: number
  /** Instances in one answer over TCP, 1 to 1 024; default 256. UDP has as many as fit. */
  readonly answersMax?: number
  /** Bytes of an answer over UDP to whoever takes so many (EDNS0), 512 to 4 096; default 1 232. */
  readonly udpBytesMax?: number
  /** Bytes of a query, 64 to 4 096; default 1 024. Longer ones are dropped and counted. */
  readonly queryBytesMax?: number
  /** Queries that wait for the registry at a time; default 1 024. More are dropped and counted. */
  readonly waitingMax?: number
  /** Open TCP connections; default 128. More are closed at once and counted. */
  readonly connectionsMax?: number
  /** Milliseconds that a TCP connection may do nothing; default 10 000. */
  readonly idleMs?: number
  readonly random?: Random
  readonly logger?: Logger
}

export interface ResolvedDnsOptions extends Required<DnsServerOptions> {
  readonly prepared: PreparedAnswers
  readonly recordBytes: RecordBytes
}

/** For each number its default and its bounds. */
const numbers = {
  port: [0, 0, 65_535],
  ttlSeconds: [1, 0, 86_400],
  answersMax: [256, 1, 1_024],
  udpBytesMax: [1_232, 512, 4_096],
  queryBytesMax: [1_024, 64, 4_096],
  waitingMax: [1_024, 1, 1_000_000],
  connectionsMax: [128, 1, 65_536],
  idleMs: [10_000, 10, 600_000],
} as const
type NumberName = keyof typeof numbers
const others = new Set(['registry', 'members', 'host', 'domain', 'random', 'logger'])
const nobody: DnsMembers = Object.freeze({ member: () => undefined })
const domainPattern = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/

/** Throws `ERR_DNS_OPTIONS` with everything that is wrong. */
export function resolveOptions(options: DnsServerOptions): ResolvedDnsOptions {
  const problems: OptionProblem[] = Object.entries(options)
    .filter(([field]) => !others.has(field) && !Object.hasOwn(numbers, field))
    .map(([field, value]) => ({ field, got: showValue(value), want: 'absent' }))
  const number = (name: NumberName): number => {
    const [usual, least, most] = numbers[name]
    const given: unknown = options[name] ?? usual
    if (!Number.isInteger(given) || (given as number) < least || (given as number) > most) {
      const want = `an integer from ${least} to ${most}`
      problems.push({ field: name, got: showValue(given), want })
    }
    return given as number
  }
  const names = Object.keys(numbers) as NumberName[]
  const whole = Object.fromEntries(names.map((name) => [name, number(name)]))
  const { registry, members = nobody, host = '127.0.0.1', domain = 'kith' } = options
  if (typeof registry?.resolve !== 'function') {
    const want = 'a registry of a member or a registry client'
    problems.push({ field: 'registry', got: showValue(registry), want })
  }
  if (typeof (members as DnsMembers | null)?.member !== 'function') {
    problems.push({ field: 'members', got: showValue(members), want: 'a membership view' })
  }
  if (typeof host !== 'string' || isIP(host) === 0) {
    problems.push({ field: 'host', got: showValue(host), want: 'an IP address' })
  }
  if (typeof domain !== 'string' || domain.length > 63 || !domainPattern.test(domain)) {
    const want = 'a domain of at most 63 characters in small letters'
    problems.push({ field: 'domain', got: showValue(domain), want })
  }
  if (problems.length > 0) {
    const text = describeProblems(problems)
    throw new DnsError('ERR_DNS_OPTIONS', text, { details: { problems } })
  }
  const { random = systemRandom(), logger = silentLogger } = options
  const kept = { prepared: new PreparedAnswers(), recordBytes: new RecordBytes() }
  const rest = { registry, members, host, domain, random, logger, ...kept }
  return Object.freeze({ ...(whole as Record<NumberName, number>), ...rest })
}
