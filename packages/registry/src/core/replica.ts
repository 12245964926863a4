/**
 * What one member knows of another's services, and how statements of the single owner merge into
 * it: in any order, any number of times, without bringing back what the owner removed (REG-3).
 *
 * `floor` is the version up to which everything is known. Above it live the pieces that arrived:
 * entries with their own version, tombstones of removals, and the parts seen of each version. Of an
 * id that is not live here, no change at or below `barrier` is believed: it may have gone since.
 */
import type { ServiceInstance } from '@kith/interface'
import { instancesWireMax, ownerBytesMax } from '../wire/limits.ts'
import { type Delta, type Entry, entryBytes, entryId, type Snapshot } from '../wire/message.ts'

/** One id. A tombstone has no instance. */
export interface Held {
  readonly version: number
  readonly instance: ServiceInstance | undefined
  readonly bytes: number
}

export interface Replica {
  readonly member: string
  epoch: number
  /** Everything up to here is known; -1 where nothing is, not even the empty start of the epoch. */
  floor: number
  /** The highest version heard of. */
  top: number
  barrier: number
  draining: boolean
  drainingVersion: number
  readonly entries: Map<string, Held>
  tombstones: number
  /** Encoded bytes of the instances held. */
  bytes: number
  /** Parts seen of messages above the floor, by message kind and version. */
  readonly parts: Map<string, Set<number>>
  /** Somebody holds other content at the same version: the owner's next word decides. */
  mismatch: boolean
  hash: number | undefined
}

/** An instance that came, went or changed. */
export interface Change {
  readonly before: ServiceInstance | undefined
  readonly after: ServiceInstance | undefined
}

export interface MergeLimits {
  readonly tombstonesMax: number
  /** Encoded bytes that this replica may still grow by. */
  readonly bytesLeft: number
}

export interface Merged {
  readonly changes: readonly Change[]
  /** Entries that a limit kept out; the replica stays incomplete. */
  readonly refused: number
  /** The draining mark changed. */
  readonly marked: boolean
}

/** Versions above the floor whose parts are collected; more only costs a fetch. */
const openVersionsMax = 64

const unchanged: Merged = Object.freeze({ changes: Object.freeze([]), refused: 0, marked: false })

/** Every epoch starts empty at version 0, so that the first change already builds on something. */
export function createReplica(member: string, epoch: number): Replica {
  return {
    member,
    epoch,
    floor: 0,
    top: 0,
    barrier: 0,
    draining: false,
    drainingVersion: 0,
    entries: new Map(),
    tombstones: 0,
    bytes: 0,
    parts: new Map(),
    mismatch: false,
    hash: undefined,
  }
}

/** Everything up to the highest version heard of is here, and nobody contradicts it. */
export function isComplete(replica: Replica): boolean {
  return replica.floor >= replica.top && replica.floor >= 0 && !replica.mismatch
}

/** The owner started over: what it said before is void. */
export function beginEpoch(replica: Replica, epoch: number): readonly Change[] {
  const changes = clear(replica)
  replica.epoch = epoch
  replica.floor = 0
  replica.top = 0
  replica.barrier = 0
  replica.draining = false
  replica.drainingVersion = 0
  return changes
}

/** The owner left: its instances go, and nothing that it said so far brings them back (REG-9). */
export function forget(replica: Replica): readonly Change[] {
  const changes = clear(replica)
  replica.barrier = Math.max(replica.barrier, replica.top)
  replica.floor = -1
  return changes
}

/** Said before the owner left, heard after: that too brings nothing back. */
export function forgetUpTo(replica: Replica, version: number): void {
  replica.top = Math.max(replica.top, version)
  replica.barrier = replica.top
}

function clear(replica: Replica): readonly Change[] {
  const changes: Change[] = []
  for (const { instance } of replica.entries.values()) {
    if (instance !== undefined) changes.push({ before: instance, after: undefined })
  }
  replica.entries.clear()
  replica.parts.clear()
  replica.tombstones = 0
  replica.bytes = 0
  replica.mismatch = false
  replica.hash = undefined
  return changes
}

