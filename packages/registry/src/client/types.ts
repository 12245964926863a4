/** The face of the client: what it takes, what it gives, and how old that may be. */
import type { Clock, EventSource, Logger, Random, ServiceInstance } from '@kith/interface'
import type { TlsClientSource } from '@kith/interface/node'
import type { PickOptions, ResolveOptions, ServiceLease, WatchOptions } from '../runtime/types.ts'

export interface RegistryClientOptions {
  /**
   * Base URLs of agents, such as `http://127.0.0.1:7947`; at least one, at most 64. The first is
   * followed until it fails, then the next: give each of many clients another order.
   */
  readonly urls: readonly string[]
  /** Default: the global `fetch`. */
  readonly fetch?: typeof fetch
  /**
   * Milliseconds until an agent has answered, or begun to; default 3 000. More is patience with a
   * slow agent before the next.
   */
  readonly timeoutMs?: number
  /**
   * Milliseconds without a word after which a followed agent counts as dead; default 15 000. Agents
   * speak every 5 s. Less finds a hung agent sooner and may leave one that is only slow.
   */
  readonly silenceMs?: number
  /**
   * The longest pause after all agents failed, in milliseconds; default 10 000. Pauses begin at
   * 100, double, and vary by half.
   */
  readonly retryMsMax?: number
  /** Services followed at a time; default 64. Beyond it the one unused for longest is let go. */
  readonly servicesMax?: number
  /** Milliseconds without use after which a service is followed no longer; default 600 000. */
  readonly idleMs?: number
  /** The member from which `near` and `nearest` measure by default; else nobody is nearer. */
  readonly near?: string
  /** Shown to the agents as a bearer token, where they want one. */
  readonly token?: string
  /**
   * For `https` URLs: whom we trust and what we show, asked for each connection where it is a
   * function. Not beside `fetch`. Default: the authorities of Node.js, and nothing.
   */
  readonly tls?: TlsClientSource
  readonly clock?: Clock
  readonly random?: Random
  /** Told of listeners that throw. */
  readonly logger?: Logger
}

export interface RegistryClientCallOptions {
  readonly signal?: AbortSignal
}

export interface RegistryClientUseOptions extends RegistryClientCallOptions {
  /**
   * Rejects with `ERR_REGISTRY_CLIENT_UNAVAILABLE` where no agent confirmed what is known for so
   * many milliseconds; default: what is known is given, however old.
   */
  readonly ageMsMax?: number
}

/** What the client holds of one service. */
export interface KnownService {
  /** Of every status, by member and id. */
  readonly instances: readonly ServiceInstance[]
  /** Milliseconds since an agent last said that this is so. */
  readonly ageMs: number
  /** The agent that is followed now; undefined between two. */
  readonly agent: string | undefined
}

export interface RegistryClientEvents {
  /** What is known of a service is different now. */
  change: { readonly service: string }
  /** An agent is followed for this service from now on. */
  connect: { readonly service: string; readonly agent: string }
  /** It is no longer; what it said stays known. */
  lost: { readonly service: string; readonly agent: string; readonly cause: Error }
}

export interface RegistryClient extends AsyncDisposable, EventSource<RegistryClientEvents> {
  /** How many instances of every status there are under each name: asked anew each time. */
  services(options?: RegistryClientCallOptions): Promise<ReadonlyMap<string, number>>
  /**
   * As `Registry.resolve`. The first call for a name asks an agent and follows it from then on;
   * later ones answer from memory, also while no agent does. Rejects with
   * `ERR_REGISTRY_CLIENT_UNAVAILABLE` when nothing is known and no agent answered, and with
   * `ERR_REGISTRY_CLIENT_REFUSED` when one said that the question is wrong.
   */
  resolve(
    service: string,
    options?: ResolveOptions & RegistryClientUseOptions,
  ): Promise<readonly ServiceInstance[]>
  /**
   * As `Registry.watch`; waits where no agent answers. Throws `ERR_REGISTRY_CLIENT_REFUSED` when one
   * said that the question is wrong.
   */
  watch(service: string, options?: WatchOptions): AsyncIterable<readonly ServiceInstance[]>
  /** As `Registry.pick`, with the rejections of `resolve`. */
  pick(
    service: string,
    options?: PickOptions & RegistryClientUseOptions,
  ): Promise<ServiceInstance | undefined>
  /** As `Registry.lease`, with the rejections of `resolve`. */
  lease(
    service: string,
    options?: PickOptions & RegistryClientUseOptions,
  ): Promise<ServiceLease | undefined>
  /** What is known now, and how old it is; undefined where the service is not followed. */
  known(service: string): KnownService | undefined
  /** Ends every connection and every `watch`. Idempotent, at once. */
  stop(): Promise<void>
}
