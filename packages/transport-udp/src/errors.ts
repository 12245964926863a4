/** What this transport refuses or reports; `details` say why in the words every transport uses. */
import { formatAddress, KithError } from '@kith/interface'
import type {
  Address,
  OptionProblem,
  TransportErrorDetails,
  TransportFailure,
} from '@kith/interface'

export type UdpErrorCode =
  /** An option is out of range; nothing was opened. */
  | 'ERR_UDP_OPTIONS'
  /** The address to listen on is taken or not one of this machine. */
  | 'ERR_UDP_BIND'
  /** Started twice, started after stop, or stopped while starting. */
  | 'ERR_UDP_STATE'
  /** One packet was not sent, or came back. */
  | 'ERR_UDP_SEND'

export type UdpErrorDetails =
  | TransportErrorDetails
  | { readonly problems: readonly OptionProblem[] }

export class UdpError extends KithError<UdpErrorCode, UdpErrorDetails> {
  constructor(code: UdpErrorCode, message: string, details: UdpErrorDetails, cause?: unknown) {
    super(code, message, cause === undefined ? { details } : { details, cause })
    this.name = 'UdpError'
  }
}

export function sendError(reason: TransportFailure, address: Address, cause?: unknown): UdpError {
  const text = `not sent to ${formatAddress(address)}: ${explain(reason, cause)}`
  return new UdpError('ERR_UDP_SEND', text, { reason, address }, cause)
}

function explain(reason: TransportFailure, cause: unknown): string {
  if (cause instanceof Error) return cause.message
  if (reason === 'address') return 'needs a literal IP address of a family this socket can reach'
  if (reason === 'tooLarge') return 'larger than packetBytesMax'
  if (reason === 'limit') return 'the queue of unsent packets is full'
  return reason
}

const reasons: Readonly<Record<string, TransportFailure>> = {
  ECONNREFUSED: 'refused',
  ECONNRESET: 'refused',
  EMSGSIZE: 'tooLarge',
  EADDRINUSE: 'address',
  EADDRNOTAVAIL: 'address',
  EACCES: 'address',
}

/** The reason for an error of the system. */
export function reasonOf(cause: unknown): TransportFailure {
  const { code } = (cause ?? {}) as { code?: string }
  return reasons[code ?? ''] ?? 'system'
}