/** Merges one part of the change to `delta.version`; the epochs are equal. */
export function applyDelta(replica: Replica, delta: Delta, limits: MergeLimits): Merged {
  replica.top = Math.max(replica.top, delta.version)
  if (delta.version <= replica.floor) return unchanged
  const merge = new Merge(replica, limits)
  merge.mark(delta)
  for (const entry of delta.entries) {
    const id = entryId(entry)
    const held = replica.entries.get(id)
    if (held !== undefined && held.version >= delta.version) continue
    if (entry.kind === 'remove') merge.remove(id, delta.version)
    else if (entry.kind === 'large') merge.missing = true
    // Below the barrier nobody remembers whether this id was removed since.
    else if (held?.instance === undefined && delta.version <= replica.barrier) merge.missing = true
    else merge.put(id, delta.version, entry)
  }
  if (!merge.missing) collect(replica, delta)
  return merge.done()
}

/** Merges what the owner, or somebody who holds all of it, says of a range of ids. */
export function applySnapshot(replica: Replica, snapshot: Snapshot, limits: MergeLimits): Merged {
  const { version } = snapshot
  replica.top = Math.max(replica.top, version)
  if (version < replica.floor) return unchanged
  if (version === replica.floor && !replica.mismatch) return unchanged
  const merge = new Merge(replica, limits)
  merge.mark(snapshot)
  const listed = new Set<string>()
  for (const entry of snapshot.entries) {
    const id = entryId(entry)
    listed.add(id)
    placeListed(replica, merge, entry, version)
  }
  for (const [id, held] of replica.entries) {
    const within = id > snapshot.after && (snapshot.upto === '' || id <= snapshot.upto)
    if (!within || listed.has(id) || held.instance === undefined) continue
    if (held.version <= version) merge.remove(id, version)
  }
  // Ids of this range that are unknown now did not exist at `version`.
  replica.barrier = Math.max(replica.barrier, version)
  if (!merge.missing) collect(replica, snapshot)
  return merge.done()
}

function placeListed(replica: Replica, merge: Merge, entry: Entry, version: number): void {
  if (entry.kind === 'remove') return
  const id = entryId(entry)
  const stated = entry.kind === 'put' ? entry.instance.version : entry.version
  const held = replica.entries.get(id)
  if (held !== undefined) {
    const newer = held.version > version
    const same = held.version === stated && held.instance !== undefined && !replica.mismatch
    if (newer || same) return
  }
  if (held?.instance === undefined && stated <= replica.barrier && version < replica.barrier) {
    merge.missing = true
    return
  }
  if (entry.kind === 'put') merge.put(id, stated, entry)
  else merge.missing = true
}

/** The running effect of one message on one replica. */
class Merge {
  missing = false
  readonly #replica: Replica
  readonly #limits: MergeLimits
  readonly #changes: Change[] = []
  #refused = 0
  #marked = false
  #bytesLeft: number

  constructor(replica: Replica, limits: MergeLimits) {
    this.#replica = replica
    this.#limits = limits
    this.#bytesLeft = Math.min(limits.bytesLeft, ownerBytesMax - replica.bytes)
  }

  mark(message: Delta | Snapshot): void {
    const replica = this.#replica
    if (message.version < replica.drainingVersion) return
    this.#marked = replica.draining !== message.draining
    replica.draining = message.draining
    replica.drainingVersion = message.version
  }

  put(id: string, version: number, entry: Extract<Entry, { kind: 'put' }>): void {
    const replica = this.#replica
    const held = replica.entries.get(id)
    const bytes = entryBytes(entry)
    const growth = bytes - (held?.bytes ?? 0)
    const live = replica.entries.size - replica.tombstones
    const crowded = held?.instance === undefined && live >= instancesWireMax
    if (growth > this.#bytesLeft || crowded) {
      this.#refused += 1
      this.missing = true
      return
    }
    this.#bytesLeft -= growth
    replica.bytes += growth
    if (held !== undefined && held.instance === undefined) replica.tombstones -= 1
    replica.entries.set(id, { version, instance: entry.instance, bytes })
    this.#changes.push({ before: held?.instance, after: entry.instance })
  }

