/** What the registry refuses, and why: one class, one code a situation (`docs/errors.md`). */
import {
  describeProblems,
  KithError,
  type KithErrorOptions,
  type OptionProblem,
} from '@kith/interface'

export type RegistryErrorCode =
  | 'ERR_REGISTRY_OPTIONS'
  | 'ERR_REGISTRY_SERVICE'
  | 'ERR_REGISTRY_LIMIT'
  | 'ERR_REGISTRY_NOT_RUNNING'
  | 'ERR_REGISTRY_UNKNOWN_INSTANCE'
  | 'ERR_REGISTRY_UNKNOWN_CHECK'
  | 'ERR_REGISTRY_CHECK_NOT_SETTABLE'
  | 'ERR_REGISTRY_CHECK_OPTIONS'
  | 'ERR_REGISTRY_CHECK_FAILED'
  | 'ERR_REGISTRY_EPOCH_STORE'
  | 'ERR_REGISTRY_SERVICE_STORE'
  | 'ERR_REGISTRY_CLIENT_LIMIT'
  | 'ERR_REGISTRY_CLIENT_OPTIONS'
  | 'ERR_REGISTRY_CLIENT_REFUSED'
  | 'ERR_REGISTRY_CLIENT_UNAVAILABLE'
  | 'ERR_REGISTRY_CLIENT_RESPONSE'
  | 'ERR_REGISTRY_CLIENT_STOPPED'

export interface RegistryErrorDetails {
  /** Each field at fault, all at once. */
  readonly problems?: readonly OptionProblem[]
  /** The id or name that the call was about. */
  readonly id?: string
  /** The HTTP status that an agent answered with. */
  readonly status?: number
}

export class RegistryError extends KithError<RegistryErrorCode, RegistryErrorDetails> {
  constructor(
    code: RegistryErrorCode,
    message: string,
    options: KithErrorOptions<RegistryErrorDetails> = {},
  ) {
    super(code, message, options)
    this.name = 'RegistryError'
  }
}

/** An error that lists every field at fault. */
export function problemError(
  code: RegistryErrorCode,
  problems: readonly OptionProblem[],
): RegistryError {
  return new RegistryError(code, describeProblems(problems.slice(0, 20)), { details: { problems } })
}
