/** What `diagnose` tells. */
import type { Address } from '@kith/interface'
import type { FindingDetail } from '../core/index.ts'

/** What every finding has. Times are milliseconds since 1970, by this machine's clock. */
export interface FindingBase {
  /** Whom it concerns; this member itself where it is its own fault. Absent: nobody knows. */
  readonly member?: string
  /** Since when it is so without a break, as far as this member saw it. */
  readonly since: number
  /** When it was last seen, and how often since then. */
  readonly lastAt: number
  readonly times: number
  /** What was seen, in a sentence. */
  readonly text: string
  /** What to do about it. */
  readonly advice: string
}

/**
 * Something that is wrong, one kind with its own evidence:
 *
 * - `packetsBlocked`: a member answers over TCP and not over UDP; it would be failed without TCP.
 * - `loopbackAdvertised`: a member tells others an address that means their own machine.
 * - `nameTwice`: two members claim one name; the one at `address` has it, the one at `other` not.
 * - `metaTooLarge`: a member's tags have more bytes than may be; what it says is not heard.
 * - `loopLate`: this process did not run within the last minute, for longer than a probe waits.
 * - `keyUnknown`: somebody sends what no key of this member opens; port 0 where only its host is
 *   known, here and below.
 * - `keyMissing`: somebody sends what is encrypted, and this member has no key.
 * - `plaintextRefused`: somebody sends what is not encrypted, and this member has a key.
 * - `labelDiffers`: somebody sends with another label than this member's; empty for none, `theirs`
 *   absent where it is not known.
 * - `alone`: this member reaches nobody that it was told of, and why, at most 8 reasons.
 */
export type Finding = FindingBase & Found

/** What was seen. */
export type Found =
  | FindingDetail
  | StrangerDetail
  | { readonly kind: 'alone'; readonly failures: readonly string[] }

/** What was seen of somebody whose bytes are not read. */
export type StrangerDetail =
  | {
      readonly kind: 'keyUnknown' | 'keyMissing' | 'plaintextRefused'
      readonly address: Address
    }
  | {
      readonly kind: 'labelDiffers'
      readonly address: Address
      readonly label: string
      readonly theirs?: string
    }
