/** What this transport refuses or reports; `details` say why in the words every transport uses. */
import { formatAddress, KithError } from '@kith/interface'
import type {
  Address,
  OptionProblem,
  TransportErrorDetails,
  TransportFailure,
} from '@kith/interface'

export type TcpErrorCode =
  /** An option is out of range; nothing was opened. */
  | 'ERR_TCP_OPTIONS'
  /** The address to listen on is taken or not one of this machine. */
  | 'ERR_TCP_BIND'
  /** Used in the wrong state: started twice, stopped, two reads at once, a write after the end. */
  | 'ERR_TCP_STATE'
  /** No connection came about. */
  | 'ERR_TCP_CONNECT'
  /** A stream broke. */
  | 'ERR_TCP_STREAM'

export type TcpErrorDetails =
  | TransportErrorDetails
  | { readonly problems: readonly OptionProblem[] }

export class TcpError extends KithError<TcpErrorCode, TcpErrorDetails> {
  constructor(code: TcpErrorCode, message: string, details: TcpErrorDetails, cause?: unknown) {
    super(code, message, cause === undefined ? { details } : { details, cause })
    this.name = 'TcpError'
  }
}

export function connectError(
  reason: TransportFailure,
  address: Address,
  cause?: unknown,
): TcpError {
  const text = `no connection to ${formatAddress(address)}: ${explain(reason, cause)}`
  return new TcpError('ERR_TCP_CONNECT', text, { reason, address }, cause)
}

export function streamError(reason: TransportFailure, address: Address, cause?: unknown): TcpError {
  const text = `the stream with ${formatAddress(address)} broke: ${explain(reason, cause)}`
  return new TcpError('ERR_TCP_STREAM', text, { reason, address }, cause)
}

export function stateError(reason: TransportFailure, message: string, address?: Address): TcpError {
  const details = address === undefined ? { reason } : { reason, address }
  return new TcpError('ERR_TCP_STATE', message, details)
}

function explain(reason: TransportFailure, cause: unknown): string {
  return cause instanceof Error ? cause.message : reason
}

const reasons: Readonly<Record<string, TransportFailure>> = {
  ECONNREFUSED: 'refused',
  ETIMEDOUT: 'timeout',
  ECONNRESET: 'reset',
  EPIPE: 'reset',
  ECANCELED: 'reset',
  ERR_STREAM_DESTROYED: 'reset',
  ERR_STREAM_PREMATURE_CLOSE: 'reset',
  EADDRINUSE: 'address',
  EADDRNOTAVAIL: 'address',
  EACCES: 'address',
  ENOTFOUND: 'address',
  EAI_AGAIN: 'address',
}

/** The reason for an error of the system. */
export function reasonOf(cause: unknown): TransportFailure {
  const { code } = (cause ?? {}) as { code?: string }
  return reasons[code ?? ''] ?? 'system'
}
