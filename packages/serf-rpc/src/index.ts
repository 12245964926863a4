/**
 * Serf's RPC protocol: a typed client for any Serf agent, and a server that lets Serf's own command
 * drive an agent of yours.
 * @packageDocumentation
 */
export { RpcError } from './errors.ts'
export type { RpcErrorCode, RpcErrorDetails } from './errors.ts'
export { defaultServerLimits } from './limits.ts'
export type { RpcServerLimits } from './limits.ts'
export type { SerfClientOptions, SerfRpcServerOptions } from './options.ts'
export type { SerfLogSource, SerfRpcHost } from './ports.ts'
export type {
  SerfCoordinate,
  SerfHostEvent,
  SerfKeyCommand,
  SerfKeyReport,
  SerfLogLevel,
  SerfLogLine,
  SerfMember,
  SerfMemberEventName,
  SerfQuery,
  SerfQueryAnswer,
  SerfStats,
  SerfStatus,
  SerfVersions,
} from './words.ts'
export { createSerfClient } from './runtime/client.ts'
export { createLogTap } from './runtime/logs.ts'
export type { LogTap, LogTapOptions } from './runtime/logs.ts'
export { createSerfRpcServer } from './runtime/server.ts'
export type { SerfRpcServer, SerfRpcServerStats } from './runtime/server.ts'
export type {
  SerfCallOptions,
  SerfClient,
  SerfClientStats,
  SerfEvent,
  SerfEventOptions,
  SerfIterationOptions,
  SerfKeys,
  SerfMemberFilter,
  SerfQueryEvent,
  SerfQueryOptions,
  SerfTagsChange,
} from './runtime/types.ts'
