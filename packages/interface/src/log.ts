/** The record log as its users and its replicator see it. Identities travel as lower-case hex. */
import type { Unsubscribe } from './emitter.ts'

/** 32 hex digits: one writer history. */
export type OriginId = string
/** 32 hex digits: one store. */
export type LogId = string
/** 64 hex digits: the running SHA-256 of one origin up to a batch boundary. */
export type Chain = string

/** `memory`: in the process; `os`: handed to the system; `disk`: flushed (default). */
export type Durability = 'memory' | 'os' | 'disk'

export interface AppendRecord {
  /** At most 1,024 bytes. */
  readonly key?: Uint8Array
  readonly value: Uint8Array
  /** At most 64 headers, names 1 to 128 bytes of UTF-8, 16 KiB together. */
  readonly headers?: Readonly<Record<string, string>>
}

export interface AppendOptions {
  readonly durability?: Durability
  /** Resolve when this many other logs acknowledged durably. Default 0. */
  readonly replicas?: number
  /** Bound on the wait for `replicas`; default 10 000. Running out is an answer, not an error. */
  readonly timeoutMs?: number
  /** Makes a retry idempotent: the same id and sequence is stored once and answered the same. */
  readonly producer?: { readonly id: string; readonly sequence: number }
  readonly signal?: AbortSignal
}

export interface AppendResult {
  readonly origin: OriginId
  /** Sequence of the first record appended. */
  readonly first: number
  readonly count: number
  /** Local offset of the first record. */
  readonly offset: number
  /** True when a producer's retry found its records already stored. */
  readonly duplicate: boolean
  readonly replicas?: {
    readonly needed: number
    readonly acked: number
    readonly timedOut: boolean
  }
}

/**
 * Its bytes are the reader's own and stay as they are. Small records that were read together may
 * share one `buffer`: hand a copy to whoever wants the whole of it, such as another thread.
 */
export interface LogRecord {
  readonly offset: number
  readonly origin: OriginId
  readonly sequence: number
  /** Wall milliseconds at the origin. */
  readonly time: number
  readonly key?: Uint8Array
  readonly value: Uint8Array
  readonly headers?: Readonly<Record<string, string>>
}

/** `[from, to)` of an origin's sequence that this log declared lost. */
export interface Hole {
  readonly from: number
  readonly to: number
}

/**
 * Where reading begins: a local offset, the oldest record held, behind the newest, or the first
 * record that this log stored at `time` (wall milliseconds) or later.
 */
export type ReadFrom = number | 'earliest' | 'latest' | { readonly time: number }

/**
 * `sealed`: this log gave it up for another one. `retired`: an operator said that nothing comes
 * any more; a record that comes anyway makes it `live` again. `quarantined`: nothing is taken or
 * served.
 */
export type OriginStatus = 'live' | 'sealed' | 'retired' | 'quarantined'

/** What this log durably holds of one origin. */
export interface OriginState {
  readonly origin: OriginId
  /** The member name that wrote it: a label, never a key. */
  readonly member: string
  /** Lowest sequence still held, or the beginning of a hole there; `next` where nothing is. */
  readonly floor: number
  /** Everything below is held, was dropped by retention, or is a recorded hole. */
  readonly next: number
  /** The chain at `next`. */
  readonly chain: Chain
  readonly status: OriginStatus
  readonly holes: readonly Hole[]
  /** True for the origin under which this log appends. */
  readonly own: boolean
  /**
   * True where the origin begins later here and no record of it was ever held, so that a gap loses
   * nothing. Said of the own log only, never of another.
   */
  readonly neverHeld?: true
  /**
   * From where on the origin was stored without a gap, where retention dropped some of that since:
   * absent where it is the floor, or the end of the last hole. Said of the own log only (ADR 30).
   */
  readonly storedFrom?: number
  /**
   * Why it is not `live`: for a quarantined origin, who holds another history, and where both part
   * once that was found. Said of the own log only.
   */
  readonly why?: string
}

/**
 * Retired, and nothing of it is held: where it ended is kept for whoever comes back with it, and
 * told to nobody else.
 */
export function isForgotten(state: OriginState): boolean {
  const { status, floor, next, holes, own } = state
  return status === 'retired' && floor === next && holes.length === 0 && !own
}

export type BatchRun =
  /**
   * Consecutive batches from the asked sequence on; `previousChain` is the chain before the first.
   */
  | {
      readonly kind: 'batches'
      readonly previousChain: Chain
      readonly batches: readonly Uint8Array[]
      readonly next: number
      /**
       * Frees the memory of `batches` where it is nobody else's: by whoever is done with them, who
       * looks at them no more. Without it, and where nobody calls it, they are left to the
       * collector.
       */
      readonly release?: () => void
    }
  /** Nothing at or past the asked sequence; `chain` is ours at `next`. */
  | { readonly kind: 'end'; readonly next: number; readonly chain: Chain }
  /** The asked sequence is gone, later ones are held. */
  | { readonly kind: 'gap'; readonly resume: number; readonly chainBefore: Chain }
  /** The asked sequence lies inside a held batch: the asker's history is another one. */
  | { readonly kind: 'inside'; readonly first: number; readonly chain: Chain }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'quarantined' }

