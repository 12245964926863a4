/** Serf's table of members, and the events it gives when SWIM's verdicts or intents change it. */
import { invariant } from '@kith/interface'
import type { Coordinate, Member, MemberEventKind, MemberStatus } from '@kith/interface'
import { unpackBytes } from '../wire/codec.ts'
import type { Versions } from '../wire/message.ts'
import type { FailureReport } from './reports.ts'
import { memberLost } from './lost.ts'
import { addRow, moveAddress, removeRow } from './order.ts'
import { emitEvent, ownVersions } from './state.ts'
import type { Entry, MemberRow, State } from './state.ts'
import { shownTags } from './tags.ts'

/** Everyone known, in order of name; the same array until something changes. */
export function members(state: State): readonly Member[] {
  state.shown ??= Object.freeze(state.ordered.map((row) => row.snapshot))
  return state.shown
}

export function member(state: State, name: string): Member | undefined {
  return state.members.get(name)?.snapshot
}

/** SWIM saw a member come alive that was unknown, dead or left. */
export function memberJoined(state: State, entry: Entry): void {
  const known = state.members.get(entry.name)
  if (known !== undefined) {
    known.goneAt = 0
    known.failure = undefined
    setMember(state, known, snapshotOf(state, entry, 'alive'))
    report(state, 'join', known)
    return
  }
  const intent = state.recentIntents.get(entry.name)
  state.recentIntents.delete(entry.name)
  const row: MemberRow = {
    snapshot: snapshotOf(state, entry, intent?.kind === 'leave' ? 'leaving' : 'alive'),
    statusTime: intent?.lamportTime ?? 0n,
    timeImplied: intent?.implied ?? false,
    goneAt: 0,
    askAt: 0,
    askedAt: undefined,
    failure: undefined,
    rtts: noRtts,
  }
  addRow(state, row)
  report(state, 'join', row)
}

/**
 * SWIM declared a member dead, or heard its good-bye. A good-bye is the member's own word: it left,
 * also where its intent, which gossip sends first, arrives later. Serf would call it failed until
 * then. `failure` is why it is failed, where it is.
 */
export function memberGone(state: State, entry: Entry, failure: FailureReport): void {
  const row = state.members.get(entry.name)
  if (row === undefined) return
  const { status } = row.snapshot
  if (status === 'leaving' || (status === 'alive' && entry.state === 'left')) {
    setGone(state, row, 'left', entry)
    return report(state, 'leave', row)
  }
  if (status !== 'alive') return
  setGone(state, row, 'failed', entry)
  row.failure = { at: state.now, report: failure }
  memberLost(state, row)
  emitEvent(state, { kind: 'fail', member: row.snapshot, failure })
}

/** The meta or the address of a living member changed. */
export function memberUpdated(state: State, entry: Entry): void {
  const row = state.members.get(entry.name)
  if (row === undefined) return
  setMember(state, row, snapshotOf(state, entry, row.snapshot.status))
  report(state, 'update', row)
}

/** Keeps the snapshot's incarnation true where nothing worth an event happened. */
export function memberRefreshed(state: State, entry: Entry): void {
  const row = state.members.get(entry.name)
  if (row === undefined || row.snapshot.incarnation === entry.incarnation) return
  setMember(state, row, { ...row.snapshot, incarnation: entry.incarnation })
}

export function coordinateOf(state: State, name: string): Coordinate | undefined {
  if (name === state.name) return state.coordinates.own
  return state.members.get(name)?.snapshot.coordinate
}

/** Where a member is in the network changes all the time, and is no event. */
export function memberLocated(state: State, name: string, coordinate: Coordinate): void {
  const row = state.members.get(name)
  if (row === undefined) return
  row.snapshot = Object.freeze({ ...row.snapshot, coordinate })
  state.shown = undefined
}

/** An intent moves a member between alive and leaving; Serf tells nobody. */
export function setStatus(state: State, row: MemberRow, status: 'alive' | 'leaving'): void {
  setMember(state, row, { ...row.snapshot, status })
}

/** A leave intent turns a failed member into one that left. */
export function failedBecameLeft(state: State, row: MemberRow): void {
  invariant(row.snapshot.status === 'failed', 'only a failed member becomes left by intent')
  row.failure = undefined
  setMember(state, row, { ...row.snapshot, status: 'left' })
  report(state, 'leave', row)
}

/** Forgets a member. */
export function reap(state: State, row: MemberRow): void {
  const { name } = row.snapshot
  removeRow(state, row)
  state.failed.delete(name)
  state.gone.delete(name)
  report(state, 'reap', row)
}

function setGone(state: State, row: MemberRow, status: 'left' | 'failed', entry: Entry): void {
  row.goneAt = state.now
  setMember(state, row, { ...row.snapshot, status, incarnation: entry.incarnation })
}

function setMember(state: State, row: MemberRow, snapshot: Member): void {
  moveAddress(state, row.snapshot.address, snapshot.address)
  row.snapshot = Object.freeze(snapshot)
  state.shown = undefined
  if (snapshot.status === 'failed') state.failed.add(snapshot.name)
  else state.failed.delete(snapshot.name)
  if (snapshot.status === 'left') state.gone.add(snapshot.name)
  else state.gone.delete(snapshot.name)
}

function snapshotOf(state: State, entry: Entry, status: MemberStatus): Member {
  const coordinate = coordinateOf(state, entry.name)
  return Object.freeze({
    name: entry.name,
    address: entry.address,
    tags: shownTags(unpackBytes(entry.metaPacked)),
    status,
    incarnation: entry.incarnation,
    protocol: protocolOf(entry.versions),
    ...(coordinate === undefined ? {} : { coordinate }),
  })
}

const noRtts: readonly number[] = Object.freeze([])
const ownProtocol = protocolIn(ownVersions)

/** One object for all members that speak what we speak. */
function protocolOf(versions: Versions): NonNullable<Member['protocol']> {
  return versions === ownVersions ? ownProtocol : protocolIn(versions)
}

function protocolIn([, , , min, max, version]: Versions): NonNullable<Member['protocol']> {
  return Object.freeze({ min, max, version })
}

function report(state: State, kind: Exclude<MemberEventKind, 'fail'>, row: MemberRow): void {
  emitEvent(state, { kind, member: row.snapshot })
}
