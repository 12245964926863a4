/**
 * A copy of a log becomes a log of its own (LOG-50): others may hold more of its history than the
 * copy does, so it appends under an origin that nobody has, and nobody acknowledged anything to it.
 */
import type {
  Digests,
  LogId,
  OriginId,
  StoreChanges,
  StoredReplica,
  StoreState,
} from '@kith/interface'
import { heldFrom, storedFrom } from './ranges.ts'
import { newOrigin, storedFromRow } from './state.ts'

export interface NewIdentity {
  readonly logId: LogId
  readonly origin: OriginId
}

export interface Restored {
  readonly changes: StoreChanges
  readonly previous: NewIdentity
  readonly floor: number
}

/** What to commit to a copy before it is opened; undefined where it does not know itself. */
export function restored(
  state: StoreState,
  { logId, origin }: NewIdentity,
  now: number,
  digests: Digests,
): Restored | undefined {
  const { meta, origins, replicas } = state
  const own = origins.find((one) => one.origin === meta?.origin)
  if (meta === undefined || own === undefined) return undefined
  const why = 'restored from a backup: others may hold more of it'
  const sealed = own.status === 'live' ? { ...own, status: 'sealed' as const, why } : own
  const changes: StoreChanges = {
    meta: { ...meta, logId, origin, clean: true, createdAt: now, rotationOwed: '' },
    origins: [{ ...sealed, changedAt: now }, newOrigin(origin, own.member, now, digests)],
    // What others acknowledged they acknowledged to another log.
    replicasRemoved: replicas.map((replica) => replica.logId),
    replicas: copiedFrom(state, logId, now),
  }
  return { changes, previous: { logId: meta.logId, origin: meta.origin }, floor: meta.floor }
}

/** What retention dropped before it was copied this log never stored: it holds what it holds. */
function copiedFrom(state: StoreState, logId: LogId, now: number): readonly StoredReplica[] {
  const stored = new Map<OriginId, number>()
  for (const row of state.origins) {
    const holes = state.holes
      .filter(({ origin }) => origin === row.origin)
      .sort((a, b) => a.from - b.from)
    const held = heldFrom(row, holes)
    if (storedFrom(row, holes) < held) stored.set(row.origin, held)
  }
  return stored.size === 0 ? [] : [storedFromRow(logId, stored, now)]
}
