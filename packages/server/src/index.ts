/**
 * The HTTP interface of one Kith member.
 * @packageDocumentation
 */
export type { AccessRole, AccessToken, Caller } from './access.ts'
export { isToken, roleReader, tokenForm, tokenProblems } from './access.ts'
export { ServerError } from './errors.ts'
export type { ServerErrorCode, ServerErrorDetails } from './errors.ts'
export { defaultServerLimits } from './options.ts'
export type { ServerLimits, ServerOptions } from './options.ts'
export type { PluginAnswer, PluginMethod, PluginRequest, PluginRoute } from './plugin-routes.ts'
export type {
  LogPort,
  LogStatusPort,
  RegistryPort,
  ReplicationOperation,
  ReplicationPort,
  ResolvePortOptions,
  ServerParts,
  ServiceRegistration,
} from './ports.ts'
export type { Problem } from './problem.ts'
export type { RequestMessage } from './requests.ts'
export { createServer } from './server.ts'
export type { Server, ServerStats } from './server.ts'
