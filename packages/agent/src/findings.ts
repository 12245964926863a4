/** What an agent finds wrong, beside what its gossip does: kinds and their evidence. */
import type { Finding, FindingBase } from '@kith/gossip'
import type { ReachProblem } from '@kith/interface/node'

/**
 * Why a member's HTTP is of no use to this one: why it is not reached; `token`: it takes another
 * token; `noTls`: it speaks plaintext to a member with certificates; `leadsBack`: its address is
 * that of this member.
 */
export type HttpProblem = ReachProblem | 'token' | 'noTls' | 'leadsBack'

/**
 * Something that is wrong, one kind with its own evidence:
 *
 * - `httpUnreachable`: a member lives, and its HTTP is not where its tag `kith.http` says, `url`.
 * - `copyRefused`: a member and this one copy nothing of each other, for the reason `code`.
 * - `diskSlow`: commits take the disk of `directory` a second and more, `longestMs` at the longest;
 *   `waitingMs` is for how long one is under way now.
 * - `diskNearlyFull`: little room is left where the log is.
 * - `diskFull`: appends are refused for want of room.
 * - `logStopped`: the log takes nothing more, by the state of its `gate`.
 */
export type AgentFound =
  | { readonly kind: 'httpUnreachable'; readonly url: string; readonly problem: HttpProblem }
  | { readonly kind: 'copyRefused'; readonly url: string; readonly code: string }
  | {
      readonly kind: 'diskSlow'
      readonly directory: string
      readonly longestMs: number
      readonly waitingMs: number
    }
  | ({ readonly kind: 'diskNearlyFull'; readonly directory: string } & Room)
  | ({ readonly kind: 'diskFull'; readonly directory: string } & Partial<Room>)
  | { readonly kind: 'logStopped'; readonly gate: 'refused' | 'damaged' | 'poisoned' }

/** Bytes of a file system: those that this process may still use, and all of them. */
export interface Room {
  readonly availableBytes: number
  readonly totalBytes: number
}

/** What is wrong with a member, as one agent sees it, in words. */
export type AgentFinding = Finding | (FindingBase & AgentFound)

const kinds: Readonly<Record<AgentFinding['kind'], true>> = {
  alone: true,
  copyRefused: true,
  diskFull: true,
  diskNearlyFull: true,
  diskSlow: true,
  httpUnreachable: true,
  keyMissing: true,
  keyUnknown: true,
  labelDiffers: true,
  logStopped: true,
  loopLate: true,
  loopbackAdvertised: true,
  metaTooLarge: true,
  nameTwice: true,
  packetsBlocked: true,
  plaintextRefused: true,
}

/** Every kind of finding. */
export const findingKinds: readonly AgentFinding['kind'][] = Object.freeze(
  Object.keys(kinds) as AgentFinding['kind'][],
)

/** What is seen now, and how often before without a break. Times are milliseconds since 1970. */
export type Sighting = Pick<FindingBase, 'since' | 'lastAt' | 'times'>

export function seenAgain(before: Sighting | undefined, now: number): Sighting {
  return { since: before?.since ?? now, lastAt: now, times: (before?.times ?? 0) + 1 }
}
