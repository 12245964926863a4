/** What a caller of `createSerfClient` sees. */
import type {
  SerfCoordinate,
  SerfKeyReport,
  SerfLogLevel,
  SerfMember,
  SerfMemberEventName,
  SerfQueryAnswer,
  SerfStats,
} from '../words.ts'

export interface SerfCallOptions {
  /** Rejects with the signal's reason; the agent may do all the same what it was asked. */
  readonly signal?: AbortSignal
  /** Milliseconds for the answer; default `requestTimeoutMs` of the client. */
  readonly timeoutMs?: number
}

/** Expressions of RE2 that must match all of the text, as `serf members` takes them. */
export interface SerfMemberFilter {
  readonly name?: string
  readonly status?: string
  /** Tag to expression; a tag that a member does not have is empty text. */
  readonly tags?: Readonly<Record<string, string>>
}

export interface SerfEventOptions extends SerfCallOptions {
  /** Whether agents may pass on only the last of several events of this name. Default true. */
  readonly coalesce?: boolean
}

export interface SerfQueryOptions {
  /** Only these members answer. Default: everybody. */
  readonly members?: readonly string[]
  /** Only members whose tags match: tag to expression of RE2, found anywhere in the value. */
  readonly tags?: Readonly<Record<string, string>>
  /** Whether every member reached says so, besides its answer. Default false. */
  readonly acks?: boolean
  /** Answers travel also through so many other members, 0 to 255. Default 0. */
  readonly relayFactor?: number
  /** Milliseconds in which members may answer. Default: the agent's own, from the cluster's size. */
  readonly timeoutMs?: number
  /** Ends the iteration without an error. */
  readonly signal?: AbortSignal
}

export interface SerfTagsChange {
  readonly set?: Readonly<Record<string, string>>
  /** Removed before `set` is applied. */
  readonly remove?: readonly string[]
}

export interface SerfIterationOptions {
  /** Ends the iteration without an error. */
  readonly signal?: AbortSignal
  /**
   * Whether to connect again, with back-off and for as long as it takes, when the connection is
   * lost. Default false: the iteration rejects with `ERR_RPC_CONNECTION_LOST`.
   */
  readonly reconnect?: boolean
}

export interface SerfQueryEvent {
  readonly kind: 'query'
  readonly name: string
  readonly payload: Uint8Array
  readonly lamportTime: bigint
  /** Answers, once and before the query's time is over. */
  respond(payload: string | Uint8Array, options?: SerfCallOptions): Promise<void>
}

export type SerfEvent =
  | {
      readonly kind: 'members'
      /** A newer agent may know others. */
      readonly event: SerfMemberEventName
      readonly members: readonly SerfMember[]
    }
  | {
      readonly kind: 'user'
      readonly name: string
      readonly payload: Uint8Array
      readonly lamportTime: bigint
      readonly coalesce: boolean
    }
  | SerfQueryEvent
  /** The connection was lost and is back: what happened in between is not known. */
  | { readonly kind: 'resumed' }

/** What every command about keys of the cluster resolves with, once every member succeeded. */
export interface SerfKeys {
  /** Adds a key, in base64, with which members can read. */
  install(key: string, options?: SerfCallOptions): Promise<SerfKeyReport>
  /** Makes an installed key the one to write with. */
  use(key: string, options?: SerfCallOptions): Promise<SerfKeyReport>
  remove(key: string, options?: SerfCallOptions): Promise<SerfKeyReport>
  list(options?: SerfCallOptions): Promise<SerfKeyReport>
}

export interface SerfClientStats {
  /** Connections opened so far. */
  readonly connections: number
  /** Records that no consumer took in time although a request was waiting behind them. */
  readonly recordsDropped: number
}

/**
 * Commands to one agent of Serf or Kith. They share a connection, which is opened by the first and
 * again by the next after it was lost; each iteration has one of its own. Errors are `RpcError`s:
 * the agent's own words are the message, the code says what they mean.
 */
export interface SerfClient extends AsyncDisposable {
  members(filter?: SerfMemberFilter, options?: SerfCallOptions): Promise<readonly SerfMember[]>
  /**
   * How many of the addresses were joined. `replay` asks for user events that happened before.
   * Rejects with `ERR_RPC_JOIN_FAILED` where none was.
   */
  join(
    addresses: readonly string[],
    options?: SerfCallOptions & { readonly replay?: boolean },
  ): Promise<number>
  /** Resolves once the agent left the cluster; it ends afterwards. */
  leave(options?: SerfCallOptions): Promise<void>
  /** Declares a failed member left; with `prune` it is forgotten. An unknown name is no error. */
  forceLeave(name: string, options?: SerfCallOptions & { readonly prune?: boolean }): Promise<void>
  /** Sends an event to everybody. Rejects with `ERR_RPC_TOO_LARGE` above the agent's limit. */
  event(name: string, payload?: string | Uint8Array, options?: SerfEventOptions): Promise<void>
  /** Asks everybody; yields acks and answers as they come, and ends with the query's time. */
  query(
    name: string,
    payload?: string | Uint8Array,
    options?: SerfQueryOptions,
  ): AsyncIterableIterator<SerfQueryAnswer>
  /** Changes the agent's own tags. */
  setTags(change: SerfTagsChange, options?: SerfCallOptions): Promise<void>
  readonly keys: SerfKeys
  /** What the agent says of itself, as `serf info` prints it. */
  stats(options?: SerfCallOptions): Promise<SerfStats>
  /** Undefined for a member that the agent does not know or has no coordinate of. */
  coordinate(name: string, options?: SerfCallOptions): Promise<SerfCoordinate | undefined>
  /**
   * News as they come. `filter` is Serf's: `member-join,user:deploy,query`; default `*`.
   */
  events(filter?: string, options?: SerfIterationOptions): AsyncIterableIterator<SerfEvent>
  /** Lines of the agent's log, the last 512 first. Default level `INFO`. */
  monitor(level?: SerfLogLevel, options?: SerfIterationOptions): AsyncIterableIterator<string>
  /** What this client did so far. */
  readonly figures: SerfClientStats
  /** Closes every connection; what is under way rejects with `ERR_RPC_CLOSED`. Idempotent. */
  close(): Promise<void>
}
