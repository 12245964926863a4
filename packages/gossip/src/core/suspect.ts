/** Handling suspect(incarnation, member, from): memberlist-behaviour section 3. */
import type { SuspectMessage } from '../wire/message.ts'
import { nameIsFit } from './alive.ts'
import { broadcastSwim } from './broadcasts.ts'
import type { ProbeReport } from './input.ts'
import { absurdEvidence, answerStale, refute } from './refute.ts'
import { count, emitEvent, setEntryState } from './state.ts'
import type { State } from './state.ts'
import { confirmSuspicion, startSuspicion } from './suspicion.ts'
import { memberRefreshed } from './view.ts'

/** `probe` is given where the suspicion comes from our own probe. */
export function handleSuspect(state: State, message: SuspectMessage, probe?: ProbeReport): void {
  const { incarnation, node, from } = message
  const entry = state.entries.get(node)
  if (entry === undefined) return
  // Accusers are remembered and named in events: what nobody can be called accuses nobody.
  if (!nameIsFit(from)) return count(state, 'nameUnfit')
  if (incarnation < entry.incarnation) return answerStale(state, entry)
  if (absurdEvidence(entry.incarnation, incarnation)) return count(state, 'incarnationAbsurd')
  if (entry.suspicion !== undefined) {
    if (confirmSuspicion(state, entry, from)) broadcastSwim(state, message)
    return
  }
  if (entry.state !== 'alive') return
  if (node === state.name) return refute(state, entry, incarnation, from)
  broadcastSwim(state, message)
  entry.incarnation = incarnation
  setEntryState(state, entry, 'suspect')
  startSuspicion(state, entry, from)
  memberRefreshed(state, entry)
  count(state, 'suspicions')
  const about = { kind: 'suspect', name: node, from, incarnation } as const
  emitEvent(state, probe === undefined ? about : { ...about, probe })
}
