/**
 * Replication over HTTP: the source that pulls and the handler that serves.
 * @packageDocumentation
 */
export { createReplicationHandler } from './handler.ts'
export type {
  ReplicationHandler,
  ReplicationHandlerLimits,
  ReplicationHandlerOptions,
  ReplicationOperation,
  ReplicationReply,
} from './handler.ts'
export { httpSource } from './source.ts'
export type { HttpSourceOptions } from './source.ts'
