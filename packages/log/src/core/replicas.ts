/**
 * Who acknowledged what (LOG-17): the wait behind `append(..., { replicas })` and the rows in which
 * it is written down.
 */
import type { LogId, OriginId, StoredReplica } from '@kith/interface'
import { decodeRanges, encodeRanges, isRange } from './ranges.ts'
import type { StoredRange } from './ranges.ts'

/** Other logs whose acknowledgements are kept; the one silent the longest is forgotten. */
export const REPLICAS_MAX = 1024

interface Waiter {
  readonly origin: OriginId
  readonly range: StoredRange
  readonly needed: number
  readonly done: (acked: number) => void
}

export interface ReplicaTracker {
  /**
   * Returns true where anything moved. What one log acknowledged only ever grows, but for what lies
   * before records that it passed over; a log whose member speaks for another one now is gone, and
   * what it acknowledged counts no more (LOG-41). What cannot be a range is left out, and so
   * is an empty one.
   */
  acknowledge(logId: LogId, ranges: ReadonlyMap<OriginId, StoredRange>, member?: string): boolean
  /** How many other logs stored everything of `origin` in that range. */
  ackedBy(origin: OriginId, range: StoredRange): number
  /** Calls `done` once `needed` logs acknowledged; returns the removal of the wait. */
  wait(
    origin: OriginId,
    range: StoredRange,
    needed: number,
    done: (acked: number) => void,
  ): () => void
  /** Its row as it should stand; undefined where the log is not known, or not any more. */
  rowOf(logId: LogId, now: number): StoredReplica | undefined
}

interface Replica {
  readonly member: string
  readonly ranges: Map<OriginId, StoredRange>
}

export function createReplicaTracker(
  stored: Iterable<Pick<StoredReplica, 'logId' | 'member' | 'acked'>>,
): ReplicaTracker {
  /** The one silent the longest first. */
  const replicas = new Map<LogId, Replica>()
  for (const { logId, member, acked } of stored) {
    replicas.set(logId, { member, ranges: decodeRanges(acked) })
  }
  const waiters = new Set<Waiter>()
  const ackedBy = (origin: OriginId, { from, next }: StoredRange): number => {
    let acked = 0
    for (const { ranges } of replicas.values()) {
      const range = ranges.get(origin)
      if (range !== undefined && range.from <= from && next <= range.next) acked += 1
    }
    return acked
  }
  return {
    ackedBy,
    rowOf(logId, now) {
      const replica = replicas.get(logId)
      if (replica === undefined) return undefined
      return { logId, member: replica.member, acked: encodeRanges(replica.ranges), seenAt: now }
    },
    acknowledge(logId, told, member = '') {
      const before = replicas.get(logId)
      const ranges = before?.ranges ?? new Map<OriginId, StoredRange>()
      const name = member === '' ? (before?.member ?? '') : member
      let moved = before?.member !== name
      for (const [origin, range] of told) {
        if (!isRange(range) || range.from === range.next) continue
        const known = ranges.get(origin)
        const joined = join(known, range)
        if (joined === known) continue
        ranges.set(origin, joined)
        moved = true
      }
      replicas.delete(logId)
      replicas.set(logId, { member: name, ranges })
      for (const [other, replica] of replicas) {
        if (name !== '' && other !== logId && replica.member === name) replicas.delete(other)
      }
      const oldest = replicas.keys().next().value
      if (replicas.size > REPLICAS_MAX && oldest !== undefined) replicas.delete(oldest)
      if (moved) settle(waiters, ackedBy)
      return moved
    },
    wait(origin, range, needed, done) {
      const waiter: Waiter = { origin, range, needed, done }
      waiters.add(waiter)
      settle(waiters, ackedBy)
      return () => void waiters.delete(waiter)
    },
  }
}

/**
 * What a log stored of an origin, after it said so once more; `known` itself where that is nothing
 * new. Of two ranges with something between them that it never stored the later one stays: that
 * counts too little, and never too much.
 */
function join(known: StoredRange | undefined, told: StoredRange): StoredRange {
  if (known === undefined || told.from > known.next) return told
  if (told.next < known.from) return known
  if (known.from <= told.from && told.next <= known.next) return known
  return { from: Math.min(known.from, told.from), next: Math.max(known.next, told.next) }
}

function settle(waiters: Set<Waiter>, ackedBy: ReplicaTracker['ackedBy']): void {
  for (const waiter of [...waiters]) {
    const acked = ackedBy(waiter.origin, waiter.range)
    if (acked < waiter.needed) continue
    waiters.delete(waiter)
    waiter.done(acked)
  }
}
