/** What the dispatcher refuses by itself; errors of connections stay those of undici. */
import { KithError, type KithErrorOptions, type OptionProblem } from '@kith/interface'

export type UndiciErrorCode =
  | 'ERR_UNDICI_OPTIONS'
  | 'ERR_UNDICI_CLOSED'
  | 'ERR_UNDICI_NO_INSTANCE'
  | 'ERR_UNDICI_RESOLVE'

export interface UndiciErrorDetails {
  /** Each field at fault, all at once. */
  readonly problems?: readonly OptionProblem[]
  /** The service that was asked for. */
  readonly service?: string
}

export class UndiciError extends KithError<UndiciErrorCode, UndiciErrorDetails> {
  constructor(
    code: UndiciErrorCode,
    message: string,
    options: KithErrorOptions<UndiciErrorDetails> = {},
  ) {
    super(code, message, options)
    this.name = 'UndiciError'
  }
}
