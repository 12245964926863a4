/**
 * What members say to each other in words of their users: events, which need no answer, and
 * queries, which do. The types that pass between core and runtime, and what the core remembers.
 */
import type { Address } from '@kith/interface'
import type { GossipErrorCode } from '../errors.ts'
import type { QueryMessage } from '../wire/message.ts'
import type { SeenTimes } from './clocks.ts'
import type { Timer } from './deadlines.ts'
import { createLineage } from './lineage.ts'
import type { LineageState } from './lineage.ts'

/** Something that a member told everybody. Immutable; the payload is not to be changed. */
export interface UserEvent {
  readonly kind: 'event'
  readonly name: string
  readonly payload: Uint8Array
  /** Orders events of one cluster: what was caused by another event has a higher one. */
  readonly lamportTime: bigint
  /** Its sender allows to drop all but the latest of this name. */
  readonly coalesce: boolean
}

/** A question of some member, this one included, that is for this member. */
export interface QueryReceived {
  readonly kind: 'query'
  /** For the `respond` command; local, and never used twice. */
  readonly id: number
  readonly name: string
  readonly payload: Uint8Array
  /** The member that asks, as it says; empty where it does not. */
  readonly from: string
  readonly lamportTime: bigint
  /** Milliseconds from now in which an answer is still taken. */
  readonly timeoutMs: number
}

/** How a query of our own went. */
export interface QuerySummary {
  readonly lamportTime: bigint
  /** Members that acknowledged the query, in order of arrival; none where that was not asked. */
  readonly acks: readonly string[]
  /** Members that answered, in order of arrival. */
  readonly responses: readonly string[]
  /** Members that were alive, that the query was for, and that did not answer. */
  readonly missing: readonly string[]
  /** Acks and answers that came again, as with a relay factor they do. */
  readonly duplicates: number
  /** Answers that were not delivered because too many, or too large ones, were waiting. */
  readonly dropped: number
  /**
   * `complete`: everybody it was for has answered; `deadline`: its time was over; `cancelled`: its
   * owner lost interest.
   */
  readonly ended: 'complete' | 'deadline' | 'cancelled'
}

/** What is asked of a keyring. */
export type KeyCommand = 'install' | 'use' | 'remove' | 'list'

/** Why a command was not carried out, as the runtime throws it. */
export interface Refusal {
  readonly code: GossipErrorCode
  readonly message: string
}

/** What is to be asked, and of whom. */
export interface Question {
  readonly name: string
  readonly payload: Uint8Array
  /** Only these members; absent is everybody. */
  readonly members?: readonly string[] | undefined
  /** Only members whose tags match these expressions, anywhere in the value. */
  readonly tags?: Readonly<Record<string, string>> | undefined
  /** Every member that the query is for shall acknowledge it. */
  readonly ack: boolean
  /** Members through which each answer is sent once more. */
  readonly relayFactor: number
  /** Default: Serf's formula. */
  readonly timeoutMs?: number | undefined
  /** Asked by this member itself under one of Serf's own names, which users may not ask. */
  readonly internal?: boolean
}

/** A query that its user may still answer. */
export interface AskedQuery<Task> {
  readonly message: QueryMessage
  readonly timer: Timer<Task>
}

/** What an own query is for: a command of the user, or the core's own vote about its name. */
export type QueryPurpose =
  | { readonly kind: 'command'; readonly id: number }
  | {
      readonly kind: 'conflict'
      answers: number
      matching: number
      /** Other addresses that were named, and by how many. */
      readonly others: Map<string, { readonly address: Address; count: number }>
    }

/** A query of our own whose time is not over. */
export interface RunningQuery<Task> {
  readonly purpose: QueryPurpose
  readonly queryId: number
  readonly lamportTime: bigint
  readonly timer: Timer<Task>
  /** An ack is all the answer there is. */
  readonly ackIsAnswer: boolean
  readonly acks: Set<string>
  readonly responses: Set<string>
  /** Members from whom something is still expected. */
  readonly missingAcks: Set<string>
  readonly missingResponses: Set<string>
  /** Names that may acknowledge or answer; anybody can make up another one. */
  readonly answersMax: number
  duplicates: number
}

/** Events of one name that wait for a later one, all of the same time. */
export interface HeldEvents {
  readonly lamportTime: bigint
  readonly events: UserEvent[]
}

/** A vote about our name was lost, and whoever has it is asked. */
export interface Dispute<Task> {
  readonly since: number
  readonly claimant: Address
  readonly answers: number
  readonly matching: number
  /** Of the last ping. */
  sequenceNumber: number
  pings: number
  timer: Timer<Task>
}

export interface TalkState<Task> {
  /** Events and queries below are from an earlier life of this member. */
  eventTimeMin: bigint
  queryTimeMin: bigint
  readonly lineage: LineageState
  /** Events below that come with an exchange are from before this member joined. */
  exchangedTimeMin: bigint
  /** Queries of others by the id that the runtime knows. */
  readonly asked: Map<number, AskedQuery<Task>>
  /** Own queries by Lamport time: answers name it. */
  readonly running: Map<bigint, RunningQuery<Task>>
  /** Coalescing: events by name, since when, and the end of the wait. */
  readonly held: Map<string, HeldEvents>
  heldSince: number
  heldTimer: Timer<Task> | undefined
  /** Somebody else was seen under our name: a vote is due at the end of the step. */
  voteDue: boolean
  dispute: Dispute<Task> | undefined
}

/** What an earlier life heard of is not delivered again. */
export function createTalk<Task>(restored?: SeenTimes): TalkState<Task> {
  return {
    eventTimeMin: restored === undefined ? 0n : restored.eventClock + 1n,
    queryTimeMin: restored === undefined ? 0n : restored.queryClock + 1n,
    lineage: createLineage(),
    exchangedTimeMin: 0n,
    asked: new Map(),
    running: new Map(),
    held: new Map(),
    heldSince: 0,
    heldTimer: undefined,
    voteDue: false,
    dispute: undefined,
  }
}
