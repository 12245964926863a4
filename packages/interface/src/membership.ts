/**
 * What the rest of the house may know of the cluster. Gossip provides it; anything may consume it.
 */
import type { Address } from './address.ts'
import type { Coordinate } from './coordinate.ts'
import type { Unsubscribe } from './emitter.ts'

/** Serf's words: `leaving` announced its leave, `left` finished it, `failed` stopped answering. */
export type MemberStatus = 'alive' | 'leaving' | 'left' | 'failed'

/** An immutable snapshot; a changed member is a new object. */
export interface Member {
  readonly name: string
  /** The advertised gossip address. */
  readonly address: Address
  readonly tags: Readonly<Record<string, string>>
  readonly status: MemberStatus
  /** Raised only by the member itself. */
  readonly incarnation: number
  /** Versions of Serf's protocol that the member announced, where the provider tells them. */
  readonly protocol?: {
    readonly min: number
    readonly max: number
    readonly version: number
  }
  /**
   * Where the member last said it is in the network; absent until it did, or where the provider
   * does not tell. Changes about once a probe, without an event. Compare with `estimatedRttMs`.
   */
  readonly coordinate?: Coordinate
}

export type MemberEventKind = 'join' | 'leave' | 'fail' | 'update' | 'reap'

export interface MemberEvent {
  readonly kind: MemberEventKind
  /** The member after the change; for `reap` as it last was. */
  readonly member: Member
}

/**
 * Told of every change in order, one call at a time, synchronously after the view changed. Events
 * may repeat after restarts and partitions: a handler must treat them as statements, not as edges.
 */
export interface MembershipHandler {
  memberChanged(event: MemberEvent): void
}

export interface MembershipView {
  /** This member itself. */
  readonly self: Member
  /** Everyone known, this member included, in order of name. */
  members(): readonly Member[]
  member(name: string): Member | undefined
  /** Replays nothing: read `members()` first, in the same turn, to miss nothing. */
  subscribe(handler: MembershipHandler): Unsubscribe
}

/**
 * Side data carried between Kith members (DESIGN section 2). Messages may be lost, repeated and
 * reordered; `localState` and `mergeState` run between Kith members only and make up for it.
 */
export interface GossipExtension {
  /** Anti-entropy state to send, at most 64 KiB; undefined sends none. */
  localState?(): Uint8Array | undefined
  /** State of another member. The bytes are hostile input: never throw, never trust a length. */
  mergeState?(bytes: Uint8Array, from: string): void
  /**
   * One broadcast of another member, each at most once within the dedupe window. Hostile input too.
   */
  onMessage?(bytes: Uint8Array, from: string): void
  /**
   * Answers another member's fetch over a stream, at most 4 MiB; undefined refuses. `request` is
   * freed once this returned: whoever needs it longer copies it.
   */
  onFetch?(request: Uint8Array, from: string): Uint8Array | undefined
}

export interface ExtensionHost {
  /** Names are `[a-z][a-z0-9-]{0,31}`; a name taken twice throws. Returns the removal. */
  extend(name: string, extension: GossipExtension): Unsubscribe
  /** Largest payload `broadcast` takes under this name, in bytes. */
  broadcastBytesMax(name: string): number
  /** Queues for everyone; larger than `broadcastBytesMax` throws a typed error. */
  broadcast(name: string, bytes: Uint8Array): void
  /**
   * Asks one Kith member directly over a stream. Rejects with a typed error within `timeoutMs`, 1
   * to 3,600,000; default 10,000.
   */
  fetch(
    member: string,
    name: string,
    request: Uint8Array,
    options?: { timeoutMs?: number; signal?: AbortSignal },
  ): Promise<Uint8Array>
}
