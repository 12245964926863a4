/** What the pieces of a running log share. */
import type {
  Clock,
  CorruptRun,
  Digests,
  Emitter,
  LogCommit,
  Logger,
  OriginId,
  StoreDamage,
  StoredCursor,
  StoredOrigin,
} from '@kith/interface'
import type { GateState } from '../core/gate.ts'
import { mayRotate } from '../core/rotation.ts'
import type { ReplicaTracker } from '../core/replicas.ts'
import { newOrigin } from '../core/state.ts'
import type { LogState } from '../core/state.ts'
import { LogError } from '../errors.ts'
import type { ResolvedOptions } from '../options.ts'
import type { Backend } from './backend.ts'
import type { BatchReads } from './reads.ts'
import type { LogWriter } from './writer.ts'

export interface LogEvents {
  /** One durable commit, in order. */
  readonly commit: LogCommit
  /** An origin was stopped for good; its records stay readable here and are not served. */
  readonly quarantine: { readonly origin: OriginId; readonly why: string }
  /** Records declared lost, or a floor set where nothing was held. */
  readonly gap: {
    readonly origin: OriginId
    readonly from: number
    readonly to: number
    readonly why: string
  }
  /** Nothing is expected of an origin any more; what is held of it stays. */
  readonly retire: {
    readonly origin: OriginId
    readonly member: string
    readonly next: number
    readonly why: string
  }
  /** From `next` on records came of an origin that was retired: it is live again. */
  readonly revive: { readonly origin: OriginId; readonly member: string; readonly next: number }
  readonly rotate: { readonly from: OriginId; readonly to: OriginId; readonly why: string }
  /** A rotation was due within an hour of the last: appends are refused until it may happen. */
  readonly rotationRefused: { readonly why: string }
  /** Appends may begin. */
  readonly gate: { readonly rotated: boolean }
  /** A batch of a newer version came in; its origin waits for an upgrade here. */
  readonly unsupported: { readonly why: string }
  /** Retention dropped the oldest batches; `floor` is the offset of the first record left. */
  readonly retained: {
    readonly floor: number
    readonly batches: number
    readonly records: number
    readonly bytes: number
  }
  /** The hard bound made retention drop what fewer than `minReplicas` other logs acknowledged. */
  readonly retentionForced: {
    readonly floor: number
    readonly batches: number
    readonly minReplicas: number
  }
  readonly damage: { readonly damage: readonly StoreDamage[] }
  /** Batches were found damaged, by a reader, `verify` or a scrub; a peer may have them. */
  readonly corrupt: CorruptRun
  /** They are whole again, in their place. */
  readonly repaired: CorruptRun
  /** A scrub went over everything that was held when it began. */
  readonly scrubbed: { readonly batches: number; readonly bytes: number; readonly corrupt: number }
  readonly poisoned: { readonly error: LogError }
}

/** What reading needs, with a writer in this process or in another. */
export interface ReadingParts {
  readonly digests: Digests
  readonly reads: BatchReads
  readonly writer: {
    /** What is shown. */
    readonly flushed: LogState
    /** What is decided: what is to be dropped is not read any more. */
    readonly head: LogState
  }
  /** Found at the start; what it touches is not written any more. */
  readonly damage: readonly StoreDamage[]
  stopped: boolean
}

export interface LogParts extends ReadingParts {
  readonly options: ResolvedOptions
  readonly clock: Clock
  readonly logger: Logger
  readonly events: Emitter<LogEvents>
  readonly backend: Backend
  readonly writer: LogWriter
  readonly replicas: ReplicaTracker
  readonly newId: () => OriginId
  gate: GateState
  /** Called after every flush that brought records. */
  readonly wakers: Set<() => void>
}

/** Throws where a damaged table forbids what is asked. */
export function refuseDamaged(parts: ReadingParts, tables: readonly StoreDamage['table'][]): void {
  const found = parts.damage.find(({ table }) => tables.includes(table))
  if (found === undefined) return
  throw new LogError(
    'ERR_LOG_CORRUPT',
    `the ${found.table} rows are damaged (${found.reason}), so nothing that rests on them is ` +
      'written; what is whole stays readable, and verify() lists the damage',
    { details: { damage: parts.damage } },
  )
}

/** Tables without which nobody knows where an origin stands. */
export const standingTables: readonly StoreDamage['table'][] = ['file', 'meta', 'origin', 'hole']

export function mustRun(parts: ReadingParts): void {
  if (parts.stopped) throw new LogError('ERR_LOG_CLOSED', 'the log is stopped')
}

/**
 * Seals the own origin and begins a new one, in the transaction being gathered; the caller joins
 * it. Over the rate it only notes that a rotation is owed, which closes the log to appends, and
 * returns undefined.
 */
export function rotateOrigin(parts: LogParts, why: string): OriginId | undefined {
  const { writer, clock, events } = parts
  const { head } = writer
  const now = clock.wallNow()
  const transaction = writer.current(0)
  transaction.meta = true
  if (!mayRotate(head.meta.rotatedAt, now)) {
    head.meta = { ...head.meta, rotationOwed: why }
    transaction.announcements.push(() => events.emit('rotationRefused', { why }))
    return undefined
  }
  const from = head.meta.origin
  const to = parts.newId()
  const old = head.origins.get(from)
  if (old !== undefined && old.status === 'live') {
    setOrigin(parts, { ...old, status: 'sealed', why, changedAt: now })
  }
  setOrigin(parts, newOrigin(to, parts.options.member, now, parts.digests))
  head.meta = { ...head.meta, origin: to, rotatedAt: now, rotationOwed: '' }
  transaction.announcements.push(() => events.emit('rotate', { from, to, why }))
  return to
}

/** Decides a new row for an origin, in the transaction being gathered. */
export function setOrigin(parts: LogParts, entry: StoredOrigin): void {
  parts.writer.head.origins.set(entry.origin, entry)
  parts.writer.current(0).origins.set(entry.origin, entry)
}

/**
 * Writes a place of the log's own down as a cursor, soon and for whoever opens it next; nothing
 * where the log may not be written.
 */
export function keepPlace(parts: LogParts, name: `kith:${string}`, next: number): void {
  const { writer, clock, damage, stopped } = parts
  if (stopped || writer.poisoned !== undefined || damage.length > 0) return
  const revision = (writer.head.cursors.get(name)?.revision ?? 0) + 1
  const row: StoredCursor = { name, next, revision, changedAt: clock.wallNow() }
  writer.head.cursors.set(name, row)
  writer.current(0).cursors.push(row)
  writer.join().catch(() => {})
}
