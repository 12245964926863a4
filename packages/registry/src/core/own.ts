/**
 * What this member says of itself. Changes collect until they are flushed; a flush is one version,
 * in as many broadcasts as it needs, so that a version names one content for everybody (REG-1).
 */
import type { CheckState, ServiceInstance } from '@kith/interface'
import { worstStatus } from '../wire/instance.ts'
import { instancesWireMax, maintenanceName } from '../wire/limits.ts'
import { type Delta, encodeMessage, type Entry, type Summary } from '../wire/message.ts'
import { applyChanges, touchMember } from './catalog.ts'
import { deltaBroadcasts, snapshotBroadcasts } from './packing.ts'
import { applyDelta, createReplica, replicaHash } from './replica.ts'
import { changeBurst, jitter } from './state.ts'
import type { CheckEntry, InstancePlan, OwnInstance, State } from './types.ts'

/** Broadcasts of changes a second, over all members and for one. */
const clusterChangesPerSecond = 50
const changesPerSecondMin = 0.2
const changesPerSecondMax = 5
/** An announcement in several parts sends so many in one go. */
const announceBurst = 4
const announceGapMs = 250
const announceEveryMinMs = 5_000
/**
 * What the announcements of all members together may make each member send, bytes a second: with
 * the digests of anti-entropy less than 1 KiB also among a thousand.
 */
const announceBytesPerSecond = 512
/** What gossip wraps around a broadcast of ours, about. */
const envelopeBytes = 150

/** Puts an instance up; one with the same id is replaced. */
export function place(
  state: State,
  plan: InstancePlan,
  checks: Map<string, CheckEntry>,
  now: number,
): void {
  const earlier = state.own.live.get(plan.id)
  const maintenance = earlier?.maintenance
  const own = { plan, checks, maintenance }
  const current = describe(state, own)
  state.own.live.set(plan.id, { ...own, current })
  applyChanges(state, [{ before: earlier?.current, after: current }])
  markDirty(state, plan.id, now)
}

export function takeDown(state: State, id: string, now: number): void {
  const own = state.own.live.get(id)
  if (own === undefined) return
  state.own.live.delete(id)
  applyChanges(state, [{ before: own.current, after: undefined }])
  markDirty(state, id, now)
}

/** The status of one of its checks changed. */
export function refresh(state: State, id: string, now: number): void {
  const own = state.own.live.get(id)
  if (own === undefined) return
  const before = own.current
  own.current = describe(state, own)
  applyChanges(state, [{ before, after: own.current }])
  markDirty(state, id, now)
}

/** In maintenance an instance has one check more, so that everybody sees why it is held back. */
function describe(state: State, own: Omit<OwnInstance, 'current'>): ServiceInstance {
  const { service, id, address, port, tags, meta } = own.plan
  const found = [...own.checks.values()].map((entry) => checkState(entry))
  const reason = own.maintenance ?? state.own.maintenance
  if (reason !== undefined) found.push(maintenanceCheck(id, reason))
  const checks = Object.freeze(found)
  const status = worstStatus(checks)
  const { member } = state
  // The version of the flush to come: nothing else takes a version.
  const version = state.own.replica.floor + 1
  return Object.freeze({ service, id, member, address, port, tags, meta, checks, status, version })
}

export function checkState(entry: CheckEntry): CheckState {
  const { status, output } = entry
  return Object.freeze({ id: entry.plan.id, kind: entry.plan.kind, status, output })
}

function maintenanceCheck(id: string, output: string): CheckState {
  const name = maintenanceName
  return Object.freeze({ id: `${id}/${name}`, kind: name, status: 'critical', output })
}

/** Of one instance where an id is given, else of all; over where there is no reason. */
export function maintain(
  state: State,
  id: string | undefined,
  reason: string | undefined,
  now: number,
): void {
  if (id === undefined) state.own.maintenance = reason
  for (const each of id === undefined ? state.own.live.keys() : [id]) {
    const own = state.own.live.get(each)
    if (own === undefined) continue
    if (id !== undefined) own.maintenance = reason
    refresh(state, each, now)
  }
}

export function drain(state: State, now: number): void {
  if (state.own.draining) return
  state.own.draining = true
  touchMember(state, state.member)
  flush(state, now, true)
}

function markDirty(state: State, id: string, now: number): void {
  state.own.dirty.add(id)
  if (state.started) state.deadlines.hasten('flush', now + state.settings.coalesceMs)
}

/** Starts over in a higher epoch and says everything again. */
export function takeOver(state: State, epoch: number, now: number): void {
  const { own } = state
  state.counters.takeovers += 1
  own.replica = createReplica(state.member, epoch)
  own.drainAnnounced = false
  own.pending = []
  own.dirty.clear()
  for (const id of own.live.keys()) own.dirty.add(id)
  state.outputs.push({ kind: 'epoch', epoch })
  if (!state.started) return
  if (own.dirty.size === 0 && !own.draining) state.deadlines.hasten('announce', now)
  else flush(state, now, true)
}

/** Sends what changed as one version, unless changes come faster than their pace. */
export function flush(state: State, now: number, forced = false): void {
  const { own } = state
  if (!state.started || (own.dirty.size === 0 && own.draining === own.drainAnnounced)) return
  const waitMs = refill(state, now)
  if (waitMs > 0 && !forced) {
    state.deadlines.set('flush', now + waitMs)
    return
  }
  state.deadlines.clear('flush')
  const entries = dirtyEntries(state)
  own.dirty.clear()
  if (entries.length === 0 && own.draining === own.drainAnnounced) return
  own.drainAnnounced = own.draining
  const delta: Delta = {
    kind: 'delta',
    member: state.member,
    epoch: own.replica.epoch,
    version: own.replica.floor + 1,
    part: 0,
    parts: 1,
    draining: own.draining,
    entries,
  }
  applyDelta(own.replica, delta, { tombstonesMax: instancesWireMax, bytesLeft: Infinity })
  const messages = deltaParts(state, delta)
  own.tokens -= messages.length
  for (const bytes of messages) send(state, bytes)
}

