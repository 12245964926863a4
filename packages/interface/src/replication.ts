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
}

export interface PullWant {
  readonly origin: OriginId
  readonly next: number
  /** The puller's chain at `next`. */
  readonly chain: Chain
}

export interface PullRequest {
  readonly logId: LogId
  readonly want: readonly PullWant[]
  readonly bytesMax: number
  /** Park until something arrives; at most 30 000. */
  readonly maxWaitMs: number
  /** The puller's durable vector. */
  readonly ack: ReadonlyMap<OriginId, number>
  /** The source's vector version the puller has; the answer carries states only where it is newer. */
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
}

export interface ReplicationSource {
  hello(message: HelloMessage, signal: AbortSignal): Promise<HelloMessage>
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
