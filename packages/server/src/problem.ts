/** Problem details (RFC 9457): every refusal names our code and the fields at fault. */
import { isKithError, type OptionProblem } from '@kith/interface'
import { ServerError, type ServerErrorCode } from './errors.ts'

export interface Problem {
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly code: string
  readonly problems?: readonly OptionProblem[]
}

const PROBLEMS_MAX = 20

const serverStatuses: Readonly<Record<ServerErrorCode, readonly [number, string]>> = {
  ERR_SERVER_OPTIONS: [400, 'The options are not right'],
  ERR_SERVER_STATE: [500, 'The server is in the wrong state'],
  ERR_SERVER_LISTEN: [500, 'The server cannot listen'],
  ERR_SERVER_NOT_READY: [503, 'The member is not ready'],
  ERR_SERVER_STOPPING: [503, 'The member is stopping'],
  ERR_SERVER_BAD_REQUEST: [400, 'The request is not right'],
  ERR_SERVER_NOT_FOUND: [404, 'There is nothing here'],
  ERR_SERVER_BODY_TOO_LARGE: [413, 'The body is too large'],
  ERR_SERVER_BODY_INCOMPLETE: [400, 'The body did not arrive whole'],
  ERR_SERVER_MEDIA_TYPE: [415, 'The body has the wrong type'],
  ERR_SERVER_BUSY: [429, 'There is too much to do'],
  ERR_SERVER_INTERNAL: [500, 'Something went wrong here'],
}

/**
 * Codes of other parts by what they end in: the parts are many, what a caller can do about it is
 * one of a few. Anything not listed is our fault and answered 500.
 */
const foreignStatuses: readonly (readonly [RegExp, number, string])[] = [
  [/_(NOT_READY|CLOSED|STOPPED|STOPPING|STATE)$/, 503, 'The member cannot do this now'],
  [/_(POISONED|DISK_FULL|GATE)$/, 503, 'The member cannot do this now'],
  [/_(BUSY|OVERLOADED|QUEUE_FULL)$/, 429, 'There is too much to do'],
  [/_(NOT_FOUND|UNKNOWN|UNKNOWN_SERVICE|UNKNOWN_CHECK)$/, 404, 'There is nothing here'],
  [/_OUT_OF_RANGE$/, 416, 'The offset is not held'],
  [/_TOO_(LARGE|MANY)$/, 413, 'The body is too large'],
  [/_(CONFLICT|TAKEN|PRODUCER\w*|SEQUENCE\w*)$/, 409, 'The request contradicts what is stored'],
  [
    /_(OPTIONS?|INVALID|BAD_\w+|RECORDS?|ARGUMENTS?|CHECK\w*|NAME\w*)$/,
    400,
    'The request is not right',
  ],
]

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
  }
}

export function notFound(detail: string): ServerError {
  return new ServerError('ERR_SERVER_NOT_FOUND', detail)
}

function statusOf(code: string): readonly [number, string] {
  if (Object.hasOwn(serverStatuses, code)) return serverStatuses[code as ServerErrorCode]
  for (const [pattern, status, title] of foreignStatuses) {
    if (pattern.test(code)) return [status, title]
  }
  return serverStatuses.ERR_SERVER_INTERNAL
}

function problemsIn(details: unknown): readonly OptionProblem[] {
  if (typeof details !== 'object' || details === null || !('problems' in details)) return []
  return Array.isArray(details.problems) ? (details.problems as OptionProblem[]) : []
}
