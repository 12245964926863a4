/** The registration: targets of one scheme are services of one registry. */
import { GrpcError } from './errors.ts'
import { type Answers, registerScheme, type Resolution } from './experimental.ts'
import { Following } from './following.ts'
import { type GrpcResolverOptions, resolveOptions } from './options.ts'
import { readTarget, type Target } from './target.ts'

export interface GrpcResolver extends Disposable {
  /** As in `kith:///web`. */
  readonly scheme: string
  /** Channels that are told of changes now. */
  readonly channels: number
  /**
   * Ends what follows the registry: channels go on with the instances they have, new ones are
   * refused with `ERR_GRPC_CLOSED`, and the scheme is free. Close clients first. Idempotent.
   */
  unregister(): void
}

/**
 * From now on `new Client('kith:///web', ...)` of `@grpc/grpc-js` calls passing instances of `web`,
 * one after the other, and `kith:///eu.web` those with the tag `eu`. Throws `ERR_GRPC_OPTIONS` that
 * names every field at fault, `ERR_GRPC_TAKEN` where the scheme has a resolver, and
 * `ERR_GRPC_LIBRARY` where this version of grpc-js cannot be worked with.
 */
export function registerGrpcResolver(options: GrpcResolverOptions): GrpcResolver {
  const resolved = resolveOptions(options)
  const { scheme, domain } = resolved
  const following = new Set<Resolution>()
  let ended = false
  registerScheme({
    name: scheme,
    authority: (target) => `${readTarget(scheme, target).service}.${domain}`,
    open(target: Target, answers: Answers): Resolution {
      if (ended) {
        const text = `the resolver of ${scheme} was unregistered`
        throw new GrpcError('ERR_GRPC_CLOSED', text)
      }
      const one = new Following(resolved, readTarget(scheme, target), answers)
      return {
        update() {
          if (ended) return
          following.add(one)
          one.update()
        },
        end() {
          following.delete(one)
          one.end()
        },
      }
    },
  })
  const unregister = (): void => {
    ended = true
    for (const one of following) one.end()
    following.clear()
  }
  return {
    scheme,
    get channels() {
      return following.size
    },
    unregister,
    [Symbol.dispose]: unregister,
  }
}
