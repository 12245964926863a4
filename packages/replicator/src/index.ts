/**
 * Pull replication of logs: every record on every member exactly once, over any topology.
 * @packageDocumentation
 */
export type { MemberLag, MemberLags } from './core/lag.ts'
export type { ForkStanding, ReplicatorEvents } from './core/messages.ts'
export type { Counters, SessionCounters, SessionPhase } from './core/state.ts'
export { isReplicatorCode, ReplicatorError } from './errors.ts'
export type { ReplicatorErrorCode } from './errors.ts'
export { bytesPerSecondBounds, resolveTuning, tuningDefaults } from './options.ts'
export type { GapPolicy, ReplicatorTuning } from './options.ts'
export { createReplicator } from './runtime/replicator.ts'
export type {
  MemberReplication,
  Replicator,
  ReplicatorOptions,
  ReplicatorStatus,
} from './runtime/replicator.ts'
