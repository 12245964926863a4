/** How something of your own runs inside an agent, with its parts in hand. */
import type { ExtensionHost, Logger, MembershipView } from '@kith/interface'
import type { Log } from '@kith/log'
import type { MetricSources } from '@kith/metrics'
import type { Registry } from '@kith/registry'
import type { Replicator } from '@kith/replicator'
import type { AccessRole } from '@kith/server'

export interface AgentContext {
  readonly name: string
  readonly membership: MembershipView
  /** Side data between members; take a name of your own. */
  readonly extensions: ExtensionHost
  readonly log: Log
  readonly registry: Registry
  readonly replicator: Replicator
  /** What metrics are read from: `observeMetrics` of `@kith/metrics/opentelemetry` takes it. */
  readonly metrics: MetricSources
  readonly logger: Logger
  /**
   * What whoever shows this token may do, undefined where nothing: for plugins that answer others.
   * Absent where the member takes no tokens.
   */
  readonly roleOf: ((token: string | undefined) => AccessRole | undefined) | undefined
  /** The directory in which the member keeps what outlives it; undefined where it keeps nothing. */
  readonly data: string | undefined
  /** Aborts when the agent begins to stop. */
  readonly signal: AbortSignal
}

export interface AgentPlugin {
  /** Names the plugin in errors and log lines. */
  readonly name: string
  /**
   * Called once all parts run. What it returns is called once the member left, before any part
   * ends, within 5 s. A rejection fails the start with `ERR_AGENT_PLUGIN`.
   */
  setup(context: AgentContext): Promise<AgentPluginStop | void> | AgentPluginStop | void
}

export type AgentPluginStop = () => Promise<void> | void
