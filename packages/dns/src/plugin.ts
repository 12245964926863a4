/** The DNS server as a part of an agent: it starts with it and stops with it. */
import { type Address, describeProblems, formatAddress, showValue } from '@kith/interface'
import { DnsError } from './errors.ts'
import { resolveOptions, type DnsServerOptions } from './options.ts'
import type { DnsPlugin } from './ports.ts'
import { createDnsServer } from './server.ts'

export interface DnsPluginOptions extends Omit<
  DnsServerOptions,
  'registry' | 'members' | 'logger'
> {
  /** Told where it listens, once it does. */
  readonly onListening?: (address: Address) => unknown
}

/**
 * `createAgent({ plugins: [dnsPlugin({ port: 8600 })] })` answers for what the member knows. Throws
 * `ERR_DNS_OPTIONS` that names every field at fault.
 */
export function dnsPlugin({ onListening, ...options }: DnsPluginOptions = {}): DnsPlugin {
  if (onListening !== undefined && typeof onListening !== 'function') {
    const problem = { field: 'onListening', got: showValue(onListening), want: 'a function' }
    const details = { problems: [problem] }
    throw new DnsError('ERR_DNS_OPTIONS', describeProblems([problem]), { details })
  }
  // Found out now, not when the agent starts.
  resolveOptions({ ...options, registry: { resolve: () => [] } })
  return {
    name: 'dns',
    async setup({ registry, membership, logger, report }) {
      const server = createDnsServer({ ...options, registry, members: membership, logger })
      const address = await server.start()
      logger.info({ dns: formatAddress(address) }, 'answering DNS')
      report?.({ dns: () => server.stats() })
      onListening?.(address)
      return () => server.stop()
    },
  }
}
