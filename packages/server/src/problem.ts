/** Problem details (RFC 9457): every refusal names our code and the fields at fault. */
import { isKithError, type OptionProblem } from '@kith/interface'
import { ServerError, type ServerErrorCode } from './errors.ts'

export interface Problem {
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly code: string
  readonly problems?: readonly OptionProblem[]
  /** With `ERR_LOG_DROPPED`: the offset of the first record that is held. */
  readonly floor?: number
}

const PROBLEMS_MAX = 20

const serverStatuses: Readonly<Record<ServerErrorCode, readonly [number, string]>> = {
  ERR_SERVER_OPTIONS: [400, 'The options are not right'],
  ERR_SERVER_STATE: [500, 'The server is in the wrong state'],
  ERR_SERVER_LISTEN: [500, 'The server cannot listen'],
  ERR_SERVER_NOT_READY: [503, 'The member is not ready'],
  ERR_SERVER_STOPPING: [503, 'The member is stopping'],
  ERR_SERVER_BAD_REQUEST: [400, 'The request is not right'],
  ERR_SERVER_UNAUTHORIZED: [401, 'Nobody knows who asks'],
  ERR_SERVER_FORBIDDEN: [403, 'This is for others to ask'],
  ERR_SERVER_CERTIFICATE: [403, 'The certificate is not accepted'],
  ERR_SERVER_NOT_FOUND: [404, 'There is nothing here'],
  ERR_SERVER_BODY_TOO_LARGE: [413, 'The body is too large'],
  ERR_SERVER_BODY_INCOMPLETE: [400, 'The body did not arrive whole'],
  ERR_SERVER_MEDIA_TYPE: [415, 'The body has the wrong type'],
  ERR_SERVER_BUSY: [429, 'There is too much to do'],
  ERR_SERVER_ROUTE: [500, 'The route is not right'],
  ERR_SERVER_PLUGIN: [500, 'A plugin did not answer as it should'],
  ERR_SERVER_INTERNAL: [500, 'Something went wrong here'],
}

const badRequest = [400, 'The request is not right'] as const
const missing = [404, 'There is nothing here'] as const
const conflict = [409, 'The request contradicts what is stored'] as const
const tooLarge = [413, 'The body is too large'] as const
const unavailable = [503, 'The member cannot do this now'] as const

/** Codes of the parts behind the ports. Anything not listed is our fault and answered 500. */
const foreignStatuses: Readonly<Record<string, readonly [number, string]>> = {
  ERR_LOG_ACK_UNKNOWN: unavailable,
  ERR_LOG_APPEND_TOO_LARGE: tooLarge,
  ERR_LOG_CLOSED: unavailable,
  ERR_LOG_DROPPED: [410, 'The records were dropped'],
  ERR_LOG_NOT_READY: unavailable,
  ERR_LOG_NOT_STARTED: unavailable,
  ERR_LOG_OFFSET_OUT_OF_RANGE: [416, 'The offset is not held'],
  ERR_LOG_OPTIONS: badRequest,
  ERR_LOG_OVERLOADED: [429, 'There is too much to do'],
  ERR_LOG_POISONED: unavailable,
  ERR_LOG_PRODUCER_STALE: conflict,
  ERR_LOG_RECORD_INVALID: badRequest,
  ERR_LOG_RECORD_TOO_LARGE: tooLarge,
  ERR_LOG_RETIRE: conflict,
  ERR_LOG_ROTATION_RATE: unavailable,
  ERR_LOG_STORE_FULL: [507, 'The store is full'],
  ERR_REGISTRY_CHECK_NOT_SETTABLE: conflict,
  ERR_REGISTRY_CHECK_OPTIONS: badRequest,
  ERR_REGISTRY_LIMIT: conflict,
  ERR_REGISTRY_NOT_RUNNING: unavailable,
  ERR_REGISTRY_OPTIONS: badRequest,
  ERR_REGISTRY_SERVICE: badRequest,
  ERR_REGISTRY_UNKNOWN_CHECK: missing,
  ERR_REGISTRY_UNKNOWN_INSTANCE: missing,
  ERR_REPLICATOR_RETIRE: conflict,
  ERR_REPLICATOR_STOPPED: unavailable,
}

/** The problem for anything that was thrown. Texts of errors not ours stay inside. */
export function problemOf(cause: unknown): Problem {
  if (!isKithError(cause)) {
    const [status, title] = serverStatuses.ERR_SERVER_INTERNAL
    const detail = 'an unexpected error; the log of the member has it'
    return { title, status, detail, code: 'ERR_SERVER_INTERNAL' }
  }
  const [status, title] = statusOf(cause.code)
  const problems = problemsIn(cause.details)
  return {
    title,
    status,
    detail: cause.message,
    code: cause.code,
    ...(problems.length > 0 ? { problems: problems.slice(0, PROBLEMS_MAX) } : {}),
    ...(cause.code === 'ERR_LOG_DROPPED' ? floorIn(cause.details) : {}),
  }
}

/** Whether what was thrown is a refusal with a meaning, and no mistake of whoever threw it. */
export function isRefusal(cause: unknown): boolean {
  return isKithError(cause) && statusOf(cause.code)[0] !== 500
}

export function notFound(detail: string): ServerError {
  return new ServerError('ERR_SERVER_NOT_FOUND', detail)
}

function statusOf(code: string): readonly [number, string] {
  if (Object.hasOwn(serverStatuses, code)) return serverStatuses[code as ServerErrorCode]
  if (Object.hasOwn(foreignStatuses, code))
    return foreignStatuses[code] ?? serverStatuses.ERR_SERVER_INTERNAL
  return serverStatuses.ERR_SERVER_INTERNAL
}

function floorIn(details: unknown): { floor: number } | undefined {
  const floor: unknown = (details as { floor?: unknown } | undefined)?.floor
  return typeof floor === 'number' ? { floor } : undefined
}

/** Parts keep their problems as the details or among them. */
function problemsIn(details: unknown): readonly OptionProblem[] {
  if (typeof details !== 'object' || details === null) return []
  const found: unknown = 'problems' in details ? details.problems : details
  return Array.isArray(found) ? (found as OptionProblem[]) : []
}
