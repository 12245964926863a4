/** Handling dead(incarnation, member, from): memberlist-behaviour section 4. */
import type { DeadMessage } from '../wire/message.ts'
import { broadcastSwim } from './broadcasts.ts'
import { failureReport } from './evidence.ts'
import { absurdEvidence, answerStale, refute } from './refute.ts'
import { count, setEntryState } from './state.ts'
import type { Entry, State } from './state.ts'
import { cancelSuspicion } from './suspicion.ts'
import { memberGone } from './view.ts'

/** `ticket` is given for our own good-bye, whose transmission the leave waits for. */
export function handleDead(state: State, message: DeadMessage, ticket?: number): void {
  const { incarnation, node, from } = message
  const entry = state.entries.get(node)
  if (entry === undefined) return
  if (incarnation < entry.incarnation) return answerStale(state, entry)
  if (absurdEvidence(entry.incarnation, incarnation)) return count(state, 'incarnationAbsurd')
  const { suspicion } = entry
  cancelSuspicion(state, entry)
  if (entry.state === 'dead' || entry.state === 'left') return
  if (node === state.name && state.phase === 'active') {
    return refute(state, entry, incarnation, from)
  }
  broadcastSwim(state, message, ticket)
  entry.incarnation = incarnation
  setEntryState(state, entry, from === node ? 'left' : 'dead')
  memberGone(state, entry, failureReport(from, suspicion, state.now))
}

/** The suspicion of `entry` ran out: our own verdict. */
export function suspicionEnded(state: State, entry: Entry): void {
  if (entry.state !== 'suspect' || state.entries.get(entry.name) !== entry) return
  const { needed = 0, confirmations = 0 } = entry.suspicion ?? {}
  if (confirmations < needed) count(state, 'suspicionsUnconfirmed')
  const { name: node, incarnation } = entry
  handleDead(state, { kind: 'dead', incarnation, node, from: state.name })
}
