/** Every error this package makes on purpose; `docs/errors/consul-api.md` explains each code. */
import {
  describeProblems,
  KithError,
  type KithErrorOptions,
  type OptionProblem,
} from '@kith/interface'

export type ConsulApiErrorCode =
  | 'ERR_CONSUL_OPTIONS'
  | 'ERR_CONSUL_LISTEN'
  | 'ERR_CONSUL_STATE'
  | 'ERR_CONSUL_REFUSED'

export interface ConsulApiErrorDetails {
  /** Everything that is wrong with what was sent or configured. */
  readonly problems?: readonly OptionProblem[]
  /** The HTTP status that a refused caller gets. */
  readonly status?: number
}

export class ConsulApiError extends KithError<ConsulApiErrorCode, ConsulApiErrorDetails> {
  constructor(
    code: ConsulApiErrorCode,
    message: string,
    options: KithErrorOptions<ConsulApiErrorDetails> = {},
  ) {
    super(code, message, options)
    this.name = 'ConsulApiError'
  }
}

/** What a caller of the API reads as text, with this status. */
export function refused(status: number, message: string): ConsulApiError {
  return new ConsulApiError('ERR_CONSUL_REFUSED', message, { details: { status } })
}

const PROBLEMS_SHOWN_MAX = 20

/** 400, with every field at fault. */
export function badRequest(problems: readonly OptionProblem[]): ConsulApiError {
  const shown = problems.slice(0, PROBLEMS_SHOWN_MAX)
  return new ConsulApiError('ERR_CONSUL_REFUSED', describeProblems(shown), {
    details: { status: 400, problems: shown },
  })
}
