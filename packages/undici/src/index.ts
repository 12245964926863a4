/**
 * fetch by the name of a service, through undici.
 * @packageDocumentation
 */
export { createDispatcher } from './dispatcher.ts'
export type { KithDispatcher } from './dispatcher.ts'
export { UndiciError } from './errors.ts'
export type { UndiciErrorCode, UndiciErrorDetails } from './errors.ts'
export type { KithDispatcherOptions } from './options.ts'
export type {
  InstanceLease,
  LeaseOptions,
  LeaseStrategy,
  MaybePromise,
  ServiceSource,
} from './ports.ts'