  remove(id: string, version: number): void {
    const replica = this.#replica
    const held = replica.entries.get(id)
    // A put below the barrier is ignored for an unknown id, so that no tombstone is needed.
    if (held === undefined && version <= replica.barrier) return
    if (held?.instance === undefined && held !== undefined) replica.tombstones -= 1
    replica.bytes -= held?.bytes ?? 0
    this.#bytesLeft += held?.bytes ?? 0
    if (replica.tombstones >= this.#limits.tombstonesMax) {
      replica.entries.delete(id)
      replica.barrier = Math.max(replica.barrier, version)
    } else {
      replica.entries.set(id, { version, instance: undefined, bytes: 0 })
      replica.tombstones += 1
    }
    if (held?.instance !== undefined)
      this.#changes.push({ before: held.instance, after: undefined })
  }

  done(): Merged {
    if (this.#changes.length > 0 || this.#marked) this.#replica.hash = undefined
    return { changes: this.#changes, refused: this.#refused, marked: this.#marked }
  }
}

/** Notes a part that was taken in whole; with the last one of a version the floor rises. */
function collect(replica: Replica, message: Delta | Snapshot): void {
  const key = `${message.kind}:${message.version}:${message.parts}`
  let seen = replica.parts.get(key)
  if (seen === undefined) {
    if (replica.parts.size >= openVersionsMax) return
    seen = new Set()
    replica.parts.set(key, seen)
  }
  seen.add(message.part)
  if (seen.size < message.parts) return
  if (message.kind === 'snapshot') raise(replica, message.version)
  while (nextDelta(replica)) raise(replica, replica.floor + 1)
}

function nextDelta(replica: Replica): boolean {
  const prefix = `delta:${replica.floor + 1}:`
  for (const [key, seen] of replica.parts) {
    if (key.startsWith(prefix) && seen.size === Number(key.slice(prefix.length))) return true
  }
  return false
}

function raise(replica: Replica, version: number): void {
  replica.floor = version
  replica.mismatch = false
  replica.hash = undefined
  for (const key of replica.parts.keys()) {
    if (Number(key.split(':')[1]) <= version) replica.parts.delete(key)
  }
  for (const [id, held] of replica.entries) {
    if (held.instance !== undefined || held.version > version) continue
    replica.entries.delete(id)
    replica.tombstones -= 1
  }
}

/** The same for everybody who holds the same instances at the same versions. */
export function replicaHash(replica: Replica): number {
  if (replica.hash !== undefined) return replica.hash
  let hash = replica.draining ? 0x811c9dc4 : 0x811c9dc5
  for (const id of liveIds(replica)) {
    const text = `${id}@${replica.entries.get(id)?.version};`
    for (let index = 0; index < text.length; index += 1) {
      hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
    }
  }
  replica.hash = hash >>> 0
  return replica.hash
}

/** Ids of the instances held, in order. */
export function liveIds(replica: Replica): readonly string[] {
  const ids: string[] = []
  for (const [id, held] of replica.entries) if (held.instance !== undefined) ids.push(id)
  return ids.sort()
}

/** All of it as one statement; only a complete replica may make it. */
export function wholeSnapshot(replica: Replica): Snapshot {
  const entries = liveEntries(replica)
  const { member, epoch, floor: version, draining } = replica
  return {
    kind: 'snapshot',
    member,
    epoch,
    version,
    part: 0,
    parts: 1,
    draining,
    after: '',
    upto: '',
    entries,
  }
}

export function liveEntries(replica: Replica): Entry[] {
  return liveIds(replica).flatMap((id) => {
    const instance = replica.entries.get(id)?.instance
    return instance === undefined ? [] : [{ kind: 'put' as const, instance }]
  })
}
