/** The vote about our own name: asked of everybody, counted as the answers come. */
import { encodeText } from '../wire/text.ts'
import { begin } from './asking.ts'
import { conflictQuery } from './name-conflict.ts'
import { count } from './state.ts'
import type { State } from './state.ts'

/** Holds the vote that is due; one at a time. */
export function voteOnName(state: State): void {
  const { talk } = state
  if (!talk.voteDue) return
  talk.voteDue = false
  const votes = [...talk.running.values()].some(({ purpose }) => purpose.kind === 'conflict')
  if (votes || state.phase !== 'active' || state.policy.votes === false) return
  count(state, 'votes')
  const payload = encodeText(state.name)
  const question = { name: conflictQuery, payload, ack: false, relayFactor: 0 }
  begin(state, question, { kind: 'conflict', answers: 0, matching: 0, others: new Map() })
}
