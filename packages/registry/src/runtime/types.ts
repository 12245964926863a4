/** The face of the registry: what it takes, what it gives, and what it promises about both. */
import type {
  CheckKind,
  CheckState,
  CheckStatus,
  Clock,
  EventSource,
  ExtensionHost,
  Logger,
  MembershipView,
  Random,
  ServiceInstance,
} from '@kith/interface'
import type { Counters } from '../core/types.ts'
import type { RegistrySettings } from '../options.ts'
import type { ServiceDefinition } from './definition.ts'

export interface RegistryOptions {
  /** Who is there: `createGossip` gives one. */
  readonly membership: MembershipView
  /** What carries news between members: the same gossip. */
  readonly extensions: ExtensionHost
  /** The own member's name; default `membership.self.name`. */
  readonly member?: string
  /**
   * Where the epoch and what was registered with `persist` are kept over restarts; default nowhere:
   * then the wall clock has to go forward.
   */
  readonly directory?: string
  /**
   * Check kinds beside `tcp`, `http`, `grpc`, `ttl`, `function` and `event-loop`, for instance
   * `scriptCheck()`; one of the same name replaces it.
   */
  readonly checkKinds?: readonly CheckKind[]
  /**
   * Milliseconds between two members, for `near` and `nearest`: `gossip.rtt` fits. Default: nobody
   * knows, and all are equally far.
   */
  readonly rtt?: (from: string, to: string) => number | undefined
  /** Bounds and pace; see `RegistrySettings`. */
  readonly settings?: Partial<RegistrySettings>
  readonly clock?: Clock
  readonly random?: Random
  readonly logger?: Logger
}

export interface RegisterOptions {
  /**
   * Kept in `directory`, and registered again by the next start, with its maintenance. For services
   * that live on when this process does not; those of this process register themselves. Default
   * false. Needs `directory`, and checks whose options are plain data.
   */
  readonly persist?: boolean
}

/** An own instance as it was registered, checks included, to be changed and registered again. */
export interface ServiceRegistration {
  readonly definition: ServiceDefinition
  /** It is kept over restarts. */
  readonly persist: boolean
}

export interface RegistryEvents {
  /** What `resolve(service)` gives may be different now. */
  change: { readonly service: string }
  /** An own check has another status. */
  check: {
    readonly id: string
    readonly status: CheckStatus
    readonly previous: CheckStatus
    readonly output: string
  }
  /** An own instance went: `critical` means that a check kept failing for as long as it may. */
  deregister: { readonly id: string; readonly reason: 'asked' | 'critical' }
  /** An earlier life of this member was ahead; it now speaks with this epoch. */
  takeover: { readonly epoch: number }
}

export interface ResolveOptions {
  /** Only instances whose every check passes; default true. */
  readonly passing?: boolean
  /** Only instances that carry all of these. */
  readonly tags?: readonly string[]
  /** At most so many; default all. */
  readonly limit?: number
  /** The name of a member: instances come by their distance from it, not by member and id. */
  readonly near?: string
}

export interface WatchOptions extends ResolveOptions {
  /** Ends the iteration, without an error. */
  readonly signal?: AbortSignal
}

/**
 * `round-robin`: each call the next, by member and id. `random`: any. `least-loaded`: the one of two
 * drawn at random with fewer leases of this process under way. `rendezvous`: by `key`, the same at
 * every member, and others' keys stay where they are when an instance comes or goes. `nearest`: at
 * the member with the least round trip, measured at most a second ago, in turn where several are as
 * near.
 */
export type PickStrategy = 'round-robin' | 'random' | 'least-loaded' | 'rendezvous' | 'nearest'

export interface PickOptions extends Omit<ResolveOptions, 'limit'> {
  /** Default `round-robin`. */
  readonly strategy?: PickStrategy
  /** True for instances that must not be chosen: what the caller just found dead, for example. */
  readonly except?: (instance: ServiceInstance) => boolean
  /** What `rendezvous` goes by, and needs: a user, a session, a shard. */
  readonly key?: string
  /** Rather instances like this: with `meta.zone` and all these tags. Any where there are none. */
  readonly prefer?: { readonly zone?: string; readonly tags?: readonly string[] }
}

/** The use of an instance, counted for `least-loaded` until it is given back. */
export interface ServiceLease extends Disposable {
  readonly instance: ServiceInstance
  /** Idempotent; `using` calls it too. */
  release(): void
}

/** Flat figures; all only grow except `members`, `instances` and `wanted`. */
export interface RegistryStats extends Readonly<Counters> {
  /** Other members whose services are known. */
  readonly members: number
  /** Instances known, own ones included, whether handed out or not. */
  readonly instances: number
  /** Members of whom something is known to be missing. */
  readonly wanted: number
}

export interface Registry extends AsyncDisposable, EventSource<RegistryEvents> {
  /**
   * Joins the conversation. Rejects where the epoch cannot be kept, or with the signal's reason.
   */
  start(signal?: AbortSignal): Promise<void>
  /** Ends within 2 s, also where a check does not stop. Others keep our services until we leave. */
  stop(): Promise<void>
  /**
   * Puts a service up, or replaces the one with this id; its checks keep their status, and so does
   * its maintenance.
   */
  register(service: ServiceDefinition, options?: RegisterOptions): Promise<ServiceInstance>
  /** Takes an own instance down everywhere. */
  deregister(id: string): Promise<void>
  /**
   * Holds an own instance back, or without an id all of this member: they stay registered and are
   * critical, with the reason as a check of kind `maintenance`, until `resume`.
   */
  maintain(reason: string, id?: string): Promise<void>
  /** Ends the maintenance of an instance, or without an id that of the member. */
  resume(id?: string): Promise<void>
  /** Takes all own instances out of resolution everywhere; they stay registered. */
  drain(): Promise<void>
  /** The word on an own `ttl` check, `checkId` being `instanceId/checkName`. */
  setCheck(checkId: string, status: CheckStatus, output?: string): void
  /** All instances that are handed out, of every status, by service, member and id. */
  instances(): readonly ServiceInstance[]
  /** How many instances of every status are handed out under each name, in order of name. */
  services(): ReadonlyMap<string, number>
  /** Own instances, drained or not, by id. */
  own(): readonly ServiceInstance[]
  /** How an own instance was registered; undefined where there is none of this id. */
  registration(id: string): ServiceRegistration | undefined
  /** Own checks with their latest output, by id. */
  checks(): readonly CheckState[]
  /** From memory, by member and id; a list that nothing changed is the same object again. */
  resolve(service: string, options?: ResolveOptions): readonly ServiceInstance[]
  /**
   * The current instances, then each change; what comes while the consumer is busy is one change.
   */
  watch(service: string, options?: WatchOptions): AsyncIterable<readonly ServiceInstance[]>
  /**
   * One instance; undefined where none fits. Throws `ERR_REGISTRY_OPTIONS` for an unknown strategy
   * and for `rendezvous` without a key.
   */
  pick(service: string, options?: PickOptions): ServiceInstance | undefined
  /** As `pick`, and counts the instance as in use until the lease is released. */
  lease(service: string, options?: PickOptions): ServiceLease | undefined
  stats(): RegistryStats
}
