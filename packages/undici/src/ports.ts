/** What the dispatcher needs of a registry: one of a member fits, and so does a plain client. */
import type { ServiceInstance, Unsubscribe } from '@kith/interface'

export type MaybePromise<Value> = Value | Promise<Value>

export interface InstanceLease {
  readonly instance: ServiceInstance
  /** Idempotent. */
  release(): void
}

export type LeaseStrategy = 'round-robin' | 'random' | 'least-loaded' | 'rendezvous' | 'nearest'

export interface LeaseOptions {
  readonly strategy?: LeaseStrategy
  readonly tags?: readonly string[]
  readonly prefer?: { readonly zone?: string; readonly tags?: readonly string[] }
  /** What `rendezvous` goes by. */
  readonly key?: string
  /** True for those that must not be chosen. */
  readonly except?: (instance: ServiceInstance) => boolean
}

export interface ServiceSource {
  /** Passing instances now. */
  resolve(service: string): MaybePromise<readonly ServiceInstance[]>
  /** One passing instance, counted as in use until it is released; undefined where none fits. */
  lease(service: string, options: LeaseOptions): MaybePromise<InstanceLease | undefined>
  /** Told whenever `resolve(service)` may give something else. */
  on(kind: 'change', listener: (event: { readonly service: string }) => unknown): Unsubscribe
}
