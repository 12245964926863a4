/**
 * Cluster membership and failure detection: SWIM and Lifeguard on Serf's wire.
 * @packageDocumentation
 */
export type { CoreStats, FailEvent, GossipEvent, JoinOutcome } from './core/index.ts'
export type { FindingDetail } from './core/index.ts'
export type { Accusation, FailureReport, HelperReport, ProbeReport } from './core/index.ts'
export type { QueryReceived, QuerySummary, UserEvent } from './core/index.ts'
export type { Remembered } from './core/memory.ts'
export { GossipError } from './errors.ts'
export type { GossipErrorCode, GossipErrorDetails } from './errors.ts'
export type { DecodeProblemKind } from './wire/problem.ts'
export { profiles, resolveOptions } from './options.ts'
export type { GossipTimings, Profile } from './options.ts'
export { dnsDiscovery } from './runtime/discovery/dns.ts'
export type { DnsDiscoveryOptions, DnsResolver } from './runtime/discovery/dns.ts'
export { fileDiscovery } from './runtime/discovery/file.ts'
export type { FileDiscoveryOptions } from './runtime/discovery/file.ts'
export { staticDiscovery } from './runtime/discovery/static.ts'
export type { Finding, FindingBase, Found, StrangerDetail } from './runtime/diagnosis-types.ts'
export { createGossip } from './runtime/gossip.ts'
export type { GossipKeys, KeyOptions, KeyReport, KeyResult } from './runtime/key-types.ts'
export { createKeyring } from './runtime/keyring.ts'
export type { Keyring, KeyringOptions } from './runtime/keyring.ts'
export type {
  EmitOptions,
  EventsOptions,
  Query,
  QueryOptions,
  QueryResponse,
  ReceivedQuery,
  StreamedEvent,
} from './runtime/talk-types.ts'
export { snapshotMembers } from './runtime/recorder.ts'
export type {
  Gossip,
  GossipEvents,
  GossipOptions,
  GossipStats,
  GossipWarning,
  JoinOptions,
  MergeVeto,
} from './runtime/types.ts'
export { compilePattern } from './wire/pattern.ts'
export type { Pattern } from './wire/pattern.ts'
