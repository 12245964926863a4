/** The API as a part of an agent: it starts with it and stops with it. */
import {
  type Address,
  describeProblems,
  formatAddress,
  type OptionProblem,
  showValue,
} from '@kith/interface'
import { ConsulApiError } from './errors.ts'
import { type ConsulApiOptions, resolveOptions } from './options.ts'
import type { ConsulApiPlugin } from './ports.ts'
import { createConsulApi } from './server.ts'

export interface ConsulApiPluginOptions extends Omit<
  ConsulApiOptions,
  'registry' | 'membership' | 'logger' | 'persist' | 'roleOf'
> {
  /** Told where it listens, once it does. */
  readonly onListening?: (address: Address) => unknown
}

/**
 * `createAgent({ plugins: [consulApiPlugin()] })` answers Consul's clients on 127.0.0.1:8500. What
 * they register stays over restarts where the agent has a data directory. Where the agent takes
 * tokens, so does it. Throws `ERR_CONSUL_OPTIONS` that names every field at fault.
 */
export function consulApiPlugin({
  onListening,
  ...options
}: ConsulApiPluginOptions = {}): ConsulApiPlugin {
  if (onListening !== undefined && typeof onListening !== 'function') {
    const problem: OptionProblem = {
      field: 'onListening',
      got: showValue(onListening),
      want: 'a function',
    }
    const details = { problems: [problem] }
    throw new ConsulApiError('ERR_CONSUL_OPTIONS', describeProblems([problem]), { details })
  }
  // Found out now, not when the agent starts.
  const ports = { registry: { resolve: () => [] }, membership: { members: () => [] } }
  resolveOptions({ ...options, ...(ports as unknown as ConsulApiOptions) })
  return {
    name: 'consul-api',
    async setup({ registry, membership, logger, data, roleOf, report }) {
      const own = { registry, membership, logger, persist: data !== undefined }
      const guarded = roleOf === undefined ? {} : { roleOf }
      const api = createConsulApi({ ...options, ...own, ...guarded })
      const address = await api.start().catch(async (cause: unknown) => {
        await api.stop()
        throw cause
      })
      logger.info({ consul: formatAddress(address) }, "answering Consul's clients")
      report?.({ consul: () => api.stats() })
      onListening?.(address)
      return () => api.stop()
    },
  }
}
