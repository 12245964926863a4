/** The words that the server, the client and the host share; all of them are data. */
import type { Address, Coordinate } from '@kith/interface'

/** Statuses by Serf's words; a newer agent may have others. */
export type SerfStatus = 'none' | 'alive' | 'leaving' | 'left' | 'failed'

export interface SerfVersions {
  readonly min: number
  readonly max: number
  readonly current: number
}

export interface SerfMember {
  readonly name: string
  readonly address: Address
  readonly tags: Readonly<Record<string, string>>
  readonly status: SerfStatus
  /** Versions of memberlist's protocol. */
  readonly protocol: SerfVersions
  /** Versions of Serf's own protocol, which `serf members` shows. */
  readonly delegate: SerfVersions
}

/** `estimatedRttMs` of `@kith/interface` compares two of them. */
export type SerfCoordinate = Coordinate

/** Section to name to value. */
export type SerfStats = Readonly<Record<string, Readonly<Record<string, string>>>>

export interface SerfKeyReport {
  /** Key in base64 to how many members hold it; empty but for a list. */
  readonly keys: Readonly<Record<string, number>>
  /** Member to what it complained of. */
  readonly messages: Readonly<Record<string, string>>
  readonly errors: number
  /** Members that were asked. */
  readonly members: number
  readonly responses: number
}

export interface SerfQuery {
  readonly name: string
  readonly payload: Uint8Array
  /** Only these members answer; empty means everybody. */
  readonly filterMembers: readonly string[]
  /** Only members answer whose tags match: tag to expression of RE2, found anywhere in it. */
  readonly filterTags: Readonly<Record<string, string>>
  /** Every member reached says so by itself, before and besides answering. */
  readonly acks: boolean
  /** Answers travel also through so many others. */
  readonly relayFactor: number
  /** 0 asks for the agent's default. */
  readonly timeoutMs: number
}

export interface SerfQueryAnswer {
  readonly kind: 'ack' | 'response'
  readonly from: string
  /** Empty with an ack. */
  readonly payload: Uint8Array
}

export type SerfMemberEventName =
  | 'member-join'
  | 'member-leave'
  | 'member-failed'
  | 'member-update'
  | 'member-reap'

/** News of the cluster, as the host tells them to the server. */
export type SerfHostEvent =
  | {
      readonly kind: 'members'
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
  | {
      readonly kind: 'query'
      readonly name: string
      readonly payload: Uint8Array
      readonly lamportTime: bigint
      /** From now; afterwards nobody waits for an answer. */
      readonly timeoutMs: number
      respond(payload: Uint8Array): Promise<void>
    }

export type SerfLogLevel = 'TRACE' | 'DEBUG' | 'INFO' | 'WARN' | 'ERR'

export interface SerfLogLine {
  readonly level: SerfLogLevel
  /** Whole, as `2026/11/22 06:41:15 [INFO] serf: text`. */
  readonly text: string
}

export type SerfKeyCommand = 'install' | 'use' | 'remove' | 'list'
