/** One round of gossip: the same budget of news to a few random members. */
import { encodePacket, piggybackBudget } from '../wire/codec.ts'
import { newsPending, takeNews, wakeGossip } from './broadcasts.ts'
import { shedOlder } from './queue.ts'
import { hasSpareRoom, sendPaced } from './sending.ts'
import { count } from './state.ts'
import type { Entry, State } from './state.ts'

export function gossipTick(state: State): void {
  state.gossipTimer = undefined
  shedOldNews(state)
  let first: Entry | undefined
  for (let left = state.timings.gossipFanout; left > 0 && newsPending(state); left -= 1) {
    if (!hasSpareRoom(state)) {
      count(state, 'gossipPutOff')
      break
    }
    const entry = nextListener(state)
    if (entry === undefined || entry === first) break
    first ??= entry
    tellNews(state, entry)
  }
  if (newsPending(state)) wakeGossip(state)
}

function tellNews(state: State, entry: Entry): void {
  const parts: Uint8Array[] = []
  takeNews(state, piggybackBudget(0, state.packetOverheadBytes), parts)
  if (parts.length === 0) return
  const crc = entry.versions[1] >= 5 ? state.digests : undefined
  sendPaced(state, entry.address, encodePacket(parts, { crc }))
  count(state, 'gossipPackets')
}

/** What is older than an interval of push/pull has been told that way too. */
function shedOldNews(state: State): void {
  const { pushPullIntervalMs } = state.timings
  if (state.now < state.shedsAt) return
  state.shedsAt = state.now + pushPullIntervalMs / 4
  for (const queue of [state.broadcasts, state.intents, state.queries, state.events]) {
    shedOlder(queue, state.now - pushPullIntervalMs)
  }
}

/**
 * The next one in the order of the probe list, which is shuffled each round: one piece of news goes
 * to different members each time, and to all of them once it was sent as often as there are
 * members. Drawing anew each time, as memberlist does, misses some and tells others twice.
 */
function nextListener(state: State): Entry | undefined {
  const { ring } = state
  for (let checked = 0; checked < ring.length; checked += 1) {
    if (state.gossipIndex >= ring.length) state.gossipIndex = 0
    const entry = ring[state.gossipIndex]
    state.gossipIndex += 1
    if (entry !== undefined && listens(state, entry)) return entry
  }
  return undefined
}

/** Whether there is anybody to whom news would still go. */
export function anyListener(state: State): boolean {
  return state.ring.some((entry) => listens(state, entry))
}

/** Suspects and the recently dead hear of it too, so that they can refute. */
function listens(state: State, entry: Entry): boolean {
  if (entry.name === state.name) return false
  if (entry.state === 'alive' || entry.state === 'suspect') return true
  if (entry.state === 'left') return false
  return state.now - entry.stateChangedAt <= state.timings.gossipToTheDeadMs
}
