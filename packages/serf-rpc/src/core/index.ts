/**
 * The pure machines and the codec under them, for those with their own sockets.
 * @packageDocumentation
 */
export { nextDeadline, step } from './connection.ts'
export type {
  ConnectionInput,
  ConnectionOutput,
  EndCause,
  HostAnswer,
  HostCall,
  NewsEvent,
} from './input.ts'
export type { MemberFilter } from './members.ts'
export { createSession, stepSession } from './session.ts'
export type {
  SessionFailure,
  SessionInput,
  SessionOptions,
  SessionOutput,
  SessionState,
} from './session.ts'
export { createConnection, wantsBytes } from './state.ts'
export type { ConnectionOptions, ConnectionState } from './state.ts'
export { defaultServerLimits } from '../limits.ts'
export type { RpcServerLimits } from '../limits.ts'
export type { Request } from '../wire/message.ts'
export { encodeRequest } from '../wire/request.ts'
