/**
 * The whole vocabulary between the core and its runtime: what it is told, and what it wants done.
 * Packets are bytes both ways. Streams are whole messages inwards and encoded bytes outwards.
 */
import type { Address, MemberEvent } from '@kith/interface'
import type { StreamMessage } from '../wire/message.ts'
import type { DecodeProblemKind } from '../wire/problem.ts'
import type { FailureReport, ProbeReport } from './reports.ts'
import type {
  KeyCommand,
  Question,
  QueryReceived,
  QuerySummary,
  Refusal,
  UserEvent,
} from './talk.ts'

export type Command =
  /**
   * First of all inputs, once: announces this member to itself and starts every schedule. With
   * `ignoreOld` the first exchange with anybody delivers no events from before. Default false.
   */
  | { readonly kind: 'start'; readonly ignoreOld?: boolean }
  /** Exchanges state with each address, already resolved to literals. Answered by `done`. */
  | {
      readonly kind: 'join'
      readonly id: number
      readonly addresses: readonly Address[]
      /** Events from before the join are not delivered. Default: as at the start, once. */
      readonly ignoreOld?: boolean | undefined
    }
  /** Says good-bye in order and answers `done` when others had time to hear it. Idempotent. */
  | { readonly kind: 'leave'; readonly id: number }
  /** Turns a failed member into one that left; `prune` forgets it at once. */
  | {
      readonly kind: 'forceLeave'
      readonly id: number
      readonly name: string
      readonly prune: boolean
    }
  /** Replaces the tags; the caller checked them with `tagsProblem`. */
  | {
      readonly kind: 'setTags'
      readonly id: number
      readonly tags: Readonly<Record<string, string>>
    }
  /**
   * This member is reached at another address from now on, an IP literal with a port. Answered by
   * `done` when others could have heard of it.
   */
  | { readonly kind: 'setAdvertise'; readonly id: number; readonly address: Address }
  /** To every Kith member; the caller checked the size with `broadcastBytesMax`. */
  | { readonly kind: 'broadcast'; readonly name: string; readonly bytes: Uint8Array }
  /** An extension was registered: its broadcasts and states are delivered from now on. */
  | { readonly kind: 'extend'; readonly name: string }
  | { readonly kind: 'retract'; readonly name: string }
  /** An event for everybody, this member included. Answered by `done` with the event. */
  | {
      readonly kind: 'emit'
      readonly id: number
      readonly name: string
      readonly payload: Uint8Array
      readonly coalesce: boolean
    }
  /** Answered by `done`, then by any number of `answer` and one `answersEnd`. */
  | { readonly kind: 'query'; readonly id: number; readonly question: Question }
  /** Ends a query of ours before its time. */
  | { readonly kind: 'cancelQuery'; readonly id: number }
  /** The answer to the query event `queryId`. Answered by `done`. */
  | {
      readonly kind: 'respond'
      readonly id: number
      readonly queryId: number
      readonly payload: Uint8Array
    }

export type Input =
  /** One datagram. The core copies what it keeps, because the runtime frees `bytes` afterwards. */
  | { readonly kind: 'packet'; readonly from: Address; readonly bytes: Uint8Array }
  /** A datagram to this address came back refused, or failed to leave. */
  | { readonly kind: 'sendFailed'; readonly to: Address }
  /**
   * The first message of a stream that somebody opened to us. Answered by exactly one `respond`
   * with this id, maybe after a `collect`. The runtime chooses ids from its own range.
   */
  | {
      readonly kind: 'streamMessage'
      readonly id: number
      readonly from: Address
      readonly message: StreamMessage
    }
  /** The answer to a `request` with `expectReply`; every request gets one answer or failure. */
  | { readonly kind: 'reply'; readonly id: number; readonly message: StreamMessage }
  | {
      readonly kind: 'requestFailed'
      readonly id: number
      readonly reason: string
      /** What was wrong with the answer, where there was one that could not be read. */
      readonly problem?: DecodeProblemKind
    }
  /** A request without `expectReply` was written. */
  | { readonly kind: 'requestSent'; readonly id: number }
  /** The states that `collect` asked for, by extension name. */
  | {
      readonly kind: 'collected'
      readonly id: number
      readonly states: ReadonlyMap<string, Uint8Array>
    }
  /**
   * The process did not run for `lateMs` until now: its event loop was blocked, or it was stopped.
   * Told before anything that came meanwhile, as far as the runtime knows of it in time.
   */
  | { readonly kind: 'late'; readonly lateMs: number }
  /** `nextDeadline` has come. Early ones do nothing. */
  | { readonly kind: 'deadline' }
  | { readonly kind: 'command'; readonly command: Command }

