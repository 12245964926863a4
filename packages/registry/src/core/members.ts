/** What a change in the membership view does to what is known and handed out (REG-7 to REG-9). */
import type { MemberStatus } from '@kith/interface'
import { isServed, touchMember } from './catalog.ts'
import { dropWant } from './fetching.ts'
import { announceSoon } from './own.ts'
import { confirm, dropReplica, forgetReplica, settle } from './replicas.ts'
import type { State } from './types.ts'

/** Waiting so long before asking a member that came back leaves it time to say it by itself. */
const returnDelayMs = 100

export function memberIs(
  state: State,
  name: string,
  status: MemberStatus,
  kith: boolean,
  now: number,
): void {
  if (name === state.member) return
  const before = state.view.get(name)
  const servedBefore = isServed(state, name)
  state.view.set(name, { status, kith })
  recount(state, before?.status === 'alive' && before.kith, status === 'alive' && kith)
  state.strangers.delete(name)
  state.deadlines.clear(`stranger:${name}`)
  const replica = state.replicas.get(name)
  if (status === 'alive') {
    const back = before?.status === 'failed' && replica !== undefined
    if (back) awaitWord(state, name, now)
    if (replica !== undefined) settle(state, replica, now, returnDelayMs)
    if (kith && !(before?.status === 'alive' && before.kith)) announceSoon(state, now)
  } else {
    confirm(state, name)
    if (status !== 'leaving') dropWant(state, name)
    if (status === 'left' && replica !== undefined) forgetReplica(state, replica)
  }
  if (isServed(state, name) !== servedBefore) touchMember(state, name)
}

function awaitWord(state: State, name: string, now: number): void {
  state.unconfirmed.add(name)
  state.deadlines.set(`confirm:${name}`, now + state.settings.confirmMs)
}

export function memberGone(state: State, name: string): void {
  const before = state.view.get(name)
  if (before === undefined) return
  recount(state, before.status === 'alive' && before.kith, false)
  state.view.delete(name)
  dropReplica(state, name)
}

function recount(state: State, before: boolean | undefined, after: boolean): void {
  if (before === true) state.kithMembers -= 1
  if (after) state.kithMembers += 1
}
