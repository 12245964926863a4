/**
 * Everything this package rejects with. Causes and remedies stand in `docs/errors/replicator.md`.
 */
import { KithError } from '@kith/interface'
import type { KithErrorOptions } from '@kith/interface'

export type ReplicatorErrorCode =
  /** The other side belongs to another cluster. */
  | 'ERR_REPLICATOR_CLUSTER'
  /** The source does not know this log yet: say hello first. */
  | 'ERR_REPLICATOR_HELLO_NEEDED'
  /** The message broke the format or one of its limits. */
  | 'ERR_REPLICATOR_MALFORMED'
  /** Options out of range; `details` names them all. */
  | 'ERR_REPLICATOR_OPTIONS'
  /** The origin is not one of which nothing is expected: the message says why. */
  | 'ERR_REPLICATOR_RETIRE'
  /** The other log has our own log id. */
  | 'ERR_REPLICATOR_SELF'
  /** Stopped, or closed, before or while the call ran. */
  | 'ERR_REPLICATOR_STOPPED'
  /** The body passed its limit. */
  | 'ERR_REPLICATOR_TOO_LARGE'
  /** The source could not be reached, or answered with something that is not ours. */
  | 'ERR_REPLICATOR_UNAVAILABLE'
  /** No protocol version in common. */
  | 'ERR_REPLICATOR_VERSION'

export class ReplicatorError extends KithError<ReplicatorErrorCode> {
  constructor(code: ReplicatorErrorCode, message: string, options: KithErrorOptions<unknown> = {}) {
    super(code, message, options)
    this.name = 'ReplicatorError'
  }
}

const codes: ReadonlySet<string> = new Set<ReplicatorErrorCode>([
  'ERR_REPLICATOR_CLUSTER',
  'ERR_REPLICATOR_HELLO_NEEDED',
  'ERR_REPLICATOR_MALFORMED',
  'ERR_REPLICATOR_OPTIONS',
  'ERR_REPLICATOR_RETIRE',
  'ERR_REPLICATOR_SELF',
  'ERR_REPLICATOR_STOPPED',
  'ERR_REPLICATOR_TOO_LARGE',
  'ERR_REPLICATOR_UNAVAILABLE',
  'ERR_REPLICATOR_VERSION',
])

/** True for the codes above, wherever the text came from: a problem document names its code. */
export function isReplicatorCode(code: unknown): code is ReplicatorErrorCode {
  return typeof code === 'string' && codes.has(code)
}
