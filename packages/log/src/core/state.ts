/** What a log knows of itself between two transactions: identities, origins and the next offset. */
import type {
  Digests,
  Hole,
  LogId,
  OriginId,
  OriginState,
  StoredCursor,
  StoredHole,
  StoredMeta,
  StoredOrigin,
  StoredReplica,
  StoredProducer,
  StoreChanges,
} from '@kith/interface'
import { originChain } from '../wire/batch.ts'
import { decodeRanges, encodeRanges, heldFrom, storedFrom } from './ranges.ts'

/**
 * One position in the life of a log. The writer keeps three: decided (`head`), committed, and
 * flushed; only the flushed one is ever shown to others.
 */
export interface LogState {
  meta: StoredMeta
  nextOffset: number
  /** When the last batch was stored; times never run backwards along offsets (LOG-48). */
  storedAt: number
  readonly origins: Map<OriginId, StoredOrigin>
  readonly holes: Map<OriginId, readonly StoredHole[]>
  readonly cursors: Map<string, StoredCursor>
  /** Least recently used first. */
  readonly producers: Map<string, StoredProducer>
  /** Of other logs, least recently heard of first. */
  readonly replicas: Map<LogId, StoredReplica>
  /**
   * From where on this log stored an origin, where its row does not say so any more. It stands
   * among the replicas, under the log's own id.
   */
  readonly storedFrom: Map<OriginId, number>
}

export function copyState(state: LogState): LogState {
  return {
    meta: state.meta,
    nextOffset: state.nextOffset,
    storedAt: state.storedAt,
    origins: new Map(state.origins),
    holes: new Map(state.holes),
    cursors: new Map(state.cursors),
    producers: new Map(state.producers),
    replicas: new Map(state.replicas),
    storedFrom: new Map(state.storedFrom),
  }
}

/** What one transaction changed, so that a later position can follow it. */
export interface StateChange {
  readonly nextOffset: number
  readonly storedAt: number
  readonly changes: StoreChanges
}

export function applyChange(state: LogState, change: StateChange): void {
  const { changes } = change
  if (changes.meta !== undefined) state.meta = changes.meta
  state.nextOffset = change.nextOffset
  state.storedAt = change.storedAt
  for (const origin of changes.origins ?? []) state.origins.set(origin.origin, origin)
  for (const { origin, from } of changes.holesRemoved ?? []) removeHole(state, origin, from)
  for (const hole of changes.holes ?? []) addHole(state, hole)
  for (const cursor of changes.cursors ?? []) state.cursors.set(cursor.name, cursor)
  for (const id of changes.producersRemoved ?? []) state.producers.delete(id)
  for (const producer of changes.producers ?? []) touch(state.producers, producer.id, producer)
  for (const logId of changes.replicasRemoved ?? []) state.replicas.delete(logId)
  for (const replica of changes.replicas ?? []) addReplica(state, replica)
}

export function addReplica(state: LogState, replica: StoredReplica): void {
  if (replica.logId !== state.meta.logId) return touch(state.replicas, replica.logId, replica)
  state.storedFrom.clear()
  for (const [origin, { from }] of decodeRanges(replica.acked)) state.storedFrom.set(origin, from)
}

/** The row that keeps `storedFrom`. Its ranges are empty, so that it acknowledges nothing. */
export function storedFromRow(
  logId: LogId,
  stored: ReadonlyMap<OriginId, number>,
  now: number,
): StoredReplica {
  const ranges = [...stored].map(([origin, from]) => [origin, { from, next: from }] as const)
  return { logId, member: '', acked: encodeRanges(new Map(ranges)), seenAt: now }
}

export function storedFromOf(state: LogState, entry: StoredOrigin): number {
  return storedFrom(entry, state.holes.get(entry.origin), state.storedFrom.get(entry.origin))
}

/** Sets and moves to the end, so that the first entry is the one used least recently. */
export function touch<Key, Value>(map: Map<Key, Value>, key: Key, value: Value): void {
  map.delete(key)
  map.set(key, value)
}

export function addHole(state: LogState, hole: StoredHole): void {
  state.holes.set(hole.origin, [...(state.holes.get(hole.origin) ?? []), hole])
}

export function removeHole(state: LogState, origin: OriginId, from: number): void {
  const left = (state.holes.get(origin) ?? []).filter((hole) => hole.from !== from)
  if (left.length === 0) state.holes.delete(origin)
  else state.holes.set(origin, left)
}

/** An origin of which nothing is held. */
export function newOrigin(
  origin: OriginId,
  member: string,
  now: number,
  digests: Digests,
): StoredOrigin {
  return {
    origin,
    member,
    floor: 1,
    next: 1,
    chain: originChain(origin, digests),
    status: 'live',
    bytes: 0,
    records: 0,
    dropped: 0,
    why: '',
    changedAt: now,
  }
}

/** Everything in order of origin id, as others may see it. */
export function vectorOf(state: LogState): readonly OriginState[] {
  return [...state.origins.values()]
    .sort((a, b) => (a.origin < b.origin ? -1 : 1))
    .map((entry) => stateOf(state, entry))
}

function stateOf(state: LogState, entry: StoredOrigin): OriginState {
  const holes = state.holes.get(entry.origin) ?? []
  const stored = storedFromOf(state, entry)
  return {
    origin: entry.origin,
    member: entry.member,
    floor: entry.floor,
    next: entry.next,
    chain: entry.chain,
    status: entry.status,
    holes: holes.map(({ from, to }): Hole => ({ from, to })),
    own: entry.origin === state.meta.origin,
    ...(entry.records === 0 && entry.floor > 1 ? { neverHeld: true } : {}),
    ...(stored < heldFrom(entry, holes) ? { storedFrom: stored } : {}),
    ...(entry.status === 'live' || entry.why === '' ? {} : { why: entry.why }),
  }
}
