/** Options of the API, checked all at once. */
import { isIP } from 'node:net'
import {
  type Clock,
  describeProblems,
  type Logger,
  type MembershipView,
  type OptionProblem,
  type Random,
  showValue,
  silentLogger,
} from '@kith/interface'
import { systemClock, systemRandom } from '@kith/interface/node'
import { ConsulApiError } from './errors.ts'
import type { ConsulRegistry, ConsulRoleOf } from './ports.ts'

export interface ConsulApiOptions {
  /** Whose services are told and changed: a `Registry` of `@kith/registry`. */
  readonly registry: ConsulRegistry
  /** Who the members are: `createGossip` gives one. */
  readonly membership: MembershipView
  /** The IP address to listen on; default 127.0.0.1. Whoever reaches it may change everything. */
  readonly host?: string
  /** 0 to 65535, 0 for any free one; default 8500, where Consul's clients look. */
  readonly port?: number
  /** What this cluster is called, 1 to 64 of `[a-z0-9_-]`; default `dc1`, which is Consul's. */
  readonly datacenter?: string
  /** What is registered stays over restarts; needs a registry with a directory. Default false. */
  readonly persist?: boolean
  /**
   * Who may do what, by the token shown as `X-Consul-Token` or `Authorization: Bearer`. Default:
   * whoever reaches it may do everything.
   */
  readonly roleOf?: ConsulRoleOf
  /** Queries that wait for a change at a time; default 512. More are answered 429. */
  readonly parkedMax?: number
  /** Milliseconds that a query may wait at most; default 600 000, which is Consul's. */
  readonly waitMsMax?: number
  /** Bytes of a body; default 65 536. Longer ones are answered 413. */
  readonly bodyBytesMax?: number
  /** Open connections; default 1 024. More are closed at once. */
  readonly connectionsMax?: number
  /** A request must have arrived whole within so many milliseconds; default 60 000. */
  readonly requestTimeoutMs?: number
  readonly clock?: Clock
  readonly random?: Random
  readonly logger?: Logger
}

export interface ResolvedConsulApiOptions extends Required<Omit<ConsulApiOptions, 'roleOf'>> {
  readonly roleOf: ConsulRoleOf | undefined
}

/** For each number its default and its bounds. */
const numbers = {
  port: [8_500, 0, 65_535],
  parkedMax: [512, 1, 65_536],
  waitMsMax: [600_000, 10, 600_000],
  bodyBytesMax: [65_536, 1_024, 8_388_608],
  connectionsMax: [1_024, 1, 65_536],
  requestTimeoutMs: [60_000, 100, 600_000],
} as const
type NumberName = keyof typeof numbers
const others = new Set([
  'registry',
  'membership',
  'host',
  'datacenter',
  'persist',
  'roleOf',
  'clock',
  'random',
  'logger',
])

/** Throws `ERR_CONSUL_OPTIONS` with everything that is wrong. */
export function resolveOptions(options: ConsulApiOptions): ResolvedConsulApiOptions {
  const problems: OptionProblem[] = Object.entries(options)
    .filter(([field]) => !others.has(field) && !Object.hasOwn(numbers, field))
    .map(([field, value]) => ({ field, got: showValue(value), want: 'absent' }))
  const need = (holds: boolean, field: string, got: unknown, want: string): void => {
    if (!holds) problems.push({ field, got: showValue(got), want })
  }
  const number = (name: NumberName): number => {
    const [usual, least, most] = numbers[name]
    const given: unknown = options[name] ?? usual
    const fits = Number.isInteger(given) && Number(given) >= least && Number(given) <= most
    need(fits, name, given, `an integer from ${least} to ${most}`)
    return given as number
  }
  const names = Object.keys(numbers) as NumberName[]
  const whole = Object.fromEntries(names.map((name) => [name, number(name)]))
  const { registry, membership, roleOf } = options
  const { host = '127.0.0.1', datacenter = 'dc1', persist = false } = options
  need(typeof registry?.resolve === 'function', 'registry', registry, 'a registry of a member')
  const viewed = typeof membership?.members === 'function'
  need(viewed, 'membership', membership, 'a membership view')
  need(typeof host === 'string' && isIP(host) !== 0, 'host', host, 'an IP address')
  const named = typeof datacenter === 'string' && /^[a-z0-9_-]{1,64}$/.test(datacenter)
  need(named, 'datacenter', datacenter, '1 to 64 of a-z 0-9 _ -')
  need(typeof persist === 'boolean', 'persist', persist, 'true or false')
  need(['undefined', 'function'].includes(typeof roleOf), 'roleOf', roleOf, 'a function')
  if (problems.length > 0) {
    const text = describeProblems(problems)
    throw new ConsulApiError('ERR_CONSUL_OPTIONS', text, { details: { problems } })
  }
  const { clock = systemClock, random = systemRandom(), logger = silentLogger } = options
  const rest = { registry, membership, host, datacenter, persist, roleOf, clock, random, logger }
  return Object.freeze({ ...(whole as Record<NumberName, number>), ...rest })
}
