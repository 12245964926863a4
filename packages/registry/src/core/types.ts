/** What goes into the registry's core and what comes out of it. */
import type {
  CheckResult,
  CheckStatus,
  MemberStatus,
  Random,
  ServiceInstance,
} from '@kith/interface'
import type { RegistrySettings } from '../options.ts'
import type { Fragments } from '../wire/fragments.ts'
import type { Deadlines } from './deadlines.ts'
import type { Replica } from './replica.ts'

/** A check with every default filled in. */
export interface CheckPlan {
  /** `instanceId/name`. */
  readonly id: string
  readonly kind: string
  readonly passive: boolean
  readonly intervalMs: number
  readonly timeoutMs: number
  readonly successThreshold: number
  readonly failureThreshold: number
  readonly initialStatus: CheckStatus
  readonly deregisterCriticalAfterMs: number | undefined
}

/** An instance as its owner wants it; the core adds the statuses and the version. */
export interface InstancePlan {
  readonly service: string
  readonly id: string
  readonly address: string
  readonly port: number
  readonly tags: readonly string[]
  readonly meta: Readonly<Record<string, string>>
  readonly checks: readonly CheckPlan[]
}

export type Input =
  /** Begins to speak: announces what there is, even if that is nothing. */
  | { readonly kind: 'start' }
  | { readonly kind: 'deadline' }
  | { readonly kind: 'register'; readonly plan: InstancePlan }
  | { readonly kind: 'deregister'; readonly id: string }
  | { readonly kind: 'drain' }
  /** Holds back one instance, or without an id all of them; without a reason, no longer. */
  | {
      readonly kind: 'maintain'
      readonly id: string | undefined
      readonly reason: string | undefined
    }
  /** The word on a passive check. */
  | { readonly kind: 'setCheck'; readonly id: string; readonly result: CheckResult }
  /** The end of run `run`; every `run` output gets exactly one. */
  | {
      readonly kind: 'checked'
      readonly id: string
      readonly run: number
      readonly result: CheckResult
    }
  /** The view has this member with this status; `kith` says whether it carries services. */
  | {
      readonly kind: 'member'
      readonly name: string
      readonly status: MemberStatus
      readonly kith: boolean
    }
  | { readonly kind: 'memberGone'; readonly name: string }
  | { readonly kind: 'broadcast'; readonly from: string; readonly bytes: Uint8Array }
  /** Anti-entropy state of another member. */
  | { readonly kind: 'state'; readonly from: string; readonly bytes: Uint8Array }
  /** Somebody wants our anti-entropy state; answered by a `localState` output. */
  | { readonly kind: 'stateWanted' }
  /** Another member fetches from us; answered by a `fetchReply` output, or by none if malformed. */
  | { readonly kind: 'fetchRequest'; readonly from: string; readonly bytes: Uint8Array }
  | { readonly kind: 'fetched'; readonly id: number; readonly bytes: Uint8Array }
  | { readonly kind: 'fetchFailed'; readonly id: number }

export type Output =
  /** To be kept for the next start. Losing it costs that start one more takeover, nothing else. */
  | { readonly kind: 'epoch'; readonly epoch: number }
  | { readonly kind: 'broadcast'; readonly bytes: Uint8Array }
  | { readonly kind: 'localState'; readonly bytes: Uint8Array }
  | { readonly kind: 'fetchReply'; readonly bytes: Uint8Array }
  | {
      readonly kind: 'fetch'
      readonly id: number
      readonly member: string
      readonly request: Uint8Array
      readonly timeoutMs: number
    }
  | { readonly kind: 'run'; readonly id: string; readonly run: number }
  /** Stop this run; its end is still to be reported. */
  | { readonly kind: 'abortRun'; readonly id: string; readonly run: number }
  | {
      readonly kind: 'checkChanged'
      readonly id: string
      readonly status: CheckStatus
      readonly previous: CheckStatus
      readonly output: string
    }
  /** An own instance went; its checks are over. */
  | { readonly kind: 'deregistered'; readonly id: string; readonly reason: 'asked' | 'critical' }
  /** What this service resolves to may be different now. */
  | { readonly kind: 'changed'; readonly service: string }

