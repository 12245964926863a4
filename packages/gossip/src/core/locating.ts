/**
 * Every direct ack in time is a measurement, and carries where its sender is. What a stranger or a
 * broken member sends moves nobody: it is refused and counted.
 */
import { estimatedRttMs } from '@kith/interface'
import type { Member } from '@kith/interface'
import { decodeCoordinate, encodeCoordinate } from '../wire/codec.ts'
import { filtered, move } from './coordinates.ts'
import { count } from './state.ts'
import type { State } from './state.ts'
import { coordinateOf, memberLocated, members } from './view.ts'
import { coordinateFits } from './vivaldi.ts'

/** Nothing answers so late within a probe that still tells where it is. */
const rttMsMax = 10_000

/** What an ack of ours carries. */
export function ownPayload(state: State): Uint8Array {
  return encodeCoordinate(state.coordinates.own)
}

/** A direct ack of `name` came after `rtt` milliseconds; an empty payload says nothing. */
export function measured(state: State, name: string, rtt: number, payload: Uint8Array): void {
  if (payload.length === 0) return
  const coordinate = decodeCoordinate(payload)
  if (typeof coordinate === 'string') return count(state, coordinate)
  if (!(rtt >= 0 && rtt <= rttMsMax)) return count(state, 'rttRefused')
  if (!coordinateFits(coordinate)) return count(state, 'coordinateRefused')
  // SWIM forgets later than Serf where a member was pruned.
  const row = state.members.get(name)
  if (row === undefined) return count(state, 'coordinateUnknown')
  const { coordinates } = state
  const { rtts, median } = filtered(row.rtts, rtt / 1000)
  row.rtts = rtts
  if (!move(coordinates, coordinate, median)) count(state, 'coordinateResets')
  memberLocated(state, name, coordinate)
  memberLocated(state, state.name, coordinates.own)
}

/** Estimated round trip between two members, milliseconds; undefined where one told nothing yet. */
export function rttMs(state: State, a: string, b: string): number | undefined {
  const [from, to] = [coordinateOf(state, a), coordinateOf(state, b)]
  return from === undefined || to === undefined ? undefined : estimatedRttMs(from, to)
}

/**
 * The living members but `from`, nearest to it first; those of unknown distance last, by name.
 */
export function nearest(state: State, from: string): readonly Member[] {
  const ranked = members(state)
    .filter(({ name, status }) => status === 'alive' && name !== from)
    .map((member) => ({ member, rtt: rttMs(state, from, member.name) ?? Infinity }))
  // Sorting keeps the order of names among equals.
  return ranked.sort((a, b) => (a.rtt === b.rtt ? 0 : a.rtt - b.rtt)).map(({ member }) => member)
}
