/**
 * The door of the wire layer: everything the core and the runtime need to turn bytes into messages
 * and back. Nothing here throws on bytes from the network; nothing here keeps state.
 */
import type { Digests } from '@kith/interface'
import type {
  PacketMessage,
  QueryFilter,
  SerfMessage,
  SerfState,
  StreamMessage,
  UserMessage,
} from './message.ts'

/** How signed integers are written: as go-msgpack 0.5 does, or as 2.x does. Both accept both. */
export type Dialect = 'old' | 'new'

/** Each kind is the name of a counter. */
export type DecodeProblemKind =
  | 'addressInvalid'
  | 'compoundShort'
  | 'compoundTruncated'
  | 'compressAlgorithm'
  | 'compressEmpty'
  | 'compressMalformed'
  | 'compressTooLarge'
  | 'crcMismatch'
  | 'emptyMessage'
  | 'encryptionMissing'
  | 'headerOutOfRange'
  | 'labelInvalid'
  | 'messageMalformed'
  | 'nestingTooDeep'
  | 'packetTooLarge'
  | 'rowSkipped'
  | 'streamTooLarge'
  | 'streamTruncated'
  | 'textInvalid'
  | 'tooManyParts'
  | 'typeMisplaced'
  | 'typeUnknown'
  | 'versionsShort'

export interface DecodeProblem {
  readonly kind: DecodeProblemKind
  /** The message type byte it was met in, where there was one. */
  readonly type?: number
}

export interface DecodedPacket {
  readonly messages: readonly PacketMessage[]
  readonly problems: readonly DecodeProblem[]
}

/** Reads one datagram through every layer. Good parts survive bad ones. Never throws. */
export declare function decodePacket(bytes: Uint8Array, digests: Digests): DecodedPacket

/** One message, type byte first, without outer layers. A user message copies its `bytes`. */
export declare function encodeMessage(message: PacketMessage, dialect?: Dialect): Uint8Array

export interface PacketOptions {
  /** Adds the checksum layer; only for members whose pmax is at least 5. */
  readonly crc?: Digests | undefined
  /** Compresses where that makes the packet smaller. */
  readonly compress?: boolean
}

/** One datagram of 1 to 255 encoded messages: bare for one, a compound for several. */
export declare function encodePacket(
  parts: readonly Uint8Array[],
  options?: PacketOptions,
): Uint8Array

/** Target size of a packet before checksum: 1,400 bytes. */
export declare const packetBytesTarget: number
/** Bytes left for piggybacked broadcasts beside messages of `used` bytes: 1,400 - used - 2. */
export declare function piggybackBudget(used: number): number
/** What a queued broadcast of this encoded length (type byte included) costs: length + 2. */
export declare function broadcastCost(encodedLength: number): number

/** Serf's message, Serf's type byte first, as it stands in `UserMessage.bytes` and in a relay. */
export declare function encodeSerf(message: SerfMessage, dialect?: Dialect): Uint8Array
/** Undefined for unknown types and malformed bodies. */
export declare function decodeSerf(bytes: Uint8Array): SerfMessage | undefined
/** The user message that carries a Serf message of ours. */
export declare function userMessage(message: SerfMessage, dialect?: Dialect): UserMessage

/** The user state of a push/pull (Serf type 2), for `PushPullMessage.userState`. */
export declare function encodeState(state: SerfState, dialect?: Dialect): Uint8Array
/** Undefined when empty, of another type or malformed. Entries with invalid text are left out. */
export declare function decodeState(bytes: Uint8Array): SerfState | undefined

/** Tags as member meta (`ff` + map), in the map's order. Callers hold the 512-byte limit. */
export declare function encodeTags(tags: ReadonlyMap<string, string>): Uint8Array
/** Meta without `ff` is the tag `role`. Undefined when malformed. */
export declare function decodeTags(meta: Uint8Array): ReadonlyMap<string, string> | undefined
/** A frozen object without prototype, for `Member.tags`. */
export declare function tagsRecord(
  tags: ReadonlyMap<string, string>,
): Readonly<Record<string, string>>

/**
 * Whether a query is for the member: all filters match; `unknown` where a filter or its expression
 * is not understood (pass the query on, do not process it, count it). Linear in time.
 */
export declare function matchFilters(
  filters: readonly QueryFilter[],
  name: string,
  tags: Readonly<Record<string, string>>,
): 'match' | 'mismatch' | 'unknown'

export interface StreamOptions {
  readonly compress?: boolean
  readonly dialect?: Dialect
}

/** One direction of one stream, whole. Compressed even where that is larger, as memberlist does. */
export declare function encodeStream(message: StreamMessage, options?: StreamOptions): Uint8Array

/** Address bytes as text: dotted for 4 bytes and v4-mapped 16, v6 otherwise; undefined for others. */
export declare function addressText(bytes: Uint8Array): string | undefined
/** The 4 or 16 bytes of an IP literal; undefined for anything else. */
export declare function addressBytes(text: string): Uint8Array | undefined
export declare function sameBytes(a: Uint8Array, b: Uint8Array): boolean
