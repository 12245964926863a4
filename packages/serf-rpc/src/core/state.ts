/** One connection of the server: what it is allowed, what it waits for, what it listens to. */
import type { RpcServerLimits } from '../limits.ts'
import type { SerfLogLevel } from '../words.ts'
import type { Command } from '../wire/message.ts'
import { FrameSplitter } from '../wire/splitter.ts'
import type { EventFilters } from './filter.ts'
import type { ConnectionOutput } from './input.ts'
import type { Outbox } from './outbox.ts'

export interface ConnectionOptions {
  readonly limits: RpcServerLimits
  /** Whether the key is right, in a time that does not depend on it; absent: none is needed. */
  readonly authorise?: (key: string) => boolean
  /** What the first command is answered, whatever it is, before the end. Default: nothing. */
  readonly refusal?: string
}

export interface Stream {
  readonly filters: EventFilters
  readonly outbox: Outbox
}

export interface Monitor {
  readonly sequence: bigint
  readonly level: SerfLogLevel
  readonly outbox: Outbox
}

export interface RunningQuery {
  readonly outbox: Outbox
  done: boolean
}

/** A query of the cluster that this connection was told of and may answer. */
export interface OpenQuery {
  readonly handle: number
  readonly expiresAt: number
}

export interface ConnectionState {
  readonly options: ConnectionOptions
  readonly splitter: FrameSplitter
  /** `greeting` before the handshake, `stranger` before the key, then `open`. */
  phase: 'greeting' | 'stranger' | 'open' | 'ended'
  deadline: number | undefined
  /** The caller sends nothing more. */
  ended: boolean
  /** The header whose body comes next. */
  header: { readonly command: Command; readonly sequence: bigint } | undefined
  /** The request that the host works on; no other is begun meanwhile. */
  busy: { readonly command: Command; readonly sequence: bigint; level?: SerfLogLevel } | undefined
  unsentBytes: number
  keysWrong: number
  nextQueryId: bigint
  monitor: Monitor | undefined
  readonly streams: Map<bigint, Stream>
  readonly queries: Map<bigint, RunningQuery>
  readonly openQueries: Map<bigint, OpenQuery>
  outputs: ConnectionOutput[]
}

export function createConnection(options: ConnectionOptions, now: number): ConnectionState {
  return {
    options,
    splitter: new FrameSplitter(),
    phase: 'greeting',
    deadline: now + options.limits.handshakeMs,
    ended: false,
    header: undefined,
    busy: undefined,
    unsentBytes: 0,
    keysWrong: 0,
    nextQueryId: 1n,
    monitor: undefined,
    streams: new Map(),
    queries: new Map(),
    openQueries: new Map(),
    outputs: [],
  }
}

/** Whether more of the caller's bytes may be taken off the wire. */
export function wantsBytes(state: ConnectionState): boolean {
  return (
    state.phase !== 'ended' &&
    state.busy === undefined &&
    state.unsentBytes < state.options.limits.unsentBytesMax
  )
}

/** Not through handshake and authentication yet. */
export function isStranger(state: ConnectionState): boolean {
  return state.phase === 'greeting' || state.phase === 'stranger'
}

export function wantsEvents(state: ConnectionState): boolean {
  return state.phase !== 'ended' && state.streams.size > 0
}

export function wantsLines(state: ConnectionState): boolean {
  return state.phase !== 'ended' && state.monitor !== undefined
}

export function send(state: ConnectionState, bytes: Uint8Array): void {
  state.unsentBytes += bytes.length
  state.outputs.push({ kind: 'send', bytes })
}

export function streamCount(state: ConnectionState): number {
  return state.streams.size + state.queries.size + (state.monitor === undefined ? 0 : 1)
}
