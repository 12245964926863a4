/** What a log offers to whoever uses it, with a writer here or elsewhere. */
import type {
  AppendOptions,
  AppendRecord,
  AppendResult,
  BatchBounds,
  CorruptRun,
  EventSource,
  LogId,
  LogRecord,
  OriginId,
  OriginState,
  RepairOutcome,
  ReplicaLog,
  Unsubscribe,
} from '@kith/interface'
import type { RetentionPolicy } from '../core/retain.ts'
import type { BackupManifest, BackupOptions } from './backup.ts'
import type { LogCursor } from './cursors.ts'
import type { DiskStatus } from './disk-watch.ts'
import type { LogLatency } from './latency.ts'
import type { LogEvents } from './parts.ts'
import type { ReadOptions, ReadResult, TailOptions } from './queries.ts'
import type { RetainReport } from './retention.ts'
import type { ScrubReport } from './scrub.ts'
import type { VerifyOptions, VerifyReport } from './verify.ts'

export interface LogStatus {
  readonly logId: LogId
  readonly origin: OriginId
  readonly durable: boolean
  /** `elsewhere`: this one was opened with `readOnly`. */
  readonly writer: 'worker' | 'inline' | 'elsewhere'
  /** `refused`: a rotation is owed; `damaged`: see `verify`; `poisoned`: open the log again. */
  readonly gate: 'open' | 'waiting' | 'refused' | 'damaged' | 'poisoned' | 'readOnly'
  /** Durable records of all origins, but for those that were dropped. */
  readonly records: number
  /** Bytes of their batches. */
  readonly bytes: number
  /** The offset of the first record held; `next` where none is. */
  readonly floor: number
  /** The offset the next record gets. */
  readonly next: number
  /** All but those that were retired and of which nothing is held. */
  readonly origins: readonly OriginState[]
  /** What commits found: whether the disk is slow or full. */
  readonly disk: DiskStatus
  /**
   * Counters since the start and figures of now, by name. What this log cannot know is absent:
   * with `readOnly` all but `walBytes` and `checkpointLagBytes`, in memory whatever is of a disk.
   */
  readonly metrics: Readonly<Record<string, number>>
  /** How long appends and flushes took since the start; absent with `readOnly`. */
  readonly latency?: LogLatency
}

export interface ScrubCall {
  /** Bytes a second, 1 024 to 1 GiB. Default: as the log's option `scrub` says, else 8 MiB. */
  readonly bytesPerSecond?: number
  readonly signal?: AbortSignal
}

export interface Log extends ReplicaLog, AsyncDisposable, EventSource<LogEvents> {
  /**
   * Takes the writer lock, recovers, checks the ends. Rejects with a typed error; a log starts
   * once.
   */
  start(signal?: AbortSignal): Promise<void>
  /**
   * Finishes what was accepted, then frees the store; what that did not answer within some 30 s
   * ends in `ERR_LOG_CLOSED`. Idempotent. Tails end with it too.
   */
  stop(): Promise<void>
  readonly origin: OriginId
  /**
   * One record or many, all or nothing; resolves at the durability asked for (default `disk`). What
   * it is given is copied before it returns.
   */
  append(
    records: AppendRecord | readonly AppendRecord[],
    options?: AppendOptions,
  ): Promise<AppendResult>
  read(options?: ReadOptions): Promise<ReadResult>
  tail(options?: TailOptions): AsyncIterable<LogRecord>
  cursor(name: string): LogCursor
  /**
   * Drops the oldest batches until the bounds hold, and says what went; passes follow each other.
   * What is below the floor afterwards answers `ERR_LOG_DROPPED`.
   */
  retain(policy: RetentionPolicy): Promise<RetainReport>
  /**
   * Copies the log, with everything acknowledged before the call, to a directory that holds no
   * backup yet, while appends go on; one backup follows the other. `restoreLog` makes a log of it.
   */
  backup(path: string, options?: BackupOptions): Promise<BackupManifest>
  status(): LogStatus
  verify(options?: VerifyOptions): Promise<VerifyReport>
  /**
   * Looks over all batches at a bounded rate, beside everything else, from where the last pass was
   * left; what is damaged is an event, and known to `corrupt()` until it is repaired. Who asks
   * while a pass is under way gets that one. `signal` ends it, for all who asked.
   */
  scrub(options?: ScrubCall): Promise<ScrubReport>
  batchBounds(origin: OriginId, sequence: number): Promise<BatchBounds | undefined>
  corrupt(): readonly CorruptRun[]
  onCorrupt(listener: (run: CorruptRun) => void): Unsubscribe
  repair(run: CorruptRun, batches: readonly Uint8Array[]): Promise<RepairOutcome>
}
