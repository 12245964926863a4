/** Every error this package makes on purpose; `docs/errors/server.md` explains each code. */
import { KithError, type KithErrorOptions, type OptionProblem } from '@kith/interface'

export type ServerErrorCode =
  | 'ERR_SERVER_OPTIONS'
  | 'ERR_SERVER_STATE'
  | 'ERR_SERVER_LISTEN'
  | 'ERR_SERVER_NOT_READY'
  | 'ERR_SERVER_STOPPING'
  | 'ERR_SERVER_BAD_REQUEST'
  | 'ERR_SERVER_NOT_FOUND'
  | 'ERR_SERVER_UNAUTHORIZED'
  | 'ERR_SERVER_FORBIDDEN'
  | 'ERR_SERVER_CERTIFICATE'
  | 'ERR_SERVER_BODY_TOO_LARGE'
  | 'ERR_SERVER_BODY_INCOMPLETE'
  | 'ERR_SERVER_MEDIA_TYPE'
  | 'ERR_SERVER_BUSY'
  | 'ERR_SERVER_ROUTE'
  | 'ERR_SERVER_PLUGIN'
  | 'ERR_SERVER_INTERNAL'

export interface ServerErrorDetails {
  /** Everything that is wrong with what was sent or configured. */
  readonly problems?: readonly OptionProblem[]
}

export class ServerError extends KithError<ServerErrorCode, ServerErrorDetails> {
  constructor(
    code: ServerErrorCode,
    message: string,
    options: KithErrorOptions<ServerErrorDetails> = {},
  ) {
    super(code, message, options)
    this.name = 'ServerError'
  }
}
