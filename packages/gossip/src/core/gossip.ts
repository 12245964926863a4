/** One round of gossip: the same budget of news to a few random members. */
import { encodePacket, piggybackBudget } from '../wire/codec.ts'
import { newsPending, takeNews, wakeGossip } from './broadcasts.ts'
import { pickEntries } from './selection.ts'
import { count, emit } from './state.ts'
import type { Entry, State } from './state.ts'

export function gossipTick(state: State): void {
  state.gossipTimer = undefined
  const targets = pickEntries(state, state.timings.gossipFanout, (entry) => listens(state, entry))
  for (const entry of targets) {
    const parts: Uint8Array[] = []
    takeNews(state, piggybackBudget(0, state.packetOverheadBytes), parts)
    if (parts.length === 0) break
    const crc = entry.versions[1] >= 5 ? state.digests : undefined
    emit(state, { kind: 'send', to: entry.address, bytes: encodePacket(parts, { crc }) })
    count(state, 'gossipPackets')
  }
  if (newsPending(state)) wakeGossip(state)
}

/** Suspects and the recently dead hear of it too, so that they can refute. */
function listens(state: State, entry: Entry): boolean {
  if (entry.name === state.name) return false
  if (entry.state === 'alive' || entry.state === 'suspect') return true
  if (entry.state === 'left') return false
  return state.now - entry.stateChangedAt <= state.timings.gossipToTheDeadMs
}
