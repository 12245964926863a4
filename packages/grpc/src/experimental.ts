/**
 * All that is used of grpc-js beyond its stable face, and nothing else: `experimental` changes
 * without notice, so it is looked over before anything is registered (GRP-7).
 */
import * as grpc from '@grpc/grpc-js'
import { GrpcError } from './errors.ts'
import type { Place } from './endpoints.ts'
import type { Target } from './target.ts'

/** Told what a name stands for; never from within `update` or the opening. */
export interface Answers {
  /** Where there is none, calls fail with `note`. */
  places(places: readonly Place[], note: string): void
  /** Calls fail with it where no place is known. */
  failure(details: string): void
}

/** What a channel asks about one target. */
export interface Resolution {
  /** The channel wants to know, or to know better. */
  update(): void
  /** Nothing is told any more, until `update` is called again. */
  end(): void
}

export interface Scheme {
  readonly name: string
  /** The authority of calls and the name of certificates; throws for targets that are none. */
  authority(target: Target): string
  /** Throws where no channel may open. */
  open(target: Target, answers: Answers): Resolution
}

/** The module, or as much of it as there is. */
export interface GrpcLibrary {
  readonly experimental?: Partial<Record<keyof Experimental, unknown>> | undefined
}

type Experimental = typeof grpc.experimental
type Helper = grpc.experimental.ChannelControlHelper
type Endpoints = grpc.experimental.StatusOr<grpc.experimental.Endpoint[]>
type ServiceConfig = grpc.ServiceConfig

/** The load balancing of channels whose service configuration names none. */
export const policyName = 'kith_round_robin'

const needed = [
  'ChildLoadBalancerHandler',
  'UnavailablePicker',
  'createResolver',
  'isLoadBalancerNameRegistered',
  'parseDuration',
  'registerLoadBalancerType',
  'registerResolver',
  'selectLbConfigFromList',
  'statusOrFromError',
  'statusOrFromValue',
] as const satisfies readonly (keyof Experimental)[]

/** Throws `ERR_GRPC_LIBRARY` that names what is not there. */
function requireExperimental(library: GrpcLibrary): Experimental {
  const found = library.experimental
  const missing: string[] = needed.filter((name) => typeof found?.[name] !== 'function')
  const complete = found as Experimental
  if (missing.length === 0 && complete.selectLbConfigFromList([{ round_robin: {} }]) === null) {
    missing.push('round_robin')
  }
  if (missing.length === 0) return complete
  const text = `@grpc/grpc-js lacks ${missing.join(', ')} of its experimental interface`
  const fix = 'install a version 1.14 of it, or a version of @kith/grpc that knows yours'
  throw new GrpcError('ERR_GRPC_LIBRARY', `${text}: ${fix}`, { details: { missing } })
}

/**
 * Makes targets of a scheme resolve, for the rest of the process. Throws `ERR_GRPC_TAKEN` where
 * somebody else's do, and `ERR_GRPC_LIBRARY`.
 */
export function registerScheme(scheme: Scheme, library: GrpcLibrary = grpc): void {
  const experimental = requireExperimental(library)
  if (isTaken(experimental, scheme.name)) {
    const text = `${scheme.name} has a resolver already: unregister it, or choose another scheme`
    throw new GrpcError('ERR_GRPC_TAKEN', text)
  }
  if (!experimental.isLoadBalancerNameRegistered(policyName)) registerPolicy(experimental)
  experimental.registerResolver(scheme.name, resolverOf(experimental, scheme))
}

/** grpc-js cannot be asked: whoever opens a resolver is there. */
function isTaken(experimental: Experimental, scheme: string): boolean {
  try {
    experimental.createResolver({ scheme, path: 'kith' }, () => true, {}).destroy()
    return true
  } catch (cause) {
    const ended = (cause as { code?: unknown }).code === 'ERR_GRPC_CLOSED'
    return !ended && !String(cause).includes('No resolver could be created')
  }
}

