/**
 * A virtual clock, a seeded faulty network with memory transports, and seeded scenarios.
 * @packageDocumentation
 */
export { createVirtualClock } from './clock.ts'
export type { RunOptions, VirtualClock, VirtualClockOptions } from './clock.ts'
export type { HostHandlers, SimReply } from './endpoint.ts'
export { SimError } from './errors.ts'
export type { SimErrorCode } from './errors.ts'
export { calmLink } from './faults.ts'
export type { LinkFaults, NetworkStats } from './faults.ts'
export type { PartitionScope } from './links.ts'
export { SimNetwork } from './network.ts'
export type { CrashOptions, SimHost, SimNetworkOptions } from './network.ts'
export { createSimRandom } from './random.ts'
export type { SimRandom } from './random.ts'
export type { RequestOptions, RequestOutcome } from './requests.ts'
export { expectHappened, replayCommand, runSeeds } from './runs.ts'
export type {
  Report,
  RunSeedsOptions,
  RunSeedsResult,
  Scenario,
  ScenarioContext,
  Scenarios,
} from './runs.ts'
export type { NetworkEvent, NetworkEventKind } from './trace.ts'
export { Transcript } from './transcript.ts'
export type { TranscriptOptions } from './transcript.ts'