export interface JoinOutcome {
  /** Addresses with which state was exchanged and merged. */
  readonly joined: number
  /** One line for each address that failed. */
  readonly failures: readonly string[]
  /** What was wrong with answers that could not be read. */
  readonly problems: readonly DecodeProblemKind[]
}

/** A member was given up; `failure` says by whom, and who accused it. */
export interface FailEvent extends MemberEvent {
  readonly kind: 'fail'
  readonly failure: FailureReport
}

export type GossipEvent =
  | (MemberEvent & { readonly kind: 'join' | 'leave' | 'update' | 'reap' })
  | FailEvent
  | UserEvent
  | QueryReceived
  /**
   * `from` says who noticed and `via` how this member learned of it: by its own probe, which then
   * stands in `probe`, from a packet, or because somebody's state had the member as dead.
   */
  | {
      readonly kind: 'suspect'
      readonly name: string
      readonly from: string
      readonly incarnation: number
      readonly via: 'probe' | 'gossip' | 'exchange'
      readonly probe?: ProbeReport
    }
  /**
   * Somebody said we were suspect, dead or other than we are; `incarnation` is our new one and
   * `from` who said so, where the message named them.
   */
  | {
      readonly kind: 'refute'
      readonly incarnation: number
      readonly accused: number
      readonly from?: string
    }
  /** Two live addresses claim one name; the first one stays. */
  | {
      readonly kind: 'conflict'
      readonly name: string
      readonly existing: Address
      readonly other: Address
    }
  /**
   * Most of those who answered say that our name belongs to another address, from which nothing
   * comes. They are asked again: what crashed there may be an earlier life of this member.
   */
  | { readonly kind: 'nameHeld'; readonly name: string; readonly address: Address }
  /**
   * The same, and whoever is there answers, or this member has waited for minutes. Serf would shut
   * down without a leave, which would be a leave of the other.
   */
  | {
      readonly kind: 'conflictLost'
      readonly name: string
      readonly answers: number
      readonly matching: number
    }
  /** A member answered only over a stream: its packets are filtered somewhere. */
  | { readonly kind: 'packetsBlocked'; readonly name: string }
  /** A push/pull was refused as a whole. */
  | { readonly kind: 'mergeRefused'; readonly reason: string }
  /**
   * This member did not run for `lateMs`; it gives everyone that much more time, and doubts itself
   * for a while.
   */
  | { readonly kind: 'paused'; readonly lateMs: number }

/**
 * In the order they must take effect. Events describe the state after the whole step.
 */
export type Output =
  | { readonly kind: 'send'; readonly to: Address; readonly bytes: Uint8Array }
  /**
   * Connect, write `bytes`, and where `expectReply` read one message; otherwise end after writing.
   * Give up at `deadline` (in the time of `now`). Answer with `reply`, `requestSent` or
   * `requestFailed`, exactly once.
   */
  | {
      readonly kind: 'request'
      readonly id: number
      readonly to: Address
      readonly bytes: Uint8Array
      readonly expectReply: boolean
      readonly deadline: number
    }
  /** Write and end the stream of that `streamMessage`; without bytes end it silently. */
  | { readonly kind: 'respond'; readonly id: number; readonly bytes: Uint8Array | undefined }
  /** Ask every registered extension for its state and pass `collected`, in the same turn. */
  | { readonly kind: 'collect'; readonly id: number }
  | { readonly kind: 'event'; readonly event: GossipEvent }
  /** A broadcast of another member, once within the dedupe window. */
  | {
      readonly kind: 'extensionMessage'
      readonly name: string
      readonly from: string
      readonly bytes: Uint8Array
    }
  /** Anti-entropy state of another member. */
  | {
      readonly kind: 'extensionState'
      readonly name: string
      readonly from: string
      readonly bytes: Uint8Array
    }
  /** Somebody asks something of the keyring; the answer is a `respond` command. */
  | {
      readonly kind: 'keyQuery'
      readonly id: number
      readonly command: KeyCommand
      readonly key: Uint8Array
      readonly from: string
      /** What its payload may have, to fit a packet. */
      readonly bytesMax: number
    }
  /** To a query of ours: an ack, or an answer with its payload. */
  | {
      readonly kind: 'answer'
      readonly id: number
      readonly from: string
      readonly payload: Uint8Array | undefined
    }
  /** No answer to that query follows. */
  | { readonly kind: 'answersEnd'; readonly id: number; readonly summary: QuerySummary }
  /** The command with this id is finished; the rest says how it went. */
  | {
      readonly kind: 'done'
      readonly id: number
      readonly join?: JoinOutcome
      readonly event?: UserEvent
      readonly refused?: Refusal
    }
