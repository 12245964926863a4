/** What the simulator refuses: all of these are mistakes in a test, none comes from the network. */
import { formatAddress, KithError } from '@kith/interface'
import type {
  Address,
  KithErrorOptions,
  TransportErrorDetails,
  TransportFailure,
} from '@kith/interface'

export type SimErrorCode =
  /** An option is out of range. */
  | 'ERR_SIM_OPTIONS'
  /** Somebody is attached to this address already. */
  | 'ERR_SIM_ADDRESS_IN_USE'
  /** The clock was advanced from inside one of its own timers, or backwards. */
  | 'ERR_SIM_CLOCK'
  /** Timers kept starting timers without time passing. */
  | 'ERR_SIM_NO_PROGRESS'
  /** A golden transcript differs from what happened. */
  | 'ERR_SIM_TRANSCRIPT'
  /** A scenario failed for a seed; the message carries the command that replays it. */
  | 'ERR_SIM_SEED_FAILED'
  /** A memory transport refused or failed; `details.reason` says why, as for any transport. */
  | 'ERR_SIM_TRANSPORT'

export class SimError extends KithError<SimErrorCode> {
  constructor(code: SimErrorCode, message: string, options: KithErrorOptions<unknown> = {}) {
    super(code, message, options)
    this.name = 'SimError'
  }
}

/** The typed error of the memory transports. */
export function transportError(
  reason: TransportFailure,
  address?: Address,
  cause?: unknown,
): SimError {
  const details: TransportErrorDetails = address === undefined ? { reason } : { reason, address }
  const where = address === undefined ? '' : ` (${formatAddress(address)})`
  const options = cause === undefined ? { details } : { details, cause }
  return new SimError('ERR_SIM_TRANSPORT', `memory transport: ${reason}${where}`, options)
}
