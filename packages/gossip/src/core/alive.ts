/** Handling alive(incarnation, member, ...): memberlist-behaviour section 2. */
import type { Address } from '@kith/interface'
import { addressBytes, addressText, isPacked, isUnicast, packBytes } from '../wire/codec.ts'
import type { AliveMessage, Versions } from '../wire/message.ts'
import { metaBytesMax, nameBytesMax } from '../options.ts'
import { broadcastSwim } from './broadcasts.ts'
import type { CoreDrop } from './counters.ts'
import { findingOver, noteFinding, noteMetaTooLarge } from './findings.ts'
import { formerAfter, isOutdated, saysItMoved } from './former.ts'
import { doubtDeath } from './lost.ts'
import { absurdAlive, answerStale, refute } from './refute.ts'
import { count, emitEvent, ownVersions, setEntryState } from './state.ts'
import type { Entry, State } from './state.ts'
import { cancelSuspicion } from './suspicion.ts'
import { encodeOwnTags, givenTags } from './tags.ts'
import { aliveVetoed } from './veto.ts'
import { memberJoined, memberRefreshed, memberUpdated } from './view.ts'

/** `ticket` marks our own announcements, which are not to be refuted, and are waited for. */
export function handleAlive(state: State, received: AliveMessage, ticket?: number): void {
  const isSelf = received.node === state.name
  if (isSelf && state.phase !== 'active') return
  if (!isSelf && isStale(state, received)) return
  const refused = refusal(received)
  if (refused !== undefined) return refuse(state, received, refused)
  const message = received.port === 0 ? { ...received, port: state.address.port } : received
  const known = state.entries.get(message.node)
  if (absurdAlive(known?.incarnation ?? 0, message.incarnation)) {
    return count(state, 'incarnationAbsurd')
  }
  if (known === undefined && state.entries.size >= state.timings.membersMax) {
    return count(state, 'membersFull')
  }
  if (!isSelf && (refusesBytes(state, message, known) || aliveVetoed(state, message, known))) return
  const entry = known ?? createEntry(state, message)
  let moves = false
  if (!isPacked(entry.addressPacked, message.address) || entry.address.port !== message.port) {
    moves = isSelf ? ticket !== undefined : mayMove(state, entry, message)
    if (!moves) return isElsewhere(state, entry, message)
  }
  const { incarnation } = message
  if (!isSelf && incarnation <= entry.incarnation && !moves) return
  if (isSelf && incarnation < entry.incarnation) return
  cancelSuspicion(state, entry)
  if (isSelf && ticket === undefined) {
    const same =
      incarnation === entry.incarnation &&
      isPacked(entry.metaPacked, message.meta) &&
      message.versions.every((value, index) => value === entry.versions[index])
    return same ? undefined : refute(state, entry, incarnation)
  }
  broadcastSwim(state, message, ticket)
  apply(state, entry, message)
}

/** Counts it, and where its owner can help it, says so. */
function refuse(state: State, message: AliveMessage, kind: CoreDrop): void {
  count(state, kind)
  if (kind !== 'metaTooLarge') return
  const address = { host: addressText(message.address) ?? '', port: message.port }
  noteMetaTooLarge(state, message.node, address, message.meta.length)
}

/** Most alives heard are old news about where a member already is; they need no closer look. */
function isStale(state: State, message: AliveMessage): boolean {
  const entry = state.entries.get(message.node)
  if (entry === undefined || message.incarnation > entry.incarnation) return false
  if (message.port !== entry.address.port) return false
  if (!isPacked(entry.addressPacked, message.address)) return false
  const contested = entry.state === 'dead' && message.incarnation === entry.incarnation
  if (contested) doubtDeath(state, entry)
  return true
}

function apply(state: State, entry: Entry, message: AliveMessage): void {
  const was = entry.state
  const retagged = !isPacked(entry.metaPacked, message.meta)
  entry.versions = shared(message.versions)
  entry.incarnation = message.incarnation
  if (retagged) entry.metaPacked = packBytes(message.meta)
  const moved = setAddress(state, entry, message)
  findingOver(state, entry.name, 'metaTooLarge')
  if (was !== 'alive') setEntryState(state, entry, 'alive')
  if (was === 'dead' || was === 'left') memberJoined(state, entry)
  else if (retagged || moved) memberUpdated(state, entry)
  else memberRefreshed(state, entry)
}

/** A new entry, dead until `apply`, at a random place of the probe list. */
function createEntry(state: State, message: AliveMessage): Entry {
  const entry: Entry = {
    name: message.node,
    addressPacked: packBytes(message.address),
    address: { host: addressText(message.address) ?? '', port: message.port },
    metaPacked: packBytes(message.meta),
    versions: shared(message.versions),
    incarnation: 0,
    state: 'dead',
    stateChangedAt: state.now,
    knownAt: Math.floor(state.now),
    suspicion: undefined,
    conflict: undefined,
    heard: 0,
  }
  state.entries.set(entry.name, entry)
  state.ring.push(entry)
  const last = state.ring.length - 1
  const place = state.random.below(state.ring.length)
  const other = state.ring[place]
  if (other !== undefined) {
    state.ring[last] = other
    state.ring[place] = entry
  }
  return entry
}

