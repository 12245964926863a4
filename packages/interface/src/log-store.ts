/**
 * Where a log keeps its rows. A store is plain: it persists what it is told, all of one change set
 * or nothing, and gives it back or says that it is damaged. Every decision is made above it. Two
 * implementations: SQLite and memory (`@kith/log`). The clauses are LOG-20 to LOG-29, LOG-45 and
 * LOG-54, and for durable stores LOG-55 to LOG-59.
 */
import type { Chain, LogId, OriginId, OriginStatus } from './log.ts'

/** One immutable batch at its place in this log. */
export interface StoredBatch {
  /** Local offset of its first record. */
  readonly offset: number
  readonly origin: OriginId
  /** Sequence of its first record. */
  readonly first: number
  readonly count: number
  /** Wall milliseconds at which this log stored it. */
  readonly storedAt: number
  readonly previousChain: Chain
  readonly chain: Chain
  /** The batch as it travels, at least 64 bytes. */
  readonly bytes: Uint8Array
}

export interface StoredOrigin {
  readonly origin: OriginId
  readonly member: string
  readonly floor: number
  readonly next: number
  readonly chain: Chain
  readonly status: OriginStatus
  /** Bytes of the batches held. */
  readonly bytes: number
  /** Records of it this log ever stored: over all origins they add up to the next offset. */
  readonly records: number
  /** How many of those retention dropped: over all origins they add up to the log's floor. */
  readonly dropped: number
  /** Why the status is what it is; empty for a live origin. */
  readonly why: string
  readonly changedAt: number
}

/** `[from, to)` of an origin is lost for good; `chain` is the one at `to`. */
export interface StoredHole {
  readonly origin: OriginId
  readonly from: number
  readonly to: number
  readonly chain: Chain
  readonly why: string
  readonly at: number
}

export interface StoredCursor {
  readonly name: string
  readonly next: number
  /** Counts the commits of this cursor, from 1. */
  readonly revision: number
  readonly changedAt: number
}

/** What a producer's last appends were answered, encoded by the log. */
export interface StoredProducer {
  readonly id: string
  readonly answers: Uint8Array
  readonly usedAt: number
}

/** What another log last acknowledged, encoded by the log. */
export interface StoredReplica {
  readonly logId: LogId
  /** The member that spoke for it; empty where it is not known. */
  readonly member: string
  readonly acked: Uint8Array
  readonly seenAt: number
}

export interface StoredMeta {
  readonly logId: LogId
  /** The origin under which this log appends. */
  readonly origin: OriginId
  /** True when the last writer stopped in order. */
  readonly clean: boolean
  readonly createdAt: number
  /** Wall milliseconds of the last rotation; 0 for none. */
  readonly rotatedAt: number
  /** Why a rotation is due that the rate did not allow yet; empty for none. */
  readonly rotationOwed: string
  /** Offset of the first record that retention left; the next offset where it left none. */
  readonly floor: number
}

/** Values SQLite takes for a parameter. */
export type StatementValue = string | number | bigint | Uint8Array | null

/** A statement of the user's own, run in the transaction of a cursor. */
export interface LogStatement {
  readonly sql: string
  readonly params?: readonly StatementValue[]
}

/**
 * One transaction. What is dropped goes first; then batches are inserted, and everything else
 * replaces the row with the same key.
 */
export interface StoreChanges {
  /** Every batch that begins below this offset goes: a prefix, by whole batches. */
  readonly dropBelow?: number
  readonly holesRemoved?: readonly Pick<StoredHole, 'origin' | 'from'>[]
  readonly batches?: readonly StoredBatch[]
  /**
   * Each takes the place of the damaged batch at its offset; `storedAt` is the least it may be.
   * Throws `ERR_LOG_REPAIR`, and stores nothing, where that cannot be done without touching others.
   */
  readonly repairs?: readonly StoredBatch[]
  readonly origins?: readonly StoredOrigin[]
  readonly holes?: readonly StoredHole[]
  readonly cursors?: readonly StoredCursor[]
  readonly producers?: readonly StoredProducer[]
  readonly producersRemoved?: readonly string[]
  readonly replicas?: readonly StoredReplica[]
  readonly replicasRemoved?: readonly LogId[]
  readonly meta?: StoredMeta
  /** Only where `statements` is true. */
  readonly statements?: readonly LogStatement[]
}

