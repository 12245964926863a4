/** What membership's words mean for replication. */
import { formatAddress } from '@kith/interface'
import type { Member, MemberEvent } from '@kith/interface'
import type { MemberStanding } from '../core/messages.ts'

/** Events repeat and overtake one another: the member's status counts, not the edge (REP-18). */
export function standingOf(event: MemberEvent): MemberStanding {
  if (event.kind === 'reap' || event.member.status === 'left') return 'left'
  return event.member.status === 'failed' ? 'failed' : 'up'
}

/**
 * Where a member serves its log: its tag `kith.http`, else its address, for sources of other kinds.
 */
export function locatorOf(member: Member): string {
  return member.tags['kith.http'] ?? formatAddress(member.address)
}