export interface Counters {
  broadcastsSent: number
  broadcastsReceived: number
  malformed: number
  unsupported: number
  /** Statements about a member by somebody who is not that member. */
  foreign: number
  /** Statements of an epoch that is over, or of a member that left. */
  stale: number
  /** Epochs further ahead than any clock. */
  futureEpochs: number
  /** Instances that a limit kept out. */
  refusedInstances: number
  /** Members that a limit kept out. */
  refusedMembers: number
  /** Times that this member found its own past ahead of itself. */
  takeovers: number
  announcements: number
  fetches: number
  fetchesFailed: number
  fetchesServed: number
  solicits: number
  checkRuns: number
  checkTimeouts: number
}

export interface CheckEntry {
  readonly plan: CheckPlan
  status: CheckStatus
  output: string
  successes: number
  failures: number
  /** Number of the run under way; kept until its end was reported. */
  run: number | undefined
  /** The run under way was told to stop, and its result is already counted. */
  aborted: boolean
  startedAt: number
  criticalSince: number | undefined
}

export interface OwnInstance {
  readonly plan: InstancePlan
  readonly checks: Map<string, CheckEntry>
  /** Why it is held back for the time being. */
  maintenance: string | undefined
  current: ServiceInstance
}

export interface Own {
  readonly live: Map<string, OwnInstance>
  /** What was announced so far: other members hold this, or will. */
  replica: Replica
  readonly dirty: Set<string>
  draining: boolean
  drainAnnounced: boolean
  /** Why all instances are held back for the time being. */
  maintenance: string | undefined
  tokens: number
  tokensAt: number
  /** Parts of the announcement under way that are still to be sent. */
  pending: Uint8Array[]
  /** The announcement was asked for by somebody who cannot fetch. */
  solicited: boolean
  announcedAt: number | undefined
  announcedEpoch: number | undefined
  /** Its turn among the announcements of all, from 0 to 1 of a period. */
  readonly place: number
}

export interface Want {
  readonly member: string
  /** Members that said they have it, the latest last. */
  holders: string[]
  attempts: number
  /** The fetch under way that asks for it. */
  fetch: number | undefined
  solicitedAt: number | undefined
}

export interface Fetch {
  readonly id: number
  readonly source: string
  readonly members: readonly string[]
}

export interface Known {
  status: MemberStatus
  kith: boolean
}

export interface State {
  readonly member: string
  readonly settings: RegistrySettings
  readonly random: Random
  /** Largest broadcast, asked each time because it may depend on the host's state. */
  readonly broadcastBytesMax: () => number
  readonly epochCeiling: number
  readonly deadlines: Deadlines
  readonly own: Own
  readonly view: Map<string, Known>
  kithMembers: number
  readonly replicas: Map<string, Replica>
  /** Encoded bytes over all replicas. */
  bytes: number
  /** Members that came back and did not speak yet. */
  readonly unconfirmed: Set<string>
  readonly strangers: Set<string>
  readonly wants: Map<string, Want>
  readonly fetches: Map<number, Fetch>
  /** Messages of which not all pieces came yet. */
  readonly fragments: Fragments
  fetchIds: number
  readonly checks: Map<string, { readonly owner: string; readonly entry: CheckEntry }>
  runIds: number
  /** Runs under way, also those whose check is gone. */
  readonly runs: Set<number>
  /** Checks that are due and wait for others to end. */
  readonly waiting: Set<string>
  /** Every instance held, by service and then by member and id. */
  readonly services: Map<string, Map<string, ServiceInstance>>
  readonly lists: Map<string, ResolvedLists>
  readonly changed: Set<string>
  digestCursor: string
  started: boolean
  readonly counters: Counters
  outputs: Output[]
}

export interface ResolvedLists {
  readonly all: readonly ServiceInstance[]
  readonly passing: readonly ServiceInstance[]
}
