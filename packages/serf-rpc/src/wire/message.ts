/** What Serf's RPC says, by the names of Serf's commands; its texts and numbers as they are. */
import type { Coordinate } from '@kith/interface'

/** Nil on the wire is undefined here, so that what was read is written back the same. */
type Maybe<Value> = Value | undefined
type Texts = ReadonlyMap<string, string>

export interface QueryRequest {
  readonly command: 'query'
  readonly name: string
  readonly payload: Maybe<Uint8Array>
  readonly filterMembers: Maybe<readonly string[]>
  /** Tag to expression. */
  readonly filterTags: Maybe<Texts>
  readonly acks: boolean
  readonly relayFactor: number
  /** Nanoseconds; 0 asks for the agent's default. */
  readonly timeoutNs: bigint
}

export type KeyCommand = 'install-key' | 'use-key' | 'remove-key'

export type Request =
  | { readonly command: 'handshake'; readonly version: number }
  | { readonly command: 'auth'; readonly key: string }
  | {
      readonly command: 'event'
      readonly name: string
      readonly payload: Maybe<Uint8Array>
      readonly coalesce: boolean
    }
  | { readonly command: 'force-leave'; readonly name: string; readonly prune: boolean }
  | {
      readonly command: 'join'
      readonly addresses: Maybe<readonly string[]>
      readonly replay: boolean
    }
  | { readonly command: 'members' }
  | {
      readonly command: 'members-filtered'
      readonly name: string
      readonly status: string
      readonly tags: Maybe<Texts>
    }
  | {
      readonly command: 'tags'
      readonly set: Maybe<Texts>
      readonly remove: Maybe<readonly string[]>
    }
  | { readonly command: 'stream'; readonly filter: string }
  | { readonly command: 'monitor'; readonly level: string }
  | { readonly command: 'stop'; readonly stream: bigint }
  | { readonly command: 'leave' }
  | QueryRequest
  | { readonly command: 'respond'; readonly id: bigint; readonly payload: Maybe<Uint8Array> }
  | { readonly command: KeyCommand; readonly key: string }
  | { readonly command: 'list-keys' }
  | { readonly command: 'stats' }
  | { readonly command: 'get-coordinate'; readonly name: string }

export type Command = Request['command']

export interface RequestHeader {
  /** Any text: whether it is a command is for others to say. */
  readonly command: string
  /** Chosen by the client and echoed in every answer; any number of 64 bits. */
  readonly sequence: bigint
}

export interface ResponseHeader {
  /** Empty where all is well. */
  readonly error: string
  readonly sequence: bigint
}

export interface Versions {
  readonly min: number
  readonly max: number
  readonly current: number
}

export interface WireMember {
  readonly name: string
  /** 4 or 16 bytes. */
  readonly address: Uint8Array
  readonly port: number
  readonly tags: Texts
  readonly status: string
  /** Versions of memberlist's protocol. */
  readonly protocol: Versions
  /** Versions of Serf's protocol. */
  readonly delegate: Versions
}

export interface KeyReport {
  /** Key in base64 to how many members hold it; nil but for a list. */
  readonly keys: Maybe<ReadonlyMap<string, number>>
  /** Member to what it complained of. */
  readonly messages: Texts
  readonly errors: number
  readonly members: number
  readonly responses: number
}

export type Stats = ReadonlyMap<string, Texts>

export type ResponseBody =
  | { readonly kind: 'joined'; readonly count: number }
  | { readonly kind: 'members'; readonly members: readonly WireMember[] }
  | { readonly kind: 'keys'; readonly report: KeyReport }
  | { readonly kind: 'stats'; readonly stats: Stats }
  | { readonly kind: 'coordinate'; readonly coordinate: Maybe<Coordinate> }

export type BodyKind = ResponseBody['kind']

/** What follows a header of a query's sequence. */
export interface QueryRecord {
  readonly kind: 'ack' | 'response' | 'done'
  /** Empty with `done`. */
  readonly from: string
  readonly payload: Maybe<Uint8Array>
}

/** What follows a header of a stream's sequence. */
export type StreamRecord =
  | { readonly kind: 'members'; readonly event: string; readonly members: readonly WireMember[] }
  | {
      readonly kind: 'user'
      readonly name: string
      readonly payload: Maybe<Uint8Array>
      readonly lamportTime: bigint
      readonly coalesce: boolean
    }
  | {
      readonly kind: 'query'
      /** Names the query in `respond`, on this connection only. */
      readonly id: bigint
      readonly name: string
      readonly payload: Maybe<Uint8Array>
      readonly lamportTime: bigint
    }

/** Records follow the answers to these commands. */
export type StreamCommand = 'query' | 'stream' | 'monitor'

export type StreamedRecord =
  | { readonly command: 'query'; readonly record: QueryRecord }
  | { readonly command: 'stream'; readonly record: StreamRecord }
  | { readonly command: 'monitor'; readonly line: string }
