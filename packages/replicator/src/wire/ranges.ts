/** What replication says of ranges (REP-6, ADR 30). */
import type { OriginState } from '@kith/interface'

/**
 * From where on the own log stored the origin without a gap. What retention dropped counts where
 * the log says so; of one that does not, what it holds is all that is sure.
 */
export function storedFrom({ storedFrom: from, floor, holes }: OriginState): number {
  return from ?? Math.max(floor, holes.at(-1)?.to ?? 1)
}
