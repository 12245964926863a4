/** Handling suspect(incarnation, member, from): memberlist-behaviour section 3. */
import type { SuspectMessage } from '../wire/message.ts'
import { nameIsFit } from './alive.ts'
import { broadcastSwim } from './broadcasts.ts'
import { keepAccusation } from './evidence.ts'
import type { Accusation, KeptAccusation } from './reports.ts'
import { absurdEvidence, answerStale, refute } from './refute.ts'
import { count, emitEvent, setEntryState } from './state.ts'
import type { State } from './state.ts'
import { confirmSuspicion, startSuspicion } from './suspicion.ts'
import { memberRefreshed } from './view.ts'

/** How this member learned of it; by a packet, unless it is said. */
export type Why = Pick<Accusation, 'via' | 'probe'>

const byGossip: Why = Object.freeze({ via: 'gossip' })

export function handleSuspect(state: State, message: SuspectMessage, why: Why = byGossip): void {
  const { incarnation, node, from } = message
  const entry = state.entries.get(node)
  if (entry === undefined) return
  // Accusers are remembered and named in events: what nobody can be called accuses nobody.
  if (!nameIsFit(from)) return count(state, 'nameUnfit')
  if (incarnation < entry.incarnation) return answerStale(state, entry)
  if (absurdEvidence(entry.incarnation, incarnation)) return count(state, 'incarnationAbsurd')
  const said: KeptAccusation = { from, at: state.now, ...why }
  if (entry.suspicion !== undefined) {
    keepAccusation(entry.suspicion, said)
    if (confirmSuspicion(state, entry, from)) broadcastSwim(state, message)
    return
  }
  if (entry.state !== 'alive') return
  if (node === state.name) return refute(state, entry, incarnation, from)
  broadcastSwim(state, message)
  entry.incarnation = incarnation
  setEntryState(state, entry, 'suspect')
  startSuspicion(state, entry, said)
  memberRefreshed(state, entry)
  count(state, 'suspicions')
  emitEvent(state, { kind: 'suspect', name: node, from, incarnation, ...why })
}
