/**
 * What retention may drop (LOG-42, LOG-43): whole batches, from the front of the local order. That
 * order keeps the order of each origin, so a prefix of it is a prefix of every origin.
 */
import type { OriginId, StoredBatch, StoredHole, StoredOrigin } from '@kith/interface'

/** Bounds on what a log keeps; absent ones bound nothing. */
export interface RetentionPolicy {
  /** Bytes of the batches held, at most. */
  readonly bytesMax?: number
  /** Records held, at most. */
  readonly recordsMax?: number
  /** Milliseconds since this log stored a batch, at most. */
  readonly ageMsMax?: number
  /**
   * Batches go only once so many other logs acknowledged that they stored them durably; those of a
   * quarantined origin, which nobody else can take, do not wait. Default 0.
   */
  readonly minReplicas?: number
  /** Beyond so many bytes the oldest go even where `minReplicas` says no, with an event. */
  readonly hardBytesMax?: number
}

export interface HeldTotals {
  readonly bytes: number
  readonly records: number
}

export type RetentionVerdict =
  /** Within all bounds, and so is everything behind it. */
  | 'keep'
  | 'drop'
  /** A bound says go, `minReplicas` says stay. */
  | 'held'
  /** `minReplicas` says stay, and the hard bound leaves no room. */
  | 'force'

/** Judges the oldest batch held; `replicas` tells how many other logs acknowledged it. */
export function judgeOldest(
  policy: RetentionPolicy,
  held: HeldTotals,
  batch: Pick<StoredBatch, 'storedAt'>,
  replicas: () => number,
  wallNow: number,
): RetentionVerdict {
  const { bytesMax = Infinity, recordsMax = Infinity, ageMsMax = Infinity } = policy
  const { minReplicas = 0, hardBytesMax = Infinity } = policy
  const beyondHard = held.bytes > hardBytesMax
  const due =
    beyondHard ||
    held.bytes > bytesMax ||
    held.records > recordsMax ||
    wallNow - batch.storedAt > ageMsMax
  if (!due) return 'keep'
  if (minReplicas === 0 || replicas() >= minReplicas) return 'drop'
  return beyondHard ? 'force' : 'held'
}

export interface DroppedOrigin {
  readonly row: StoredOrigin
  readonly holesRemoved: readonly Pick<StoredHole, 'origin' | 'from'>[]
}

/** An origin's row once these of its batches, the first ones held, are gone. */
export function dropFromOrigin(
  row: StoredOrigin,
  batches: readonly StoredBatch[],
  holes: readonly StoredHole[],
): DroppedOrigin {
  let { floor, bytes, dropped } = row
  for (const batch of batches) {
    floor = batch.first + batch.count
    bytes -= batch.bytes.length
    dropped += batch.count
  }
  // A loss that nothing is held before says nothing any more: the origin begins behind it.
  for (const hole of holes) if (hole.from === floor) floor = hole.to
  const { origin } = row
  const holesRemoved = holes
    .filter(({ from }) => from < floor)
    .map(({ from }) => ({ origin, from }))
  return { row: { ...row, floor, bytes, dropped }, holesRemoved }
}

/** Batches by origin, each in its order. */
export function byOrigin(batches: readonly StoredBatch[]): ReadonlyMap<OriginId, StoredBatch[]> {
  const found = new Map<OriginId, StoredBatch[]>()
  for (const batch of batches) {
    const list = found.get(batch.origin)
    if (list === undefined) found.set(batch.origin, [batch])
    else list.push(batch)
  }
  return found
}
