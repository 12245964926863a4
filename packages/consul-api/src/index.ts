/**
 * Consul's HTTP API, the part that tools use.
 * @packageDocumentation
 */
export { ConsulApiError } from './errors.ts'
export type { ConsulApiErrorCode, ConsulApiErrorDetails } from './errors.ts'
export type { ConsulApiOptions } from './options.ts'
export { consulApiPlugin } from './plugin.ts'
export type { ConsulApiPluginOptions } from './plugin.ts'
export type {
  ConsulApiPlugin,
  ConsulApiPluginContext,
  ConsulCheckDefinition,
  ConsulRegistration,
  ConsulRegistry,
  ConsulServiceDefinition,
} from './ports.ts'
export { createConsulApi } from './server.ts'
export type { ConsulApi } from './server.ts'
export type { ConsulApiStats } from './stats.ts'
