/**
 * How much one member may send. Within any probe interval these are at most as many packets as its
 * rounds of gossip alone could be, and four more: a member in trouble must not make trouble.
 * Answers to queries, which are as many as their users ask for, do not count.
 */
import type { Address } from '@kith/interface'
import { fits, noteSent, probePackets } from './pace.ts'
import { emit } from './state.ts'
import type { State } from './state.ts'

/** Whether `packets` more may leave now; who has no room does without, and counts that. */
export function hasRoom(state: State, packets = 1): boolean {
  return fits(state.pace, packets, state.now)
}

/** As `hasRoom`, for what can wait: leaves enough for the probes of this interval. */
export function hasSpareRoom(state: State): boolean {
  const spare = state.pace.sentAt.length - state.timings.gossipFanout
  return hasRoom(state, 1 + Math.min(probePackets, Math.max(0, spare)))
}

export function sendPaced(state: State, to: Address, bytes: Uint8Array): void {
  noteSent(state.pace, state.now)
  emit(state, { kind: 'send', to, bytes })
}
