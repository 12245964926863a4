/**
 * Serf's rows in order of name, and which addresses they have. Both are kept as members come and
 * go: in a cluster of thousands, sorting and listing anew after each change is most of a join.
 */
import { sameAddress } from '@kith/interface'
import type { Address } from '@kith/interface'
import type { MemberRow, State } from './state.ts'

/** Adds the row of a name that was not known. */
export function addRow(state: State, row: MemberRow): void {
  const { name, address } = row.snapshot
  state.members.set(name, row)
  state.ordered.splice(placeOf(state, name), 0, row)
  state.shown = undefined
  recount(state, address, 1)
}

/** Forgets a row. */
export function removeRow(state: State, row: MemberRow): void {
  const { name, address } = row.snapshot
  state.members.delete(name)
  state.ordered.splice(placeOf(state, name), 1)
  state.shown = undefined
  recount(state, address, -1)
}

/** A member that had one address has the other. */
export function moveAddress(state: State, from: Address, to: Address): void {
  if (from === to || sameAddress(from, to)) return
  recount(state, from, -1)
  recount(state, to, 1)
}

/** Whether any member has that address, whatever its status. */
export function hasMemberAt(state: State, address: Address): boolean {
  return state.addresses.has(keyOf(address))
}

/** The first place whose name is not before `name`. */
function placeOf({ ordered }: State, name: string): number {
  let low = 0
  let high = ordered.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((ordered[middle]?.snapshot.name ?? '') < name) low = middle + 1
    else high = middle
  }
  return low
}

function recount({ addresses }: State, address: Address, by: number): void {
  const key = keyOf(address)
  const left = (addresses.get(key) ?? 0) + by
  if (left > 0) addresses.set(key, left)
  else addresses.delete(key)
}

/** In one piece: a template's parts would stay in memory beside the key that V8 makes of them. */
function keyOf({ host, port }: Address): string {
  return [host, port].join(' ')
}
