/**
 * The messages of memberlist and Serf as values. Field meanings: memberlist-wire.md section 2 and
 * serf-wire.md section 1. Text
 * fields that are not valid UTF-8 make the whole message a counted decode failure: no name is ever
 * repaired.
 */

/** memberlist's states on the wire; `failed` is Serf's word for `dead`. */
export type SwimState = 'alive' | 'suspect' | 'dead' | 'left'

/** memberlist and delegate versions: pmin, pmax, pcur, dmin, dmax, dcur. Always six. */
export type Versions = readonly [number, number, number, number, number, number]

export interface PingMessage {
  readonly kind: 'ping'
  readonly sequenceNumber: number
  /** The intended target; empty when the sender did not say. */
  readonly node: string
  /** Absent (length 0) when the sender did not say. */
  readonly sourceAddress: Uint8Array
  readonly sourcePort: number
  readonly sourceNode: string
}

export interface IndirectPingMessage {
  readonly kind: 'indirectPing'
  readonly sequenceNumber: number
  readonly target: Uint8Array
  readonly port: number
  readonly node: string
  /** A nack is wanted when the target stays silent. */
  readonly nack: boolean
  readonly sourceAddress: Uint8Array
  readonly sourcePort: number
  readonly sourceNode: string
}

export interface AckMessage {
  readonly kind: 'ack'
  readonly sequenceNumber: number
  /** Empty where the wire had nil or nothing. */
  readonly payload: Uint8Array
}

export interface NackMessage {
  readonly kind: 'nack'
  readonly sequenceNumber: number
}

export interface ErrorMessage {
  readonly kind: 'error'
  readonly text: string
}

export interface SuspectMessage {
  readonly kind: 'suspect'
  readonly incarnation: number
  readonly node: string
  readonly from: string
}

export interface DeadMessage {
  readonly kind: 'dead'
  readonly incarnation: number
  readonly node: string
  /** Equal to `node` for a graceful leave. */
  readonly from: string
}

export interface AliveMessage {
  readonly kind: 'alive'
  readonly incarnation: number
  readonly node: string
  /** 4 or 16 bytes, kept exactly as received. */
  readonly address: Uint8Array
  readonly port: number
  readonly meta: Uint8Array
  readonly versions: Versions
}

/** Serf's messages, inside memberlist's user message. */
export interface LeaveIntent {
  readonly kind: 'leaveIntent'
  readonly lamportTime: bigint
  readonly node: string
  readonly prune: boolean
}

export interface JoinIntent {
  readonly kind: 'joinIntent'
  readonly lamportTime: bigint
  readonly node: string
}

export interface UserEventMessage {
  readonly kind: 'userEvent'
  readonly lamportTime: bigint
  readonly name: string
  readonly payload: Uint8Array
  /** The sender allows receivers to coalesce it. */
  readonly coalesce: boolean
}

export interface QueryMessage {
  readonly kind: 'query'
  readonly lamportTime: bigint
  readonly id: number
  readonly address: Uint8Array
  readonly port: number
  readonly sourceNode: string
  readonly filters: readonly QueryFilter[]
  /** Bit 1: acks are wanted; bit 2: do not re-broadcast. */
  readonly flags: number
  readonly relayFactor: number
  readonly timeoutNs: bigint
  readonly name: string
  readonly payload: Uint8Array
}

export type QueryFilter =
  | { readonly kind: 'names'; readonly names: readonly string[] }
  | { readonly kind: 'tag'; readonly tag: string; readonly expression: string }
  /** Not understood: the query passes on and is not processed here. */
  | { readonly kind: 'unknown'; readonly bytes: Uint8Array }

export interface QueryResponseMessage {
  readonly kind: 'queryResponse'
  readonly lamportTime: bigint
  readonly id: number
  readonly from: string
  /** Bit 1: an ack. */
  readonly flags: number
  readonly payload: Uint8Array
}

export interface RelayMessage {
  readonly kind: 'relay'
  readonly address: Uint8Array
  readonly port: number
  readonly zone: string
  readonly node: string
  /** The Serf message to pass on, type byte first, byte for byte. */
  readonly body: Uint8Array
}

/** Any Serf message with the bytes it came in (Serf type byte first): re-broadcast copies these. */
export interface UserMessage {
  readonly kind: 'user'
  /** Undefined where the type is unknown or the body malformed; `bytes` still tells. */
  readonly message: SerfMessage | undefined
  readonly bytes: Uint8Array
}

export type SerfMessage =
  | LeaveIntent
  | JoinIntent
  | UserEventMessage
  | QueryMessage
  | QueryResponseMessage
  | RelayMessage

export type PacketMessage =
  | PingMessage
  | IndirectPingMessage
  | AckMessage
  | NackMessage
  | SuspectMessage
  | DeadMessage
  | AliveMessage
  | UserMessage

/** One row of a push/pull. */
export interface PushPullRow {
  readonly name: string
  readonly address: Uint8Array
  readonly port: number
  readonly meta: Uint8Array
  readonly incarnation: number
  readonly state: SwimState
  /** Undefined where the wire had fewer than six: such a row fails the merge's version check. */
  readonly versions: Versions | undefined
}

/** Rows in order; those from the network are read anew each time they are gone through. */
export interface Rows extends Iterable<PushPullRow> {
  readonly length: number
  /** Frees what they are read from; there are none afterwards. */
  release?(): void
}

export interface PushPullMessage {
  readonly kind: 'pushPull'
  readonly join: boolean
  readonly rows: Rows
  /** Serf's state, type byte first; empty where there was none. */
  readonly userState: Uint8Array
}

export interface BufferedEvents {
  readonly lamportTime: bigint
  readonly events: readonly { readonly name: string; readonly payload: Uint8Array }[]
}

/** The decoded user state of a push/pull (Serf message type 2). */
export interface SerfState {
  readonly lamportTime: bigint
  readonly eventLamportTime: bigint
  readonly queryLamportTime: bigint
  readonly statusTimes: ReadonlyMap<string, bigint>
  readonly leftMembers: readonly string[]
  /** Slots as sent; undefined for an unused one. */
  readonly events: readonly (BufferedEvents | undefined)[]
  /** Kith's anti-entropy, by extension name; empty from a Serf. */
  readonly extensions: ReadonlyMap<string, Uint8Array>
}

/** Kith only: asks an extension of another member. A Serf closes the stream at its first byte. */
export interface FetchMessage {
  readonly kind: 'fetch'
  readonly extension: string
  /** The name of the member that asks. */
  readonly from: string
  /** The name of the member that is asked: an address may have changed hands. */
  readonly node: string
  readonly request: Uint8Array
}

/** The answer to a fetch: `body`, or a refusal with a text for humans. */
export interface FetchReplyMessage {
  readonly kind: 'fetchReply'
  readonly refused: boolean
  readonly text: string
  readonly body: Uint8Array
}

/** What one stream may carry to the core, whole. */
export type StreamMessage = PushPullMessage | PingMessage | AckMessage | ErrorMessage | UserMessage

/** A member as it stands in the answer to `_serf_conflict`. */
export interface ConflictMember {
  readonly name: string
  readonly address: Uint8Array
  readonly port: number
  readonly tags: ReadonlyMap<string, string>
  /** Serf's number: 0 none, 1 alive, 2 leaving, 3 left, 4 failed. */
  readonly status: number
  readonly versions: Versions
}
