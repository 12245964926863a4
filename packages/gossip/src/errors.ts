/** What gossip refuses, as codes a caller can branch on. `docs/errors/gossip.md` explains each. */
import { describeProblems, KithError } from '@kith/interface'
import type { KithErrorOptions, OptionProblem } from '@kith/interface'

export type GossipErrorCode =
  | 'ERR_GOSSIP_ABORTED'
  | 'ERR_GOSSIP_BROADCAST_TOO_LARGE'
  | 'ERR_GOSSIP_DISCOVERY'
  | 'ERR_GOSSIP_CONFLICT_LOST'
  | 'ERR_GOSSIP_EVENT_TOO_LARGE'
  | 'ERR_GOSSIP_EXTENSION_NAME'
  | 'ERR_GOSSIP_EXTENSION_TAKEN'
  | 'ERR_GOSSIP_FETCH_FAILED'
  | 'ERR_GOSSIP_JOIN_FAILED'
  | 'ERR_GOSSIP_KEYRING_FILE'
  | 'ERR_GOSSIP_KEYS_FULL'
  | 'ERR_GOSSIP_KEY_INVALID'
  | 'ERR_GOSSIP_KEY_MISSING'
  | 'ERR_GOSSIP_KEY_NOT_INSTALLED'
  | 'ERR_GOSSIP_KEY_PRIMARY'
  | 'ERR_GOSSIP_KEY_UNKNOWN'
  | 'ERR_GOSSIP_LEFT'
  | 'ERR_GOSSIP_MEMBER_UNKNOWN'
  | 'ERR_GOSSIP_NOT_ENCRYPTED'
  | 'ERR_GOSSIP_NOT_RUNNING'
  | 'ERR_GOSSIP_OPTIONS'
  | 'ERR_GOSSIP_OVERLOADED'
  | 'ERR_GOSSIP_QUERY_FILTER'
  | 'ERR_GOSSIP_QUERY_LATE'
  | 'ERR_GOSSIP_QUERY_NAME'
  | 'ERR_GOSSIP_QUERY_TOO_LARGE'
  | 'ERR_GOSSIP_RESPONSE_FAILED'
  | 'ERR_GOSSIP_RESPONSE_TOO_LARGE'
  | 'ERR_GOSSIP_RESPONSE_TWICE'
  | 'ERR_GOSSIP_SNAPSHOT'
  | 'ERR_GOSSIP_TRANSPORT_MISSING'

export interface GossipErrorDetails {
  /** Everything that is wrong with the options, where the code is `ERR_GOSSIP_OPTIONS`. */
  readonly problems?: readonly OptionProblem[]
  /** One reason an address, where a join failed. */
  readonly failures?: readonly string[]
  /** What is wrong with a keyring file, where the code is `ERR_GOSSIP_KEYRING_FILE`. */
  readonly keyring?: { readonly file: string; readonly problem: string; readonly index?: number }
}

export class GossipError extends KithError<GossipErrorCode, GossipErrorDetails> {
  constructor(
    code: GossipErrorCode,
    message: string,
    options: KithErrorOptions<GossipErrorDetails> = {},
  ) {
    super(code, message, options)
    this.name = 'GossipError'
  }
}

/** All problems at once; undefined where there are none. */
export function optionsError(problems: readonly OptionProblem[]): GossipError | undefined {
  if (problems.length === 0) return undefined
  return new GossipError('ERR_GOSSIP_OPTIONS', describeProblems(problems), {
    details: { problems },
  })
}
