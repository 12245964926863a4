/** What Consul's API counts. */

/** Flat figures; all only grow except `parked`. */
export interface ConsulApiStats {
  readonly requests: number
  /** Answered with a status from 400 to 499. */
  readonly refused: number
  /** Answered with a status from 500. */
  readonly failures: number
  /** Queries that wait for a change. */
  readonly parked: number
}
