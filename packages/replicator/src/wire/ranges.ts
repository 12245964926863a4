/**
 * What replication says and hears of ranges (REP-6, ADR 30): the contracts of `interface`, and from
 * where on records were stored without a gap.
 */
import type { LogId, OriginId, OriginState, PullRequest, ReplicaLog } from '@kith/interface'

/** A pull that says of its acknowledgements from where on they hold. */
export interface RangedPullRequest extends PullRequest {
  /**
   * The least sequence from which on the puller stored everything up to what it acknowledges, for
   * every origin of `ack`. Without it, as in what earlier versions send, nothing is acknowledged.
   */
  readonly ackFrom?: ReadonlyMap<OriginId, number>
}

/** What the own log holds of one origin. */
export interface LocalState extends OriginState {
  /** Absent where it is the floor, or the end of the last hole. */
  readonly storedFrom?: number
}

/** A log that takes acknowledgements of ranges, and tells its own. */
export interface RangedLog extends ReplicaLog {
  vector(): readonly LocalState[]
  acknowledged(
    logId: LogId,
    vector: ReadonlyMap<OriginId, number>,
    member?: string,
    storedFrom?: ReadonlyMap<OriginId, number>,
  ): void
}

/**
 * From where on the own log stored the origin without a gap. What retention dropped counts where
 * the log says so; of one that does not, what it holds is all that is sure.
 */
export function storedFrom({ storedFrom: from, floor, holes }: LocalState): number {
  return from ?? Math.max(floor, holes.at(-1)?.to ?? 1)
}
