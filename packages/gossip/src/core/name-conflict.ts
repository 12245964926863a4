/**
 * Answering Serf's question who owns a name. A Serf that finds its name taken asks everybody, and
 * shuts down unless most of the answers name its own address: silence from us would count against
 * it.
 */
import { encodeConflictResponse } from '../wire/codec.ts'
import type { ConflictMember } from '../wire/message.ts'
import type { MemberStatus } from '@kith/interface'
import { decodeText } from '../wire/text.ts'
import type { State } from './state.ts'

/** The name of the query. */
export const conflictQuery = '_serf_conflict'

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
    address: entry.addressBytes,
    port: entry.address.port,
    tags: new Map(Object.entries(row.snapshot.tags)),
    status: statusNumbers[row.snapshot.status],
    versions: entry.versions,
  }
}