/**
 * The name of the counter under which an alive is ignored; undefined where it is fit to be heard.
 */
function refusal(message: AliveMessage): CoreDrop | undefined {
  if (message.incarnation === 0) return 'incarnationZero'
  if (!nameIsFit(message.node)) return 'nameUnfit'
  if (message.meta.length > metaBytesMax) return 'metaTooLarge'
  if (addressText(message.address) === undefined) return 'addressUnfit'
  // Probes of nobody's address come back from our own machine, those of many from anybody.
  if (!isUnicast(message.address)) return 'addressUnfit'
  return versionsFit(message.versions) ? undefined : 'versionsUnfit'
}

/**
 * A member whose versions exclude ours would make every later push/pull fail for as long as it is
 * known, so it never becomes known.
 */
function versionsFit(versions: Versions): boolean {
  const [pmin, pmax, pcur, dmin, dmax, dcur] = versions
  const [ownPmin, ownPmax, ownPcur, ownDmin, ownDmax, ownDcur] = ownVersions
  if (pmin === 0 || pmax === 0 || pmin > pmax) return false
  const speaks = pcur >= ownPmin && pcur <= ownPmax && dcur >= ownDmin && dcur <= ownDmax
  return speaks && ownPcur >= pmin && ownPcur <= pmax && ownDcur >= dmin && ownDcur <= dmax
}

/** Nearly everybody has the versions that we have: one list for all of them. */
function shared(versions: Versions): Versions {
  return versions.every((value, index) => value === ownVersions[index]) ? ownVersions : versions
}

/**
 * 1 to 128 bytes of UTF-8 without anything that is not seen, or makes what is seen something else:
 * control characters, marks of direction, separators of lines. Serf takes any name, so that other
 * letters than those of an own name must do.
 */
export function nameIsFit(name: string): boolean {
  return name !== '' && !/[\p{C}\p{Zl}\p{Zp}]/u.test(name) && utf8Length(name) <= nameBytesMax
}

function utf8Length(text: string): number {
  let length = 0
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0
    length += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4
  }
  return length
}

/**
 * A name that left may come back anywhere, and a member that says where it was be anywhere; a dead
 * name may only come back where and when the options allow it.
 */
function mayMove(state: State, entry: Entry, message: AliveMessage): boolean {
  if (entry.state === 'left' || saysItMoved(entry, message)) return true
  const { deadMemberReclaimMs } = state.timings
  if (entry.state !== 'dead' || deadMemberReclaimMs === 0) return false
  return state.now - entry.stateChangedAt > deadMemberReclaimMs
}

/**
 * A member at another address than we know: it has moved since, or there are two of that name. Of
 * this one itself somebody claims that it moved: whoever believed that has to take it back.
 */
function isElsewhere(state: State, entry: Entry, message: AliveMessage): void {
  if (entry.name === state.name && saysItMoved(entry, message)) {
    moveBack(state, entry, message)
    return refute(state, entry, message.incarnation)
  }
  if (!isOutdated(state, entry, message)) return reportConflict(state, entry, message)
  count(state, 'alivesOutdated')
  answerStale(state, entry)
}

/** The first address wins; each other one is reported once until the next reap. */
function reportConflict(state: State, entry: Entry, message: AliveMessage): void {
  const other = { host: addressText(message.address) ?? '', port: message.port }
  count(state, 'conflicts')
  noteFinding(state, entry.name, { kind: 'nameTwice', address: entry.address, other })
  const label = `${other.host} ${other.port}`
  if (entry.conflict === label) return
  entry.conflict = label
  if (entry.name === state.name) state.talk.voteDue = true
  const { name, address: existing } = entry
  emitEvent(state, { kind: 'conflict', name, existing, other })
}

/** An address that is new to us must lie in the networks that the owner of this member allows. */
function refusesBytes(state: State, message: AliveMessage, known: Entry | undefined): boolean {
  if (known !== undefined && isPacked(known.addressPacked, message.address)) return false
  if (state.policy.allows?.(message.address) ?? true) return false
  count(state, 'addressNotAllowed')
  return true
}

/** The same before we ask somebody to let us join. */
export function refusesAddress(state: State, { host }: Address): boolean {
  const bytes = addressBytes(host)
  return bytes !== undefined && state.policy.allows?.(bytes) === false
}

/** From where others have this member now it moves to where it is, by the word that moved it. */
function moveBack(state: State, entry: Entry, message: AliveMessage): void {
  count(state, 'movesUndone')
  const claimed = { host: addressText(message.address) ?? '', port: message.port }
  const former = formerAfter(state.moved.former, claimed, state.address)
  state.moved = { ...state.moved, former }
  state.meta = encodeOwnTags(givenTags(state.meta), former)
  entry.metaPacked = packBytes(state.meta)
}

/** Whether that is another one than before. */
function setAddress(state: State, entry: Entry, message: AliveMessage): boolean {
  const same = isPacked(entry.addressPacked, message.address)
  if (same && entry.address.port === message.port) return false
  entry.addressPacked = packBytes(message.address)
  entry.knownAt = Math.floor(state.now)
  entry.address = { host: addressText(message.address) ?? '', port: message.port }
  entry.conflict = undefined
  findingOver(state, entry.name, 'nameTwice')
  return true
}
