/** What goes into one connection of the server, and what comes out. */
import type { SerfHostEvent, SerfKeyCommand, SerfLogLine } from '../words.ts'
import type { Command, QueryRecord, QueryRequest, ResponseBody } from '../wire/message.ts'
import type { MemberFilter } from './members.ts'

/** News as the core sees them: a query is answered by its handle. */
export type NewsEvent =
  | Extract<SerfHostEvent, { readonly kind: 'members' | 'user' }>
  | (Omit<Extract<SerfHostEvent, { readonly kind: 'query' }>, 'respond'> & {
      /** Names the query to the runtime. */
      readonly handle: number
    })

/** What the host is asked, one at a time. */
export type HostCall =
  | { readonly kind: 'members'; readonly filter: MemberFilter | undefined }
  | {
      readonly kind: 'event'
      readonly name: string
      readonly payload: Uint8Array
      readonly coalesce: boolean
    }
  | { readonly kind: 'join'; readonly addresses: readonly string[]; readonly replay: boolean }
  | { readonly kind: 'leave' }
  | { readonly kind: 'forceLeave'; readonly name: string; readonly prune: boolean }
  | {
      readonly kind: 'tags'
      readonly set: ReadonlyMap<string, string>
      readonly remove: readonly string[]
    }
  | { readonly kind: 'query'; readonly query: QueryRequest; readonly sequence: bigint }
  | { readonly kind: 'respond'; readonly handle: number; readonly payload: Uint8Array }
  | { readonly kind: 'keys'; readonly command: SerfKeyCommand; readonly key: string | undefined }
  | { readonly kind: 'stats' }
  | { readonly kind: 'coordinate'; readonly name: string }
  | { readonly kind: 'logs' }

export interface HostAnswer {
  /** Empty where the host did what it was asked. */
  readonly error: string
  readonly body?: ResponseBody
  /** What a monitor is shown first. */
  readonly history?: readonly SerfLogLine[]
}

export type ConnectionInput =
  /** The core takes the bytes over. */
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** The caller sends nothing more; what it sent is still answered. */
  | { readonly kind: 'ended' }
  /** The host's answer to the last `call`. */
  | { readonly kind: 'answer'; readonly answer: HostAnswer }
  | { readonly kind: 'event'; readonly event: NewsEvent }
  | { readonly kind: 'line'; readonly line: SerfLogLine }
  /** Something came back for a query of this connection. */
  | { readonly kind: 'record'; readonly sequence: bigint; readonly record: QueryRecord }
  /** The system took so many bytes of what was sent. */
  | { readonly kind: 'sent'; readonly bytes: number }
  | { readonly kind: 'deadline' }
  /** The server wants no more of this caller. */
  | { readonly kind: 'close' }

/** In this order: what is sent before an `end` arrives before it. */
export type ConnectionOutput =
  | { readonly kind: 'send'; readonly bytes: Uint8Array }
  | { readonly kind: 'call'; readonly call: HostCall }
  /** Nothing follows. `why` names a counter where it was the caller's fault. */
  | { readonly kind: 'end'; readonly why?: EndCause }
  /** The caller made the agent leave: it may end now. */
  | { readonly kind: 'shutdown' }
  | { readonly kind: 'count'; readonly what: Counted }
  | { readonly kind: 'warn'; readonly text: string }

/** `command.event` counts the requests of one command. */
export type Counted = 'recordsDropped' | 'keysWrong' | 'requests' | `command.${Command}`

export type EndCause =
  | 'certificateRefused'
  | 'handshakeMissing'
  | 'handshakeLate'
  | 'keysWrongTooOften'
  | 'commandUnknown'
  | 'undecodable'
  | 'frameTooLarge'
