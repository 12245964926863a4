/**
 * The replicas of one member, kept within their bounds: who gets one, and what a statement does.
 */
import type { Delta, Header, Snapshot, Summary } from '../wire/message.ts'
import { applyChanges, touchMember } from './catalog.ts'
import { dropWant, want } from './fetching.ts'
import { announceAgain, takeOver } from './own.ts'
import {
  applyDelta,
  applySnapshot,
  beginEpoch,
  type Change,
  createReplica,
  forget,
  forgetUpTo,
  type Merged,
  type Replica,
  replicaHash,
} from './replica.ts'
import { isBehind } from './state.ts'
import type { State } from './types.ts'

/** Where waiting would bring nothing, only the spread over the fetchers is left. */
const certainDelayMs = 20

/**
 * The replica that a statement with this header is about, opened in the statement's epoch.
 * Undefined where the statement is not to be believed or is about this member itself.
 */
export function replicaFor(state: State, header: Header, now: number): Replica | undefined {
  if (header.epoch > state.epochCeiling) {
    state.counters.futureEpochs += 1
    return undefined
  }
  if (header.member === state.member) {
    witnessSelf(state, header, now)
    return undefined
  }
  const left = state.view.get(header.member)?.status === 'left'
  const replica = state.replicas.get(header.member)
  if (replica === undefined) return left ? stale(state) : adopt(state, header, now)
  if (left && header.epoch === replica.epoch) forgetUpTo(replica, header.version)
  if (header.epoch < replica.epoch || (left && header.epoch === replica.epoch)) return stale(state)
  if (header.epoch > replica.epoch) {
    account(state, replica, () => beginEpoch(replica, header.epoch))
    announceAgain(state, now)
  }
  replica.top = Math.max(replica.top, header.version)
  return replica
}

function stale(state: State): undefined {
  state.counters.stale += 1
}

function adopt(state: State, header: Header, now: number): Replica | undefined {
  const { member, epoch, version } = header
  if (!state.view.has(member)) {
    if (state.strangers.size >= state.settings.strangersMax) {
      const [oldest] = state.strangers
      if (oldest !== undefined) dropReplica(state, oldest)
    }
    state.strangers.add(member)
    state.deadlines.set(`stranger:${member}`, now + state.settings.strangerMs)
  }
  if (state.replicas.size >= state.settings.membersMax) {
    state.counters.refusedMembers += 1
    state.strangers.delete(member)
    state.deadlines.clear(`stranger:${member}`)
    return undefined
  }
  const replica = createReplica(member, epoch)
  replica.top = version
  state.replicas.set(member, replica)
  return replica
}

/**
 * Somebody holds more of us than we ever said in this life: an earlier life was ahead, because a
 * clock went back or a disk was lost. Only a higher epoch makes everybody listen again (REG-2).
 */
export function witnessSelf(state: State, header: Header, now: number): void {
  const own = state.own.replica
  const ahead =
    header.epoch > own.epoch || (header.epoch === own.epoch && header.version > own.floor)
  if (ahead && header.epoch <= state.epochCeiling) takeOver(state, header.epoch + 1, now)
}

/** Merges a statement of the owner, or of somebody who holds all of it. */
export function merge(
  state: State,
  statement: Delta | Snapshot | Summary,
  source: string,
  now: number,
): void {
  const replica = replicaFor(state, statement, now)
  if (replica === undefined) return
  const fromOwner = source === statement.member
  if (statement.kind === 'summary') {
    const same = statement.version === replica.floor && statement.hash !== replicaHash(replica)
    if (same) replica.mismatch = true
  } else if (fromOwner || !replica.mismatch || statement.version > replica.floor) {
    // Among copies that contradict each other at one version, only the owner's word decides.
    mergeStatement(state, replica, statement)
  }
  if (fromOwner) confirm(state, replica.member)
  settle(state, replica, now, isLate(statement) ? state.settings.gapMs : certainDelayMs)
}

/** What is missing may still be on its way; but a large instance and a summary only get fetched. */
function isLate(statement: Delta | Snapshot | Summary): boolean {
  return statement.kind !== 'summary' && statement.entries.every(({ kind }) => kind !== 'large')
}

function mergeStatement(state: State, replica: Replica, statement: Delta | Snapshot): void {
  const limits = {
    tombstonesMax: state.settings.tombstonesMax,
    bytesLeft: Math.max(0, state.settings.bytesMax - state.bytes),
  }
  let merged: Merged | undefined
  account(state, replica, () => {
    merged =
      statement.kind === 'delta'
        ? applyDelta(replica, statement, limits)
        : applySnapshot(replica, statement, limits)
    return merged.changes
  })
  state.counters.refusedInstances += merged?.refused ?? 0
  if (merged?.marked === true) touchMember(state, replica.member)
}

/** Runs a change of one replica and carries it to the catalogue and to the byte count. */
function account(state: State, replica: Replica, change: () => readonly Change[]): void {
  const before = replica.bytes
  const changes = change()
  state.bytes += replica.bytes - before
  applyChanges(state, changes)
}

/** What is still missing is fetched after `delayMs`; what is whole needs no fetch. */
export function settle(
  state: State,
  replica: Replica,
  now: number,
  delayMs: number,
  holder?: string,
): void {
  if (isBehind(state, replica)) want(state, replica.member, now, delayMs, holder)
  else dropWant(state, replica.member)
}

/** The member spoke since it came back: what we hold of it may be handed out. */
export function confirm(state: State, member: string): void {
  if (!state.unconfirmed.delete(member)) return
  state.deadlines.clear(`confirm:${member}`)
  touchMember(state, member)
}

export function forgetReplica(state: State, replica: Replica): void {
  account(state, replica, () => forget(replica))
  dropWant(state, replica.member)
}

export function dropReplica(state: State, member: string): void {
  const replica = state.replicas.get(member)
  if (replica !== undefined) forgetReplica(state, replica)
  state.replicas.delete(member)
  state.strangers.delete(member)
  state.unconfirmed.delete(member)
  state.deadlines.clear(`stranger:${member}`)
  state.deadlines.clear(`confirm:${member}`)
}
