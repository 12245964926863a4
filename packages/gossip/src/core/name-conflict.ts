/**
 * Who owns a name. A Serf that finds its name taken asks everybody, and shuts down unless most of
 * the answers name its own address; so do we, and we answer when others ask: silence from us would
 * count against them.
 */
import { addressText, decodeConflictResponse, encodeConflictResponse } from '../wire/codec.ts'
import { unpackBytes } from '../wire/codec.ts'
import type { ConflictMember } from '../wire/message.ts'
import { formatAddress, sameAddress } from '@kith/interface'
import type { MemberStatus } from '@kith/interface'
import { decodeText } from '../wire/text.ts'
import { disputeOver, nameClaimed } from './dispute.ts'
import { wasAt } from './former.ts'
import { count } from './state.ts'
import type { State } from './state.ts'
import type { QueryPurpose } from './talk.ts'

/** The name of the query. */
export const conflictQuery = '_serf_conflict'

type Vote = QueryPurpose & { readonly kind: 'conflict' }

const statusNumbers: Readonly<Record<MemberStatus, number>> = {
  alive: 1,
  leaving: 2,
  left: 3,
  failed: 4,
}

/** The payload of the answer; undefined where the name asked for is our own, or no name. */
export function conflictAnswer(state: State, question: Uint8Array): Uint8Array | undefined {
  const name = decodeText(question, 0, question.length)
  if (name === undefined || name === state.name) return undefined
  return encodeConflictResponse(memberFor(state, name))
}

function memberFor(state: State, name: string): ConflictMember | undefined {
  const row = state.members.get(name)
  const entry = state.entries.get(name)
  if (row === undefined || entry === undefined) return undefined
  return {
    name,
    address: unpackBytes(entry.addressPacked),
    port: entry.address.port,
    tags: new Map(Object.entries(row.snapshot.tags)),
    status: statusNumbers[row.snapshot.status],
    versions: entry.versions,
  }
}

/**
 * One voice in the vote about our own name. Serf counts whoever answers, and whoever knows nobody
 * of that name against the asker; here only living members have a voice, and only about an address.
 */
export function countVote(state: State, vote: Vote, from: string, payload: Uint8Array): void {
  const owner = decodeConflictResponse(payload)
  const swimState = state.entries.get(from)?.state
  const hasVoice = from !== state.name && (swimState === 'alive' || swimState === 'suspect')
  if (!hasVoice || owner === undefined || owner === 'nobody') return count(state, 'votesUnfit')
  vote.answers += 1
  const named = { host: addressText(owner.address) ?? '', port: owner.port }
  if (sameAddress(named, state.address) || wasAt(state, named)) vote.matching += 1
  else if (named.host !== '') {
    const key = formatAddress(named)
    const other = vote.others.get(key)
    if (other === undefined) vote.others.set(key, { address: named, count: 1 })
    else other.count += 1
  }
}

/** Where most name another address, whoever is there is asked before the name is lost. */
export function voteEnded(state: State, { answers, matching, others }: Vote): void {
  // Serf takes no answer for a lost vote: of two members with one name, alone, both would go.
  if (answers === 0) {
    disputeOver(state)
    return count(state, 'votesUndecided')
  }
  if (matching >= Math.floor(answers / 2) + 1) {
    disputeOver(state)
    return count(state, 'votesWon')
  }
  count(state, 'votesLost')
  const [first] = [...others.values()].toSorted((a, b) => b.count - a.count)
  nameClaimed(state, { answers, matching, claimant: first?.address })
}
