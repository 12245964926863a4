/**
 * Conformance suites for every Kith contract, for any test runner, and arbitraries for fast-check.
 * @packageDocumentation
 */
export { addresses, byteArrays, hostileNames, memberNames, pieces } from './arbitraries.ts'
export { checkKindCases } from './check-kind.ts'
export type { CheckKindSubject } from './check-kind.ts'
export { failingCases, runCase, runConformance } from './conformance.ts'
export type { ConformanceCase, ConformanceOptions, TestRunner } from './conformance.ts'
export { discoveryCases } from './discovery.ts'
export type { DiscoverySubject } from './discovery.ts'
export {
  ConformanceFailure,
  expectBytes,
  expectEqual,
  expectReason,
  expectRejects,
  expectThat,
  expectTypedReason,
  Mailbox,
  pass,
  within,
} from './expect.ts'
export { logStoreCases } from './log-store.ts'
export type { LogStoreSubject } from './log-store.ts'
export {
  logStoreFaultCases,
  missingForLogStoreFaults,
  runLogStoreFaults,
} from './log-store-faults.ts'
export type { LogStoreFaultOptions } from './faults/bench.ts'
export type { LogStoreFaultSubject, OpenLogStore } from './faults/subject.ts'
export { packetTransportCases } from './packet-transport.ts'
export type { PacketTransportSubject } from './packet-transport.ts'
export { replicationSourceCases } from './replication-source.ts'
export type { ReplicationSourceSubject } from './replication-source.ts'
export type { StreamTransportSubject } from './stream-parties.ts'
export { streamTransportCases } from './stream-transport.ts'
