/**
 * Where a member was before. memberlist takes a living member at another address for a second one
 * of its name, whatever the incarnation, so a change of address has to prove itself: the member
 * carries its last addresses in a tag, which travels wherever its meta does. Whoever has it at one
 * of them knows by that that it is the same one. A second one of its name has no such tag.
 */
import { sameAddress } from '@kith/interface'
import type { Address } from '@kith/interface'
import { addressText, unpackBytes } from '../wire/codec.ts'
import type { AliveMessage } from '../wire/message.ts'
import type { Entry, State } from './state.ts'
import { formerMax, namesFormer } from './tags.ts'

/** The former addresses after one more move, the last one first; where it is now is none. */
export function formerAfter(
  former: readonly Address[],
  left: Address,
  now: Address,
): readonly Address[] {
  const others = former.filter((one) => !sameAddress(one, left) && !sameAddress(one, now))
  return [left, ...others].slice(0, formerMax)
}

/** Whether it is the very member of `entry` that says it is elsewhere now. */
export function saysItMoved(entry: Entry, message: AliveMessage): boolean {
  return message.incarnation > entry.incarnation && namesFormer(message.meta, entry.address)
}

/** Whether it tells where a member, maybe this one, was before it moved: that is no conflict. */
export function isOutdated(state: State, entry: Entry, message: AliveMessage): boolean {
  if (message.incarnation > entry.incarnation) return false
  const address = { host: addressText(message.address) ?? '', port: message.port }
  if (entry.name === state.name) return wasAt(state, address)
  return namesFormer(unpackBytes(entry.metaPacked), address)
}

/** Whether this member was at that address earlier in its life. */
export function wasAt(state: State, address: Address): boolean {
  return state.moved.former.some((one) => sameAddress(one, address))
}
