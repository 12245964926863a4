/** From what is held to what is handed out: only instances of members that are here and serve. */
import type { ServiceInstance } from '@kith/interface'
import type { Change } from './replica.ts'
import type { ResolvedLists, State } from './types.ts'

const empty: ResolvedLists = Object.freeze({ all: Object.freeze([]), passing: Object.freeze([]) })

/** Instances of `service` by member and id: all of them, and those that pass. Frozen, and the same
 * object until something changed. */
export function lookUp(state: State, service: string): ResolvedLists {
  const known = state.lists.get(service)
  if (known !== undefined) return known
  const held = state.services.get(service)
  if (held === undefined) return empty
  const all = [...held.values()].filter((instance) => isServed(state, instance.member))
  all.sort((a, b) => compare(a.member, b.member) || compare(a.id, b.id))
  const passing = all.filter((instance) => instance.status === 'passing')
  const lists = { all: Object.freeze(all), passing: Object.freeze(passing) }
  state.lists.set(service, lists)
  return lists
}

/** Names with at least one instance that is handed out, in order. */
export function serviceNames(state: State): readonly string[] {
  return [...state.services.keys()].filter((name) => lookUp(state, name).all.length > 0).sort()
}

/**
 * A member that failed, leaves, left or drains is not served; one that came back is served once it
 * spoke, or once waiting for that took too long (REG-8).
 */
export function isServed(state: State, member: string): boolean {
  if (member === state.member) return !state.own.draining
  const replica = state.replicas.get(member)
  if (replica === undefined || replica.draining || state.unconfirmed.has(member)) return false
  return state.view.get(member)?.status === 'alive'
}

export function applyChanges(state: State, changes: readonly Change[]): void {
  for (const { before, after } of changes) {
    if (before !== undefined) unlist(state, before)
    if (after !== undefined) list(state, after)
  }
}

/** Everything of `member` may be handed out differently now. */
export function touchMember(state: State, member: string): void {
  if (member === state.member) {
    for (const own of state.own.live.values()) touch(state, own.plan.service)
    return
  }
  for (const held of state.replicas.get(member)?.entries.values() ?? []) {
    if (held.instance !== undefined) touch(state, held.instance.service)
  }
}

function list(state: State, instance: ServiceInstance): void {
  let held = state.services.get(instance.service)
  if (held === undefined) {
    held = new Map()
    state.services.set(instance.service, held)
  }
  held.set(keyOf(instance), instance)
  touch(state, instance.service)
}

function unlist(state: State, instance: ServiceInstance): void {
  const held = state.services.get(instance.service)
  held?.delete(keyOf(instance))
  if (held?.size === 0) state.services.delete(instance.service)
  touch(state, instance.service)
}

function touch(state: State, service: string): void {
  state.lists.delete(service)
  state.changed.add(service)
}

/** Ids hold no slash, so that no two pairs meet. */
function keyOf(instance: ServiceInstance): string {
  return `${instance.id}/${instance.member}`
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
