/** How something of your own runs inside an agent, with its parts in hand, and what it may add. */
import type {
  Address,
  CheckKind,
  DiscoveryFactory,
  ExtensionHost,
  Logger,
  LogStoreFactory,
  MembershipView,
  PacketTransportFactory,
  StreamTransportFactory,
  Unsubscribe,
} from '@kith/interface'
import type { Log } from '@kith/log'
import type { MetricSources } from '@kith/metrics'
import type { Registry } from '@kith/registry'
import type { Replicator } from '@kith/replicator'
import type { AccessRole, PluginRoute } from '@kith/server'
import type { PluginFigures } from './figures.ts'

export interface AgentContext {
  readonly name: string
  readonly membership: MembershipView
  /** Side data between members; take a name of your own. */
  readonly extensions: ExtensionHost
  readonly log: Log
  readonly registry: Registry
  readonly replicator: Replicator
  /** Routes of your own on the HTTP interface of the member. */
  readonly http: PluginHttp
  /** What metrics are read from: `observeMetrics` of `@kith/metrics/opentelemetry` takes it. */
  readonly metrics: MetricSources
  /**
   * Shows figures of a DNS server or of Consul's API among the metrics: those of `@kith/dns` and
   * `@kith/consul-api` report theirs. Read at each scrape; of two reports of one, the later counts.
   */
  readonly report: (figures: PluginFigures) => void
  readonly logger: Logger
  /**
   * What whoever shows this token may do, undefined where nothing: for plugins that answer others
   * on a port of their own. Absent where the member takes no tokens.
   */
  readonly roleOf: ((token: string | undefined) => AccessRole | undefined) | undefined
  /** The directory in which the member keeps what outlives it; undefined where it keeps nothing. */
  readonly data: string | undefined
  /** Aborts when the agent begins to stop. */
  readonly signal: AbortSignal
}

/** The HTTP interface of the member, which every agent has, as a plugin may add to it. */
export interface PluginHttp {
  /** Where the routes of this plugin stand: `/v1/plugins/NAME`. */
  readonly prefix: string
  /**
   * Answers requests below `prefix` from now on until the returned function is called, at the
   * latest until the plugin stops. Tokens and certificates are asked for as the route's `role`
   * says, before its handler is. Throws `ERR_SERVER_ROUTE` that names what is wrong, also where a
   * route for the same requests is there; `ERR_AGENT_PLUGIN` where another plugin of this name has
   * routes; `ERR_AGENT_STATE` once the plugin has stopped.
   */
  route(route: PluginRoute): Unsubscribe
}

/** Carries gossip in the place of UDP and TCP. */
export interface AgentTransports {
  readonly packets: PacketTransportFactory
  readonly streams: StreamTransportFactory
}

/** Has at least one member beside its name. All but `setup` is taken over before any part runs. */
export interface AgentPlugin {
  /**
   * Names the plugin in errors and log lines, and is part of the path of its routes: to have any,
   * it must be 1 to 64 of `A-Z a-z 0-9 . _ -` that begin with a letter or a digit.
   */
  readonly name: string
  /** Kinds of checks, beside those of the agent; none may have the name of another. */
  readonly checkKinds?: readonly CheckKind[]
  /** Further ways to find members, asked as those of the option `discovery` are. */
  readonly discovery?: readonly DiscoveryFactory[]
  /** Given the option `bind`. What `encrypt` and `keyring` do is done above it. */
  readonly transports?: (bind: Address) => AgentTransports
  /**
   * Where the log is kept, in the place of `log` in the directory `data` of the agent, which is
   * given. Commits block the thread of the agent.
   */
  readonly logStore?: (data: string | undefined) => LogStoreFactory
  /**
   * Called once all parts run. What it returns is called once the member left, before any part
   * ends, within 5 s; its routes are gone by then. A rejection fails the start with
   * `ERR_AGENT_PLUGIN`.
   */
  setup?(context: AgentContext): Promise<AgentPluginStop | void> | AgentPluginStop | void
}

export type AgentPluginStop = () => Promise<void> | void
