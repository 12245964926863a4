/**
 * Contracts between the parts of Kith, and the few helpers that every part needs.
 * @packageDocumentation
 */
export { formatAddress, parseAddress, sameAddress } from './address.ts'
export type { Address } from './address.ts'
export { silentLogger } from './context.ts'
export type { CancelTimer, Clock, Digests, Logger, PluginContext, Random } from './context.ts'
export { estimatedRttMs, rawDistanceSeconds } from './coordinate.ts'
export type { Coordinate } from './coordinate.ts'
export type { Discovery, DiscoveryFactory, DiscoveryHandlers } from './discovery.ts'
export { createEmitter } from './emitter.ts'
export type { Emitter, EventSource, Unsubscribe } from './emitter.ts'
export { describeProblems, invariant, isKithError, KithError } from './errors.ts'
export type { KithErrorOptions, OptionProblem } from './errors.ts'
export { fromHex, toHex } from './hex.ts'
export { addressBytes, addressText } from './ip.ts'
export { isForgotten } from './log.ts'
export type {
  AppendOptions,
  AppendRecord,
  AppendResult,
  ApplyOutcome,
  ApplyReport,
  BatchBounds,
  BatchRun,
  Chain,
  CorruptRun,
  Durability,
  Hole,
  LogCommit,
  LogId,
  LogRecord,
  OriginId,
  OriginState,
  OriginStatus,
  ReadFrom,
  RepairOutcome,
  ReplicaLog,
} from './log.ts'
export type {
  LogStatement,
  LogStore,
  LogStoreFactory,
  LogStoreReader,
  StatementValue,
  StoreChanges,
  StoredBatch,
  StoredBatchRead,
  StoredCursor,
  StoreDamage,
  StoredHole,
  StoredMeta,
  StoredOrigin,
  StoredReplica,
  StoredProducer,
  StoreState,
} from './log-store.ts'
export type {
  ExtensionHost,
  GossipExtension,
  Member,
  MemberEvent,
  MemberEventKind,
  MembershipHandler,
  MembershipView,
  MemberStatus,
} from './membership.ts'
export { fieldPath, schemaProblems, showValue } from './problems.ts'
export type { SchemaIssue } from './problems.ts'
export { createRandom } from './random.ts'
export { releaseBytes } from './release.ts'
export type {
  HelloMessage,
  PullFork,
  PullGap,
  PullRequest,
  PullResponse,
  PullWant,
  ReplicationSource,
} from './replication.ts'
export type {
  CheckKind,
  CheckResult,
  CheckState,
  CheckStatus,
  CheckTarget,
  CheckTiming,
  ServiceInstance,
} from './service.ts'
export type {
  ByteStream,
  ConnectOptions,
  PacketHandlers,
  PacketTransport,
  PacketTransportFactory,
  StreamHandlers,
  StreamTransport,
  StreamTransportFactory,
  TransportErrorDetails,
  TransportFailure,
  TransportStart,
} from './transport.ts'
