/**
 * The pure machine, for those with their own event loop or their own network.
 * @packageDocumentation
 */
export type { Command, GossipEvent, Input, JoinOutcome, Output, ProbeReport } from './input.ts'
export type { Progress } from './clocks.ts'
export { progress } from './progress.ts'
export { broadcastBytesMax } from './queries.ts'
export { questionRefusal } from './asking.ts'
export { createState } from './state.ts'
export type { CoreOptions, Policy, State } from './state.ts'
export type { Question, QueryReceived, QuerySummary, Refusal, UserEvent } from './talk.ts'
export { coreStats } from './stats.ts'
export type { CoreStats } from './stats.ts'
export { nextDeadline, step } from './step.ts'
export { tagsProblem } from './tags.ts'
export { nearest, rttMs } from './locating.ts'
export { filterFor, inNetwork, isPattern, parseNetwork } from '../wire/codec.ts'
export { member, members } from './view.ts'
export { createStreamDecoder, decodePacket } from '../wire/codec.ts'
export type { StreamMessage } from '../wire/message.ts'
export type { DecodeProblemKind } from '../wire/problem.ts'
export { profiles, resolveOptions } from '../options.ts'
export type { GossipTimings, Profile } from '../options.ts'
