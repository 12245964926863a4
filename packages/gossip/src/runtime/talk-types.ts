/** Events and queries as a caller sees them. */
import type { MemberEvent } from '@kith/interface'
import type { QuerySummary, UserEvent } from '../core/index.ts'

export interface EmitOptions {
  /**
   * Receivers may drop all but the latest event of this name, and wait a few seconds to see which
   * one that is: Serf's agents do. Default false.
   */
  readonly coalesce?: boolean
}

export interface QueryOptions {
  /** Only these members shall answer. Default: all. */
  readonly members?: readonly string[]
  /**
   * Only members whose tags match: regular expressions of RE2's common syntax, which match anywhere
   * in the value; a tag that a member does not have is empty. Default: all.
   */
  readonly tags?: Readonly<Record<string, string>>
  /** Every member that the query is for shall acknowledge it. Default false. */
  readonly ack?: boolean
  /** Every ack and answer is sent again through so many other members. 0 to 255; default 0. */
  readonly relayFactor?: number
  /**
   * Milliseconds in which answers are taken, 1 to 3,600,000. Default: Serf's formula, 16 rounds of
   * gossip for each power of ten of members: 3,200 on `lan` up to nine members.
   */
  readonly timeoutMs?: number
  /** Ends the query as `cancel` does. */
  readonly signal?: AbortSignal
  /** Answers that wait for the reader; further ones are dropped and counted. Default 1,024. */
  readonly responsesMax?: number
}

export interface QueryResponse {
  readonly from: string
  readonly payload: Uint8Array
}

/**
 * A query of this member while it runs. Read as an async iterable it gives each answer once, and
 * ends with the query; leaving the loop early cancels it. What is not read is kept, within bounds.
 */
export interface Query extends AsyncIterable<QueryResponse> {
  /** The names of those that acknowledged the query, where `ack` was asked for. */
  readonly acks: AsyncIterable<string>
  /** Resolves at the end of the query; rejects where this member stops before. */
  readonly summary: Promise<QuerySummary>
  /** Ends the query now; whatever comes later is counted and dropped. */
  cancel(): void
}

/** A query that came to this member. Several listeners get the same object. */
export interface ReceivedQuery {
  readonly kind: 'query'
  readonly name: string
  readonly payload: Uint8Array
  /** The member that asks, as it says; this member too where it asked itself. */
  readonly from: string
  readonly lamportTime: bigint
  /** Milliseconds from its arrival in which an answer is taken. */
  readonly timeoutMs: number
  /**
   * Answers, once for this member: by packet up to 1,024 bytes, over a stream up to 1 MiB. Resolves
   * when the answer is sent. Rejects with `ERR_GOSSIP_QUERY_LATE` after the time,
   * `ERR_GOSSIP_RESPONSE_TWICE`, `ERR_GOSSIP_RESPONSE_TOO_LARGE`, or `ERR_GOSSIP_RESPONSE_FAILED`
   * where the stream failed; after the last two a smaller or a second try may succeed.
   */
  respond(payload: Uint8Array): Promise<void>
}

export interface EventsOptions {
  /** Ends the iteration. */
  readonly signal?: AbortSignal
  /** Events that wait for the reader, 1 to 1,048,576; further ones are dropped. Default 1,024. */
  readonly bufferMax?: number
}

/** Members and user events in the order in which they came to this member. */
export type StreamedEvent =
  | MemberEvent
  | UserEvent
  /** So many events found no room, here in the order: the reader was too slow. */
  | { readonly kind: 'dropped'; readonly count: number }
