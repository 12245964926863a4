/**
 * Where a puller gets batches from. Clauses REP-* stand in the replicator's `SPEC.md`. Two
 * implementations: HTTP (`@kith/replicator/http`) and direct calls (`sim`, tests).
 */
import type { Chain, LogId, OriginId, OriginState } from './log.ts'

export interface HelloMessage {
  /** Protocol versions understood, highest first; now only 1. */
  readonly versions: readonly number[]
  /** Equal on all members of one cluster; another one is refused. */
  readonly clusterId: string
  readonly logId: LogId
  readonly member: string
  /** The origin under which the sender appends now. */
  readonly origin: OriginId
  readonly durable: boolean
  /** Everything the sender durably holds: always in full at hello. */
  readonly vector: readonly OriginState[]
  /** The version of `vector` in an answer, for the first pull; 0 in a request. */
  readonly vectorVersion: number
}

export interface PullWant {
  readonly origin: OriginId
  readonly next: number
  /**
   * The puller's chain at `next`. Null where it holds nothing of the origin, or asks ahead of what
   * it has applied: then the source compares nothing and `applyBatches` finds a fork.
   */
  readonly chain: Chain | null
}

export interface PullRequest {
  readonly logId: LogId
  readonly want: readonly PullWant[]
  readonly bytesMax: number
  /** Park until something arrives; at most 30 000. */
  readonly maxWaitMs: number
  /** The puller's durable vector: in full in the first pull after a hello, then what changed. */
  readonly ack: ReadonlyMap<OriginId, number>
  /**
   * The puller's chain at what it acknowledges: of every origin that the source may have written.
   * Of one that it did write since it was opened an acknowledgement without a chain is none.
   */
  readonly ackChains?: ReadonlyMap<OriginId, Chain>
  /**
   * The least sequence from which on the puller stored everything up to what it acknowledges, for
   * every origin of `ack`. Without it, as in what earlier versions send, nothing is acknowledged.
   */
  readonly ackFrom?: ReadonlyMap<OriginId, number>
  /**
   * The source's vector version the puller has; the answer carries states only where it is newer.
   */
  readonly vectorVersion: number
}

export interface PullGap {
  readonly origin: OriginId
  readonly asked: number
  readonly resume: number
  readonly chainBefore: Chain
}

export interface PullFork {
  readonly origin: OriginId
  readonly sequence: number
  /** The source's chain there. */
  readonly chain: Chain
}

export interface PullResponse {
  readonly logId: LogId
  readonly batches: readonly Uint8Array[]
  readonly gaps: readonly PullGap[]
  readonly forks: readonly PullFork[]
  /** More is ready: pull again at once. */
  readonly more: boolean
  /** States changed since the request's `vectorVersion`. */
  readonly vector: readonly OriginState[]
  readonly vectorVersion: number
  /**
   * Gives the memory of `batches` back: by whoever is done with all of them, who looks at them no
   * more. Without it, and where nobody calls it, they are left to the collector.
   */
  readonly release?: () => void
}

/**
 * All methods may run at the same time. They reject with a typed error, and soon after `signal`
 * aborts. Bytes returned belong to the caller and do not change.
 */
export interface ReplicationSource {
  /** Names both sides. Needed before the first pull, and again when a pull is told so. */
  hello(message: HelloMessage, signal: AbortSignal): Promise<HelloMessage>
  /** Answers at once where something is ready, else parks; a source that stops answers first. */
  pull(request: PullRequest, signal: AbortSignal): Promise<PullResponse>
  /** The chain before each sequence asked; null where unknown. At most 256 sequences. */
  chainAt(
    origin: OriginId,
    sequences: readonly number[],
    signal: AbortSignal,
  ): Promise<readonly (Chain | null)[]>
  fetch(origin: OriginId, first: number, signal: AbortSignal): Promise<Uint8Array | undefined>
  /** Idempotent; pending calls reject. */
  close(): Promise<void>
}
