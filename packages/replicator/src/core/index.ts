/**
 * The pure machine, for people with their own event loop.
 * @packageDocumentation
 */
export { createCodec } from '../wire/codec.ts'
export type { ChainRequest, Codec, Decoded, FetchRequest } from '../wire/codec.ts'
export { lagOf, lagsOf } from './lag.ts'
export type { MemberLag, MemberLags } from './lag.ts'
export type {
  BoundaryAnswer,
  Call,
  CoreEvent,
  Failure,
  ForkStanding,
  Input,
  MemberStanding,
  Output,
  ReplicatorEvents,
  Verdict,
} from './messages.ts'
export { progressAfterMs, progressEveryMs, progressMembersMax } from './progress.ts'
export { createState } from './state.ts'
export type { CatchUp, CoreOptions, Counters, Session, SessionPhase, State } from './state.ts'
export { nextDeadline, step } from './step.ts'
