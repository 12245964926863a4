/** Addresses behind a name of the DNS, asked for anew each time. */
import { isIP } from 'node:net'
import type { DiscoveryFactory, OptionProblem } from '@kith/interface'
import { formatAddress, showValue } from '@kith/interface'
import { optionsError } from '../../errors.ts'
import { createDiscovery } from './lifecycle.ts'

/** Targets of one SRV name that are asked for their addresses. */
const targetsMax = 64
const timeoutMs = 3000
const tries = 2

/** The part of a resolver that is needed; a `Resolver` of `node:dns/promises` fits. */
export interface DnsResolver {
  resolve4(name: string): Promise<readonly string[]>
  resolve6(name: string): Promise<readonly string[]>
  resolveSrv(name: string): Promise<readonly { readonly name: string; readonly port: number }[]>
  /** Asked where the two above know nothing: for what stands in `/etc/hosts`. */
  lookup?(name: string): Promise<readonly string[]>
}

export interface DnsDiscoveryOptions {
  /** The gossip port of the others, 1 to 65,535. Default: this member's own. SRV names bring it. */
  readonly port?: number
  /** Default: the name servers of the system, then its host file. */
  readonly resolver?: DnsResolver
}

/**
 * Finds all A and AAAA addresses of `name`. A name that begins with an underscore, as
 * `_kith._udp.example.org`, is asked for SRV records: their ports, and the addresses of their
 * targets.
 */
export function dnsDiscovery(name: string, options: DnsDiscoveryOptions = {}): DiscoveryFactory {
  const { port, resolver } = options
  const problems: OptionProblem[] = []
  if (typeof name !== 'string' || !/^[A-Za-z0-9._-]{1,253}$/.test(name) || isIP(name) !== 0) {
    problems.push({ field: 'name', got: showValue(name), want: 'a name of the DNS' })
  }
  if (port !== undefined && !(Number.isInteger(port) && port > 0 && port <= 65_535)) {
    problems.push({ field: 'port', got: showValue(port), want: 'an integer from 1 to 65535' })
  }
  const methods = ['resolve4', 'resolve6', 'resolveSrv'] as const
  if (resolver !== undefined && !methods.every((one) => typeof resolver[one] === 'function')) {
    const want = 'an object with resolve4, resolve6 and resolveSrv'
    problems.push({ field: 'resolver', got: showValue(resolver), want })
  }
  const error = optionsError(problems)
  if (error !== undefined) throw error
  const dns = resolver ?? systemResolver()
  const look = (): Promise<readonly string[]> =>
    name.startsWith('_') ? services(dns, name) : addresses(dns, name, port)
  return (context) => createDiscovery({ name: `dns ${name}`, look }, context)
}

function systemResolver(): DnsResolver {
  const { lookup, Resolver } = process.getBuiltinModule('node:dns/promises')
  const resolver = new Resolver({ timeout: timeoutMs, tries })
  return {
    resolve4: (name) => resolver.resolve4(name),
    resolve6: (name) => resolver.resolve6(name),
    resolveSrv: (name) => resolver.resolveSrv(name),
    lookup: async (name) => (await lookup(name, { all: true })).map(({ address }) => address),
  }
}

async function services(dns: DnsResolver, name: string): Promise<readonly string[]> {
  const records = await dns.resolveSrv(name)
  // A single record whose target is the root says that there is no such service.
  const targets = records.filter((record) => record.name !== '' && record.name !== '.')
  const outcomes = await Promise.allSettled(
    targets.slice(0, targetsMax).map((record) => addresses(dns, record.name, record.port)),
  )
  const found = outcomes.flatMap((one) => (one.status === 'fulfilled' ? one.value : []))
  const [first] = outcomes
  if (found.length === 0 && first?.status === 'rejected') throw first.reason
  return found
}

async function addresses(
  dns: DnsResolver,
  name: string,
  port: number | undefined,
): Promise<readonly string[]> {
  const outcomes = await Promise.allSettled([dns.resolve4(name), dns.resolve6(name)])
  let hosts = outcomes.flatMap((one) => (one.status === 'fulfilled' ? one.value : []))
  if (hosts.length === 0 && dns.lookup !== undefined) {
    hosts = await dns.lookup(name).then(
      (found) => [...found],
      () => [],
    )
  }
  const usable = hosts.filter((host) => isIP(host) !== 0)
  const [first] = outcomes
  if (usable.length === 0) {
    const why = first?.status === 'rejected' ? `: ${String((first.reason as Error).message)}` : ''
    throw new Error(`${name} has no addresses${why}`)
  }
  return usable.map((host) => (port === undefined ? host : formatAddress({ host, port })))
}
