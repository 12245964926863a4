/** What the server needs to know: a registry of a member fits, and so does a plain client. */
import type { Logger, Member, ServiceInstance } from '@kith/interface'
import type { DnsStats } from './stats.ts'

export interface DnsRegistry {
  /**
   * Instances of every status where `passing` is false, by member and id. A list that was given
   * never changes: what is the same object has the same answer.
   */
  resolve(
    service: string,
    options: { readonly passing: boolean },
  ): readonly ServiceInstance[] | Promise<readonly ServiceInstance[]>
}

export interface DnsMembers {
  member(name: string): Member | undefined
}

/** What a plugin is given by an agent; `AgentContext` fits. */
export interface DnsPluginContext {
  readonly registry: DnsRegistry
  readonly membership: DnsMembers
  readonly logger: Logger
  /** Told where figures about the DNS server are read, for the metrics of the agent. */
  readonly report?: (figures: { readonly dns: () => DnsStats }) => void
}

/** Fits `plugins` of an agent. */
export interface DnsPlugin {
  readonly name: string
  setup(context: DnsPluginContext): Promise<() => Promise<void>>
}
