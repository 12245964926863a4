/**
 * Telling real Serf members that this one has moved. A Serf does not let a living member have
 * another address, but one that left, and it reads the rows of an exchange one after the other: so
 * the good-bye of the former address goes first, and then where this member is now. Between the two
 * a Serf has it failed for a moment. Kith members never get such a row, they know by the tag.
 */
import { sameAddress } from '@kith/interface'
import type { Address } from '@kith/interface'
import { unpackBytes } from '../wire/codec.ts'
import type { PushPullRow } from '../wire/message.ts'
import { schedule } from './deadlines.ts'
import { ownAddressBytes, ownVersions } from './state.ts'
import type { Entry, State } from './state.ts'
import { isMarked } from './tags.ts'

/** The last word from the former address; nothing where there is none. */
export function goodByes(state: State): readonly PushPullRow[] {
  const { former, incarnation } = state.moved
  const [last] = former
  if (last === undefined || state.phase !== 'active') return []
  const { name, meta } = state
  const address = ownAddressBytes(last)
  const { port } = last
  return [{ name, address, port, meta, incarnation, state: 'left', versions: ownVersions }]
}

/** Whether who is at that address is a member, and not one of Kith. */
export function isSerfAt(state: State, address: Address): boolean {
  return state.ring.some((entry) => sameAddress(entry.address, address) && isSerf(state, entry))
}

/** Living members that are to be told; in the order of the probe list. */
export function serfsToTell(state: State): readonly Address[] {
  return state.ring
    .filter((entry) => entry.state === 'alive' && isSerf(state, entry))
    .map(({ address }) => address)
}

/**
 * A probe interval after the move: by then Kith members have heard of it, and if a Serf passes on
 * what is only between the two rows, it is the past to them.
 */
export function tellSerfsSoon(state: State): void {
  if (serfsToTell(state).length === 0) return
  schedule(state.deadlines, state.now + state.timings.probeIntervalMs, { kind: 'tellSerfs' })
}

function isSerf(state: State, entry: Entry): boolean {
  return entry.name !== state.name && !isMarked(unpackBytes(entry.metaPacked))
}