function resolverOf(experimental: Experimental, scheme: Scheme) {
  const { statusOrFromValue, statusOrFromError } = experimental
  return class KithResolver implements grpc.experimental.Resolver {
    readonly #resolution: Resolution

    constructor(
      target: grpc.experimental.GrpcUri,
      listener: grpc.experimental.ResolverListener,
      options: grpc.ChannelOptions,
    ) {
      const config = serviceConfigOf(experimental, options['grpc.service_config'])
      this.#resolution = scheme.open(target, {
        places(places, note) {
          const endpoints = places.map((place) => ({ addresses: [{ ...place }] }))
          listener(statusOrFromValue(endpoints), {}, config, note)
        },
        failure(details) {
          const error = { code: grpc.status.UNAVAILABLE, details }
          listener(statusOrFromError(error), {}, config, details)
        },
      })
    }

    updateResolution(): void {
      this.#resolution.update()
    }

    destroy(): void {
      this.#resolution.end()
    }

    static getDefaultAuthority(target: grpc.experimental.GrpcUri): string {
      return scheme.authority(target)
    }
  }
}

/**
 * What a channel was given goes on to hold, its retries and timeouts as well; where it names no
 * load balancing, ours is added. Null leaves all to the channel.
 */
function serviceConfigOf(
  experimental: Experimental,
  given: string | undefined,
): grpc.experimental.StatusOr<ServiceConfig> | null {
  // A text that is none was refused by the channel, before it made a resolver.
  const config = JSON.parse(given ?? '{}') as Partial<ServiceConfig>
  if ((config.loadBalancingConfig ?? []).length > 0) return null
  const methodConfig = (config.methodConfig ?? []).map((method) => {
    const timeout: unknown = method.timeout
    const parsed = typeof timeout === 'string' ? experimental.parseDuration(timeout) : null
    return parsed === null ? method : { ...method, timeout: parsed }
  })
  const loadBalancingConfig = [{ [policyName]: {} }]
  return experimental.statusOrFromValue({ ...config, loadBalancingConfig, methodConfig })
}

/**
 * `round_robin` of grpc-js, but for one thing: it has no answer to an empty list, where calls would
 * wait for ever. Here they fail, with what the resolver has to say (GRP-4).
 */
function registerPolicy(experimental: Experimental): void {
  const { ChildLoadBalancerHandler, UnavailablePicker, selectLbConfigFromList } = experimental
  class Balancer implements grpc.experimental.LoadBalancer {
    readonly #helper: Helper
    readonly #child: grpc.experimental.LoadBalancer

    constructor(helper: Helper) {
      this.#helper = helper
      this.#child = new ChildLoadBalancerHandler(helper) as grpc.experimental.LoadBalancer
    }

    updateAddressList(
      endpoints: Endpoints,
      _config: grpc.experimental.TypedLoadBalancingConfig,
      options: grpc.ChannelOptions,
      note: string,
    ): boolean {
      if (endpoints.ok && endpoints.value.length === 0) {
        this.#child.destroy()
        const picker = new UnavailablePicker({ details: note })
        this.#helper.updateState(grpc.connectivityState.TRANSIENT_FAILURE, picker, note)
        return true
      }
      const config = selectLbConfigFromList([{ round_robin: {} }])
      return config !== null && this.#child.updateAddressList(endpoints, config, options, note)
    }

    exitIdle(): void {
      this.#child.exitIdle()
    }

    resetBackoff(): void {
      this.#child.resetBackoff()
    }

    destroy(): void {
      this.#child.destroy()
    }

    getTypeName(): string {
      return policyName
    }
  }
  class Config implements grpc.experimental.TypedLoadBalancingConfig {
    getLoadBalancerName(): string {
      return policyName
    }

    toJsonObject(): object {
      return { [policyName]: {} }
    }

    static createFromJson(): Config {
      return new Config()
    }
  }
  experimental.registerLoadBalancerType(policyName, Balancer, Config)
}