export type ApplyOutcome =
  | 'applied'
  /** Held already; dropped. */
  | 'duplicate'
  /** Starts past `next`; dropped, to be asked for again. */
  | 'ahead'
  /** Another history of that origin: quarantined durably, with an event. */
  | 'fork'
  /** A checksum did not match; dropped. */
  | 'corrupt'
  /** Written by a newer version (version or flags not known here): dropped, the origin waits. */
  | 'unsupported'
  | 'quarantined'

export interface ApplyReport {
  /** One outcome for each batch given, in order. */
  readonly outcomes: readonly ApplyOutcome[]
  readonly records: number
  readonly bytes: number
  readonly duplicateBytes: number
}

/** One durable commit, announced after its flush, in order. */
export interface LogCommit {
  readonly origin: OriginId
  readonly first: number
  /** One past the last sequence. */
  readonly next: number
  readonly offset: number
  readonly count: number
  /** False where the batch came by replication. */
  readonly local: boolean
}

/** Batches of one origin that are damaged here, one behind the other. */
export interface CorruptRun {
  readonly origin: OriginId
  /** Sequence of the first record of the first of them. */
  readonly from: number
  /** One past the last record of the last of them. */
  readonly to: number
  /** Local offset of the first of them. */
  readonly offset: number
  readonly reason: string
}

/** Where a batch that is held begins and ends, with the chains there. */
export interface BatchBounds {
  readonly first: number
  /** One past its last record. */
  readonly next: number
  /** The chain before `first`. */
  readonly previousChain: Chain
  /** The chain at `next`. */
  readonly chain: Chain
}

/** The face of a log that replication needs (REP-1 to REP-22). All methods reject after `stop`. */
export interface ReplicaLog {
  readonly logId: LogId
  /** Durable `disk` acknowledgements are possible (false for a memory store). */
  readonly durable: boolean
  /** A snapshot of everything durably held, in order of origin id. Synchronous, from memory. */
  vector(): readonly OriginState[]
  /**
   * Batches as stored, checksums verified before they are returned; at least one batch where any
   * fits.
   */
  readBatches(origin: OriginId, from: number, bytesMax: number): Promise<BatchRun>
  /** The chain before `sequence`, where that is a batch boundary we still know. */
  chainAt(origin: OriginId, sequence: number): Promise<Chain | undefined>
  /**
   * The batch that holds `sequence`, of a quarantined origin too; undefined where none is held.
   * Absent where nobody may look for the place at which two histories part.
   */
  batchBounds?(origin: OriginId, sequence: number): Promise<BatchBounds | undefined>
  /** The batch that starts at `first`, verified; undefined where none does. */
  fetchBatch(origin: OriginId, first: number): Promise<Uint8Array | undefined>
  /**
   * Each batch is accepted only at the origin's `next` with a matching chain, whole or not at all;
   * what else is written meanwhile may come between two of them. `members` labels origins not known
   * yet. Resolves after the flush of the last; the bytes are the caller's then, and nobody looks at
   * them any more. Hostile bytes are outcomes, never exceptions.
   */
  applyBatches(
    batches: readonly Uint8Array[],
    members?: ReadonlyMap<OriginId, string>,
  ): Promise<ApplyReport>
  /**
   * Declares `[next, resume)` lost for good, or, where nothing of the origin is held, sets its
   * floor.
   */
  recordGap(origin: OriginId, resume: number, chainBefore: Chain, why: string): Promise<void>
  /**
   * Stops one origin durably, with an event. Of one that is stopped it only replaces why.
   */
  quarantine(origin: OriginId, why: string): Promise<void>
  /**
   * Notes durably that nothing is expected of an origin any more, where it ends at `next`. Changes
   * nothing that is held; a batch that comes later is taken, and makes it live again, with an
   * event. Rejects for an origin that is unknown, quarantined, the own one, or ends elsewhere.
   */
  retire(origin: OriginId, next: number, why: string): Promise<void>
  /** Seals the own origin and mints a new one. Rejects when over its rate (one an hour). */
  rotate(why: string): Promise<OriginId>
  /** Lets appends begin: called after the first hello, or when nobody is expected. Idempotent. */
  openGate(): void
  /**
   * What another log durably stored, for `append({ replicas })` and for retention: of each origin
   * `[storedFrom, next)`, all of it, whatever it dropped since. An origin that `storedFrom` does not
   * name, and a range that cannot be, count for nothing. `member` speaks for one log: with a new
   * one, what its former log acknowledged counts no more.
   */
  acknowledged(
    logId: LogId,
    vector: ReadonlyMap<OriginId, number>,
    member?: string,
    storedFrom?: ReadonlyMap<OriginId, number>,
  ): void
  onCommit(listener: (commit: LogCommit) => void): Unsubscribe
  /**
   * Whether this log appended under the origin since it was opened: of such a one it believes only
   * acknowledgements that show its own history (ADR 26). Absent: what a source saw of it counts.
   */
  appended?(origin: OriginId): boolean
  /** What is known to be damaged and may be repaired. Absent where nothing is repaired. */
  corrupt?(): readonly CorruptRun[]
  /** Called when `corrupt` has more to say. */
  onCorrupt?(listener: (run: CorruptRun) => void): Unsubscribe
  /**
   * Puts whole batches in the place of a run, all of it or nothing; resolves after the flush.
   * `refused`: they are not what was there, by the chain on both sides. `healed`: nothing is
   * damaged there any more. Rejects where the store cannot write them in place.
   */
  repair?(run: CorruptRun, batches: readonly Uint8Array[]): Promise<RepairOutcome>
}

export type RepairOutcome = 'repaired' | 'refused' | 'healed'