/** One thing that is broken, said precisely enough to go and look. */
export interface StoreDamage {
  readonly table: 'file' | 'meta' | 'origin' | 'hole' | 'batch' | 'cursor' | 'producer' | 'replica'
  /** The row: an offset, an origin, a name; empty where the whole table is meant. */
  readonly key: string
  readonly reason: string
}

/** Everything but the batches. Damaged rows are left out and named in `damage`. */
export interface StoreState {
  /** Undefined for a new store, and for a damaged row. */
  readonly meta: StoredMeta | undefined
  readonly origins: readonly StoredOrigin[]
  readonly holes: readonly StoredHole[]
  readonly cursors: readonly StoredCursor[]
  readonly producers: readonly StoredProducer[]
  readonly replicas: readonly StoredReplica[]
  /** One past the last record, by the last batch that is there and whole; 0 for none. */
  readonly nextOffset: number
  readonly damage: readonly StoreDamage[]
}

/** A row as read: the batch, or where it should be and why it cannot be served. */
export type StoredBatchRead =
  | { readonly ok: true; readonly batch: StoredBatch }
  | {
      readonly ok: false
      readonly offset: number
      readonly reason: string
      /** The chains before and after it, as the damaged row has them: not to be believed. */
      readonly chains?: readonly [Chain, Chain]
    }

/**
 * Reads on the caller's thread. Each call is one short read transaction, so no reader ever holds up
 * a checkpoint. A row that fails its checksum comes back as `ok: false`, never as data; the batch's
 * own checksums are the caller's to check. Returned bytes are not to be changed.
 */
export interface LogStoreReader {
  /**
   * True where the bytes that a call gives out lie in memory of their own, in which there is
   * nothing but what that call gave out: whoever is done with all of it may free it. Default:
   * false.
   */
  readonly givesCopies?: boolean
  /** The last batch that begins at or before `offset`. */
  atOffset(offset: number): StoredBatchRead | undefined
  /** Batches that begin at or past `offset`, in order; at least one where there is any. */
  fromOffset(offset: number, bytesMax: number): readonly StoredBatchRead[]
  /** The last batch of the origin that begins at or before `sequence`. */
  atSequence(origin: OriginId, sequence: number): StoredBatchRead | undefined
  /** Batches of the origin that begin at or past `sequence`; at least one where there is any. */
  fromSequence(origin: OriginId, sequence: number, bytesMax: number): readonly StoredBatchRead[]
  /** All other rows as they stand on the medium now. */
  state(): StoreState
  /** Idempotent. */
  close(): void
}

/**
 * Synchronous on purpose: the log runs a store that blocks in a thread of its own. Calls come from
 * one thread, one at a time.
 */
export interface LogStore {
  /** What was committed with `flush` survives a power cut. */
  readonly durable: boolean
  readonly statements: boolean
  /**
   * Takes the writer lock and recovers. Throws `ERR_LOG_LOCKED` where another writer, in this
   * process or another, has the store open, and `ERR_LOG_DIRECTORY`, `ERR_LOG_FORMAT` or
   * `ERR_LOG_CORRUPT` where it cannot be opened; each a `KithError`. Everything committed before is
   * durable once this returned, with the names of its files and directories.
   */
  open(): StoreState
  /**
   * All or nothing; with `flush` on the medium when it returns, and with it everything committed
   * before, also where there are no changes. Throws a `KithError` with `ERR_LOG_STORE_FULL`,
   * `ERR_LOG_STATEMENT` or `ERR_LOG_REPAIR` when nothing was stored and the store stays usable, and
   * with `ERR_LOG_CLOSED` where it is not open. After any other error the store must be opened
   * again before it can be trusted. Keeps no reference to the bytes after it returned, unless the
   * store is not durable.
   */
  commit(changes: StoreChanges, flush: boolean): void
  /** A reader of what is committed; valid until closed or the store is. */
  reader(): LogStoreReader
  /**
   * Slow and thorough checks that only the store can make of its own file. What it may not read is
   * no damage: then it throws the error of the system, or one of its own with it.
   */
  inspect(): readonly StoreDamage[]
  /** Frees the lock. Idempotent. */
  close(): void
}

export type LogStoreFactory = () => LogStore
