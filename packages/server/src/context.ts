/** What every route works with: the limits, the parts once they are bound, and the counters. */
import type { Logger } from '@kith/interface'
import type { Gate } from './access.ts'
import type { BodyBudget } from './body.ts'
import { ServerError } from './errors.ts'
import type { ServerLimits } from './options.ts'
import type { PluginRequests } from './plugin-requests.ts'
import type { ServerParts } from './ports.ts'
import type { TlsDoor } from './tls.ts'

export interface RouteContext {
  readonly limits: ServerLimits
  readonly logger: Logger
  readonly bodies: BodyBudget
  readonly counters: ServerCounters
  readonly gate: Gate
  readonly plugins: PluginRequests
  /** Where TLS is spoken: who may ask for anything at all. */
  readonly door: TlsDoor | undefined
  /** Aborts when the server stops: whatever is parked ends. */
  readonly stopping: AbortSignal
  /** The bound parts; throws `ERR_SERVER_NOT_READY` before `bind`. */
  parts(): ServerParts
}

/** What the server itself counts. */
export interface ServerCounters {
  requests: number
  badRequests: number
  /** Refused for want of a token, and for its role. */
  unauthorized: number
  forbidden: number
  /** Requests refused for their certificate; handshakes of TLS that failed. */
  certificatesRefused: number
  handshakesFailed: number
  failures: number
  bodyBytes: number
  recordsAppended: number
  recordsRead: number
  /** Answers with records that are being sent, now. */
  readers: number
  /** Those of them with `follow`. */
  followers: number
  /** Answers that follow a service, now. */
  watchers: number
  verifying: boolean
}

export function createCounters(): ServerCounters {
  return {
    requests: 0,
    badRequests: 0,
    unauthorized: 0,
    forbidden: 0,
    certificatesRefused: 0,
    handshakesFailed: 0,
    failures: 0,
    bodyBytes: 0,
    recordsAppended: 0,
    recordsRead: 0,
    readers: 0,
    followers: 0,
    watchers: 0,
    verifying: false,
  }
}

export function notReady(): ServerError {
  return new ServerError('ERR_SERVER_NOT_READY', 'the member is starting; try again in a moment')
}
