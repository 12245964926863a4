/**
 * Services, their addresses and their health: registered at one member, resolved by name at all.
 * @packageDocumentation
 */
export { eventLoopCheck } from './checks/event-loop.ts'
export type { EventLoopCheckOptions } from './checks/event-loop.ts'
export { functionCheck } from './checks/function.ts'
export type { CheckFunction, FunctionCheckOptions } from './checks/function.ts'
export { grpcCheck } from './checks/grpc.ts'
export type { GrpcCheckOptions } from './checks/grpc.ts'
export { httpCheck } from './checks/http.ts'
export type { HttpCheckOptions, HttpCheckTls } from './checks/http.ts'
export { scriptCheck } from './checks/script.ts'
export type { ScriptCheckOptions } from './checks/script.ts'
export { tcpCheck } from './checks/tcp.ts'
export type { TcpCheckOptions } from './checks/tcp.ts'
export { ttlCheck } from './checks/ttl.ts'
export type { TtlCheckOptions } from './checks/ttl.ts'
export { createRegistryClient } from './client/client.ts'
export type {
  KnownService,
  RegistryClient,
  RegistryClientCallOptions,
  RegistryClientEvents,
  RegistryClientOptions,
  RegistryClientUseOptions,
} from './client/types.ts'
export type { Counters } from './core/types.ts'
export { RegistryError } from './errors.ts'
export type { RegistryErrorCode, RegistryErrorDetails } from './errors.ts'
export type { RegistryLimits, RegistrySettings, RegistryTimings } from './options.ts'
export { serviceProblems } from './runtime/definition.ts'
export type { CheckDefinition, ServiceDefinition } from './runtime/definition.ts'
export { createRegistry } from './runtime/registry.ts'
export type {
  PickOptions,
  PickStrategy,
  RegisterOptions,
  Registry,
  RegistryEvents,
  RegistryOptions,
  RegistryStats,
  ResolveOptions,
  ServiceLease,
  ServiceRegistration,
  WatchOptions,
} from './runtime/types.ts'