/** Milliseconds until the next change may be sent; 0 where it may now. */
function refill(state: State, now: number): number {
  const { own } = state
  const fair = clusterChangesPerSecond / state.kithMembers
  const rate = Math.min(changesPerSecondMax, Math.max(changesPerSecondMin, fair)) / 1_000
  own.tokens = Math.min(changeBurst, own.tokens + Math.max(0, now - own.tokensAt) * rate)
  own.tokensAt = now
  return own.tokens >= 1 ? 0 : Math.max(1, (1 - own.tokens) / rate)
}

function dirtyEntries(state: State): Entry[] {
  const { own } = state
  const version = own.replica.floor + 1
  const entries: Entry[] = []
  for (const id of own.dirty) {
    const live = own.live.get(id)
    if (live === undefined) {
      if (own.replica.entries.get(id)?.instance !== undefined) entries.push({ kind: 'remove', id })
      continue
    }
    if (live.current.version !== version) {
      const before = live.current
      live.current = describe(state, live)
      applyChanges(state, [{ before, after: live.current }])
    }
    entries.push({ kind: 'put', instance: live.current })
  }
  return entries
}

/** A change longer than an announcement is announced like one: that there is this version. */
function deltaParts(state: State, delta: Delta): Uint8Array[] {
  const messages = deltaBroadcasts(delta, state.broadcastBytesMax())
  const long = messages.length > state.settings.announcePartsMax
  return long ? [encodeMessage(summary(state))] : messages
}

function summary(state: State): Summary {
  const { member, epoch, floor: version } = state.own.replica
  return { kind: 'summary', member, epoch, version, hash: replicaHash(state.own.replica) }
}

/**
 * Announces what there is: for those who joined, and now and then for those who missed something.
 * Everything at the start of an epoch, for whoever asked, and where that costs the cluster little;
 * else that there is this version, so that whoever lacks it fetches it.
 */
export function announce(state: State, now: number): void {
  if (!state.started) return
  const { own, settings } = state
  flush(state, now)
  const parts = snapshotBroadcasts(own.replica, state.broadcastBytesMax())
  const first = own.announcedEpoch !== own.replica.epoch
  const dear = !first && roundMs(state, parts) > settings.announceMs
  const long = parts.length > settings.announcePartsMax
  own.pending = (long || dear) && !own.solicited ? [encodeMessage(summary(state))] : parts
  own.solicited = false
  own.announcedAt = now
  own.announcedEpoch = own.replica.epoch
  state.counters.announcements += 1
  state.deadlines.set('announce', nextTurn(state, now, own.pending))
  announceParts(state, now)
}

/** Milliseconds in which every member may announce as much as `messages`. */
function roundMs(state: State, messages: readonly Uint8Array[]): number {
  const members = state.kithMembers
  // As often as gossip sends one broadcast.
  const times = Math.min(2 * (members - 1), Math.ceil(Math.log(members)) + 10)
  const bytes = messages.reduce((sum, { length }) => sum + envelopeBytes + length, 0)
  return (members * times * bytes * 1_000) / announceBytesPerSecond
}

/**
 * Every member has its own place in the period, so that they speak one after the other whatever
 * made all of them speak at once.
 */
function nextTurn(state: State, now: number, said: readonly Uint8Array[]): number {
  const { settings, kithMembers, own } = state
  const least = Math.max(settings.announceMs, 4 * settings.announcePerMemberMs * kithMembers)
  const period = Math.ceil(Math.max(least, roundMs(state, said)))
  // Whole milliseconds, so that a turn that has come is over.
  const at = Math.floor(now)
  return at + period - ((at + Math.floor(own.place * period)) % period)
}

export function announceParts(state: State, now: number): void {
  for (const bytes of state.own.pending.splice(0, announceBurst)) send(state, bytes)
  if (state.own.pending.length > 0) state.deadlines.set('announceParts', now + announceGapMs)
  else state.deadlines.clear('announceParts')
}

/** A Kith member came: it gets to know us soon, but not from everybody at once. */
export function announceSoon(state: State, now: number): void {
  if (!state.started) return
  const spread = state.random.float() * state.settings.announcePerMemberMs * state.kithMembers
  state.deadlines.hasten('announce', now + 100 + spread)
}

/**
 * A member began a new epoch, so it may have started anew and know nobody: also where it was back
 * before anybody missed it.
 */
export function announceAgain(state: State, now: number): void {
  if (!state.started) return
  const spread = state.random.float() * state.settings.announcePerMemberMs * state.kithMembers
  state.deadlines.hasten('announce', earliestAgain(state, now) + 100 + spread)
}

/** Somebody who cannot fetch asks for everything. */
export function answerSolicit(state: State, now: number): void {
  if (!state.started) return
  state.own.solicited = true
  state.deadlines.hasten('announce', earliestAgain(state, now) + jitter(state, 500, 0))
}

/** Nobody makes us announce faster than this. */
function earliestAgain(state: State, now: number): number {
  return Math.max(now, (state.own.announcedAt ?? now) + announceEveryMinMs)
}

function send(state: State, bytes: Uint8Array): void {
  state.counters.broadcastsSent += 1
  state.outputs.push({ kind: 'broadcast', bytes })
}
