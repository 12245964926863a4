/** What the resolver refuses by itself; the status of a call stays that of grpc-js. */
import { KithError, type KithErrorOptions, type OptionProblem } from '@kith/interface'

export type GrpcErrorCode =
  | 'ERR_GRPC_OPTIONS'
  | 'ERR_GRPC_TARGET'
  | 'ERR_GRPC_TAKEN'
  | 'ERR_GRPC_CLOSED'
  | 'ERR_GRPC_LIBRARY'

export interface GrpcErrorDetails {
  /** Each field at fault, all at once. */
  readonly problems?: readonly OptionProblem[]
  /** What `@grpc/grpc-js` lacks. */
  readonly missing?: readonly string[]
}

export class GrpcError extends KithError<GrpcErrorCode, GrpcErrorDetails> {
  constructor(
    code: GrpcErrorCode,
    message: string,
    options: KithErrorOptions<GrpcErrorDetails> = {},
  ) {
    super(code, message, options)
    this.name = 'GrpcError'
  }
}
