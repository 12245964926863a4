/** Options of the resolver, checked all at once. */
import { describeProblems, type OptionProblem, showValue } from '@kith/interface'
import { GrpcError } from './errors.ts'
import type { ServiceSource } from './ports.ts'

export interface GrpcResolverOptions {
  /** Whose instances: a `Registry` of a member, or a `RegistryClient`. */
  readonly registry: ServiceSource
  /**
   * The scheme of targets that are services; default `kith`, as in `kith:///web`. grpc-js knows one
   * resolver for each scheme: two registries in one process need two.
   */
  readonly scheme?: string
  /**
   * What follows the service in the authority of calls, and in the name that a certificate must
   * have; default `kith`, as in `web.kith`.
   */
  readonly domain?: string
  /** Rather instances of this zone or with these tags, where there are any. */
  readonly prefer?: { readonly zone?: string; readonly tags?: readonly string[] }
  /**
   * Instances that one channel connects to, 1 to 10 000; default 100. Each channel has others of a
   * larger service. More spreads the load of few clients better and costs connections.
   */
  readonly endpointsMax?: number
}

export interface ResolvedOptions extends GrpcResolverOptions {
  readonly scheme: string
  readonly domain: string
  readonly endpointsMax: number
}

const known: ReadonlySet<string> = new Set([
  'registry',
  'scheme',
  'domain',
  'prefer',
  'endpointsMax',
])
const endpointsMost = 10_000
/** Those that grpc-js brings along. */
const foreign: ReadonlySet<string> = new Set(['dns', 'ip', 'ipv4', 'ipv6', 'unix', 'xds'])

export function resolveOptions(options: GrpcResolverOptions): ResolvedOptions {
  const problems: OptionProblem[] = Object.entries(options)
    .filter(([field]) => !known.has(field))
    .map(([field, value]) => ({ field, got: showValue(value), want: 'absent' }))
  const { scheme = 'kith', domain = 'kith', endpointsMax = 100 } = options
  const resolved: ResolvedOptions = { ...options, scheme, domain, endpointsMax }
  problems.push(...valueProblems(resolved))
  if (problems.length > 0) {
    throw new GrpcError('ERR_GRPC_OPTIONS', describeProblems(problems), { details: { problems } })
  }
  return Object.freeze(resolved)
}

function valueProblems(options: ResolvedOptions): OptionProblem[] {
  const { registry, scheme, domain, prefer, endpointsMax } = options
  const { zone, tags = [] } = (prefer ?? {}) as { zone?: unknown; tags?: unknown }
  const rules: readonly (readonly [field: string, got: unknown, holds: boolean, want: string])[] = [
    [
      'registry',
      registry,
      (['resolve', 'watch'] as const).every((name) => typeof registry?.[name] === 'function'),
      'a registry of a member or a registry client',
    ],
    [
      'scheme',
      scheme,
      typeof scheme === 'string' && /^[a-z][a-z0-9+.-]{0,31}$/.test(scheme) && !foreign.has(scheme),
      'a scheme in small letters that grpc-js does not have',
    ],
    [
      'domain',
      domain,
      typeof domain === 'string' && /^[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?$/.test(domain),
      'a domain in small letters',
    ],
    [
      'prefer',
      prefer,
      isObject(prefer ?? {}) &&
        Array.isArray(tags) &&
        tags.every((tag) => typeof tag === 'string') &&
        ['string', 'undefined'].includes(typeof zone),
      '{ zone?, tags? } of texts',
    ],
    [
      'endpointsMax',
      endpointsMax,
      Number.isInteger(endpointsMax) && endpointsMax >= 1 && endpointsMax <= endpointsMost,
      `an integer from 1 to ${endpointsMost}`,
    ],
  ]
  return rules
    .filter(([, , holds]) => !holds)
    .map(([field, got, , want]) => ({ field, got: showValue(got), want }))
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
