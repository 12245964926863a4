/** What the resolver needs of a registry: one of a member fits, and so does a plain client. */
import type { ServiceInstance } from '@kith/interface'

export interface ServiceSource {
  /** Passing instances with all of `tags`, now. */
  resolve(
    service: string,
    options: { readonly tags: readonly string[] },
  ): readonly ServiceInstance[] | Promise<readonly ServiceInstance[]>
  /** The same now and after each change, until the signal aborts or the registry stops. */
  watch(
    service: string,
    options: { readonly tags: readonly string[]; readonly signal: AbortSignal },
  ): AsyncIterable<readonly ServiceInstance[]>
}
