/** What the API needs of the others; the parts of an agent fit. */
import type { ConsulApiStats } from './stats.ts'
import type {
  CheckState,
  CheckStatus,
  CheckTiming,
  Logger,
  MembershipView,
  ServiceInstance,
  Unsubscribe,
} from '@kith/interface'

/** One check of a service, as the registry takes it. */
export interface ConsulCheckDefinition extends CheckTiming {
  readonly kind: string
  readonly name?: string
  readonly options?: unknown
}

/** A service, as the registry takes it. */
export interface ConsulServiceDefinition {
  readonly service: string
  readonly id?: string
  readonly address?: string
  readonly port: number
  readonly tags?: readonly string[]
  readonly meta?: Readonly<Record<string, string>>
  readonly checks?: readonly ConsulCheckDefinition[]
}

/** How an own instance was registered. */
export interface ConsulRegistration {
  readonly definition: ConsulServiceDefinition
  /** It is kept over restarts. */
  readonly persist: boolean
}

/** `Registry` of `@kith/registry` fits. What it refuses it names in `details.problems`. */
export interface ConsulRegistry {
  register(
    service: ConsulServiceDefinition,
    options: { readonly persist: boolean },
  ): Promise<ServiceInstance>
  deregister(id: string): Promise<void>
  /** Of one instance, or without an id of the whole member. */
  maintain(reason: string, id?: string): Promise<void>
  resume(id?: string): Promise<void>
  setCheck(checkId: string, status: CheckStatus, output?: string): void
  /** Names with the number of their instances. */
  services(): ReadonlyMap<string, number>
  resolve(service: string, options: { readonly passing: boolean }): readonly ServiceInstance[]
  instances(): readonly ServiceInstance[]
  own(): readonly ServiceInstance[]
  /** Own checks with their latest output. */
  checks(): readonly CheckState[]
  /** How an own instance was registered; undefined where there is none of this id. */
  registration(id: string): ConsulRegistration | undefined
  /** Told after each change of what `resolve` gives. */
  on(kind: 'change', listener: (event: { readonly service: string }) => void): Unsubscribe
}

/** As over the agent's HTTP interface: `read`; `write`, services and checks; `operator`, all. */
export type ConsulRole = 'read' | 'write' | 'operator'

/** What whoever shows this token may do; undefined where nothing. */
export type ConsulRoleOf = (token: string | undefined) => ConsulRole | undefined

/** What an agent gives to its plugins, as far as this one needs it. */
export interface ConsulApiPluginContext {
  readonly registry: ConsulRegistry
  readonly membership: MembershipView
  readonly logger: Logger
  /** Where the member keeps what outlives it; undefined where it keeps nothing. */
  readonly data?: string | undefined
  /** Where the agent takes tokens. */
  readonly roleOf?: ConsulRoleOf | undefined
  /** Told where figures about the API are read, for the metrics of the agent. */
  readonly report?: (figures: { readonly consul: () => ConsulApiStats }) => void
}

/** Fits `AgentOptions.plugins`. */
export interface ConsulApiPlugin {
  readonly name: string
  setup(context: ConsulApiPluginContext): Promise<() => Promise<void>>
}
