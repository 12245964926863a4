/**
 * Who acknowledged what (LOG-17): the wait behind `append(..., { replicas })` and the stored
 * vectors.
 */
import { fromHex, invariant, toHex } from '@kith/interface'
import type { LogId, OriginId, StoredReplica } from '@kith/interface'
import { readU48, writeU48 } from '../wire/bytes.ts'

/** Origin 16 bytes, next u48. */
const entryBytes = 22

/** Other logs whose acknowledgements are kept; the one silent the longest is forgotten. */
export const REPLICAS_MAX = 1024

export function encodeVector(vector: ReadonlyMap<OriginId, number>): Uint8Array {
  const bytes = new Uint8Array(vector.size * entryBytes)
  let at = 0
  for (const [origin, next] of vector) {
    const id = fromHex(origin)
    invariant(id?.length === 16, 'an origin id is 16 bytes')
    bytes.set(id, at)
    writeU48(bytes, at + 16, next)
    at += entryBytes
  }
  return bytes
}

export function decodeVector(bytes: Uint8Array): Map<OriginId, number> {
  const vector = new Map<OriginId, number>()
  for (let at = 0; at + entryBytes <= bytes.length; at += entryBytes) {
    vector.set(toHex(bytes.subarray(at, at + 16)), readU48(bytes, at + 16))
  }
  return vector
}

interface Waiter {
  readonly origin: OriginId
  /** One past the last sequence of the append. */
  readonly next: number
  readonly needed: number
  readonly done: (acked: number) => void
}

export interface ReplicaTracker {
  /**
   * Returns true where anything moved. What one log acknowledged only ever grows; a log whose
   * member speaks for another one now is gone, and what it acknowledged counts no more (LOG-41).
   */
  acknowledge(logId: LogId, vector: ReadonlyMap<OriginId, number>, member?: string): boolean
  /** How many other logs hold everything of `origin` below `next`. */
  ackedBy(origin: OriginId, next: number): number
  /** Calls `done` once `needed` logs acknowledged; returns the removal of the wait. */
  wait(origin: OriginId, next: number, needed: number, done: (acked: number) => void): () => void
  /** Its row as it should stand; undefined where the log is not known, or not any more. */
  rowOf(logId: LogId, now: number): StoredReplica | undefined
}

interface Replica {
  readonly member: string
  readonly vector: Map<OriginId, number>
}

export function createReplicaTracker(
  stored: Iterable<Pick<StoredReplica, 'logId' | 'member' | 'acked'>>,
): ReplicaTracker {
  /** The one silent the longest first. */
  const replicas = new Map<LogId, Replica>()
  for (const { logId, member, acked } of stored) {
    replicas.set(logId, { member, vector: decodeVector(acked) })
  }
  const waiters = new Set<Waiter>()
  const ackedBy = (origin: OriginId, next: number): number => {
    let acked = 0
    for (const { vector } of replicas.values()) if ((vector.get(origin) ?? 0) >= next) acked += 1
    return acked
  }
  return {
    ackedBy,
    rowOf(logId, now) {
      const replica = replicas.get(logId)
      if (replica === undefined) return undefined
      return { logId, member: replica.member, acked: encodeVector(replica.vector), seenAt: now }
    },
    acknowledge(logId, vector, member = '') {
      const before = replicas.get(logId)
      const known = before?.vector ?? new Map<OriginId, number>()
      const name = member === '' ? (before?.member ?? '') : member
      let moved = before?.member !== name
      for (const [origin, next] of vector) {
        if (next <= (known.get(origin) ?? 0)) continue
        known.set(origin, next)
        moved = true
      }
      replicas.delete(logId)
      replicas.set(logId, { member: name, vector: known })
      for (const [other, replica] of replicas) {
        if (name !== '' && other !== logId && replica.member === name) replicas.delete(other)
      }
      const oldest = replicas.keys().next().value
      if (replicas.size > REPLICAS_MAX && oldest !== undefined) replicas.delete(oldest)
      if (moved) settle(waiters, ackedBy)
      return moved
    },
    wait(origin, next, needed, done) {
      const waiter: Waiter = { origin, next, needed, done }
      waiters.add(waiter)
      settle(waiters, ackedBy)
      return () => void waiters.delete(waiter)
    },
  }
}

function settle(waiters: Set<Waiter>, ackedBy: (origin: OriginId, next: number) => number): void {
  for (const waiter of [...waiters]) {
    const acked = ackedBy(waiter.origin, waiter.next)
    if (acked < waiter.needed) continue
    waiters.delete(waiter)
    waiter.done(acked)
  }
}
