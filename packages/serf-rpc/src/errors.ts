/** What the RPC refuses or fails at; `docs/errors/serf-rpc.md` explains each code. */
import { KithError, type KithErrorOptions, type OptionProblem } from '@kith/interface'

export type RpcErrorCode =
  | 'ERR_RPC_OPTIONS'
  | 'ERR_RPC_STATE'
  | 'ERR_RPC_LISTEN'
  | 'ERR_RPC_CONNECT'
  | 'ERR_RPC_CONNECTION_LOST'
  | 'ERR_RPC_CLOSED'
  | 'ERR_RPC_TIMEOUT'
  | 'ERR_RPC_BUSY'
  | 'ERR_RPC_PROTOCOL'
  | 'ERR_RPC_VERSION'
  | 'ERR_RPC_AUTH_REQUIRED'
  | 'ERR_RPC_AUTH_INVALID'
  | 'ERR_RPC_CERTIFICATE'
  | 'ERR_RPC_UNSUPPORTED'
  | 'ERR_RPC_FILTER'
  | 'ERR_RPC_TOO_LARGE'
  | 'ERR_RPC_JOIN_FAILED'
  | 'ERR_RPC_KEYS'
  | 'ERR_RPC_QUERY_UNKNOWN'
  | 'ERR_RPC_QUERY_ANSWERED'
  | 'ERR_RPC_QUERY_LATE'
  | 'ERR_RPC_REFUSED'

export interface RpcErrorDetails {
  readonly problems?: readonly OptionProblem[]
  /** The agent's own words, to the letter. */
  readonly agentError?: string
  /** The command that failed, by Serf's name. */
  readonly command?: string
  /** `host:port` or the path of a socket. */
  readonly address?: string
  /** How many members answered what, where a command about keys failed. */
  readonly report?: unknown
  /** Whether the agent may have done what it was asked. */
  readonly maybeDone?: boolean
}

export class RpcError extends KithError<RpcErrorCode, RpcErrorDetails> {
  constructor(
    code: RpcErrorCode,
    message: string,
    options: KithErrorOptions<RpcErrorDetails> = {},
  ) {
    super(code, message, options)
    this.name = 'RpcError'
  }
}
