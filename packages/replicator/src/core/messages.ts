/** What goes into the core and what comes out of it. Outputs are carried out in their order. */
import type {
  ApplyReport,
  Chain,
  CorruptRun,
  HelloMessage,
  LogId,
  OriginId,
  OriginState,
  PullRequest,
  PullResponse,
  RepairOutcome,
} from '@kith/interface'
import type { ReplicatorErrorCode } from '../errors.ts'

/** Where a member can be pulled from changes with `locator`; undefined: nowhere now. */
export type MemberStanding = 'up' | 'failed' | 'left'

export type Input =
  /** Begins; `expected`: somebody is known to come, so the gate waits for a hello. */
  | {
      readonly kind: 'start'
      readonly logId: LogId
      readonly durable: boolean
      readonly expected: boolean
    }
  /** The log's vector, whenever it may have changed and before anything is decided on it. */
  | { readonly kind: 'local'; readonly states: readonly OriginState[] }
  | {
      readonly kind: 'member'
      readonly member: string
      readonly standing: MemberStanding
      readonly locator: string | undefined
    }
  | ({ readonly kind: 'hello'; readonly hello: HelloMessage } & Call)
  | ({ readonly kind: 'helloFailed' } & Call & Failure)
  /** The member serves no log, or does not say where: a Serf agent, for example. */
  | ({ readonly kind: 'noSource' } & Call)
  | ({ readonly kind: 'pulled'; readonly pull: number; readonly response: PullResponse } & Call)
  | ({ readonly kind: 'pullFailed'; readonly pull: number } & Call & Failure)
  /** `chains` as the member knows them before `sequences`; none where it did not answer. */
  | ({
      readonly kind: 'chainsAsked'
      readonly ask: number
      readonly origin: OriginId
      readonly sequences: readonly number[]
      readonly chains: readonly (Chain | null)[]
    } & Call)
  /** `report` is undefined when the log refused the whole transaction: `reason` says why. */
  | {
      readonly kind: 'applied'
      readonly apply: number
      readonly report: ApplyReport | undefined
      readonly reason: string
    }
  | { readonly kind: 'compared'; readonly compare: number; readonly verdict: Verdict }
  /** `appended`: under the origin that was given up, since the log was opened. */
  | {
      readonly kind: 'rotated'
      readonly to: OriginId | undefined
      readonly appended: boolean
      readonly reason: string
    }
  | { readonly kind: 'gapRecorded'; readonly origin: OriginId; readonly reason: string | undefined }
  | { readonly kind: 'quarantined'; readonly origin: OriginId }
  /** `adjacent`: the batch of ours that begins at the asked `from` ends at the asked `to`. */
  | {
      readonly kind: 'located'
      readonly locate: number
      readonly boundaries: readonly BoundaryAnswer[]
      readonly adjacent: boolean
    }
  | { readonly kind: 'locateFailed'; readonly locate: number }
  | { readonly kind: 'retired'; readonly origin: OriginId }
  /** Our own source was told hello, was shown a vector, or found a fork while it served. */
  | { readonly kind: 'heard'; readonly hello: HelloMessage }
  | { readonly kind: 'acked'; readonly logId: LogId; readonly ack: ReadonlyMap<OriginId, number> }
  | {
      readonly kind: 'servedFork'
      readonly origin: OriginId
      readonly sequence: number
      readonly member: string
    }
  /** The log found batches damaged that a member may have. */
  | { readonly kind: 'corrupt'; readonly run: CorruptRun }
  /** Empty where the member has them no more, or not as asked for. */
  | ({ readonly kind: 'fetched'; readonly batches: readonly Uint8Array[] } & RepairCall)
  | ({ readonly kind: 'fetchFailed' } & RepairCall & Failure)
  /** `outcome` is undefined where the log could not write: `reason` says why. */
  | {
      readonly kind: 'repaired'
      readonly repair: number
      readonly outcome: RepairOutcome | undefined
      readonly reason: string
    }
  | { readonly kind: 'deadline' }

/** Answers carry the session they belong to, so that those of a closed one are dropped. */
export interface Call {
  readonly member: string
  readonly session: number
}

/** Belongs to one attempt at one run. */
export interface RepairCall extends Call {
  readonly repair: number
  readonly run: CorruptRun
}

export interface Failure {
  readonly code: ReplicatorErrorCode
  readonly reason: string
}

/** The chains before `sequence`, which is a batch boundary of ours; null where theirs has none. */
export interface BoundaryAnswer {
  readonly sequence: number
  readonly ours: Chain
  readonly theirs: Chain | null
}

/** A fork that was met since this replicator began. */
export interface ForkStanding {
  readonly origin: OriginId
  /** Who holds the other history. */
  readonly member: string
  /** Where they met. */
  readonly sequence: number
  /** All records below are the same in both histories. */
  readonly from: number
  /** At this batch boundary of our history the other one is another, or has none. */
  readonly to: number
  /** One batch of ours goes from `from` to `to`: it is the first that the other has not. */
  readonly exact: boolean
  /** The place is still looked for. */
  readonly searching: boolean
}

/** How a chain that was claimed stands to ours. */
export type Verdict = 'equal' | 'fork' | 'unknown'

export type Output =
  | ({ readonly kind: 'dial'; readonly hello: HelloMessage } & Call)
  | ({ readonly kind: 'pull'; readonly pull: number; readonly request: PullRequest } & Call)
  | ({
      readonly kind: 'askChains'
      readonly ask: number
      readonly origin: OriginId
      readonly sequences: readonly number[]
    } & Call)
  | ({ readonly kind: 'close' } & Call)
  | {
      readonly kind: 'apply'
      readonly apply: number
      readonly batches: readonly Uint8Array[]
      readonly members: ReadonlyMap<OriginId, string>
    }
  | {
      readonly kind: 'compare'
      readonly compare: number
      readonly origin: OriginId
      readonly sequence: number
      readonly chain: Chain
    }
  | {
      readonly kind: 'recordGap'
      readonly origin: OriginId
      readonly resume: number
      readonly chainBefore: Chain
      readonly why: string
    }
  | { readonly kind: 'quarantine'; readonly origin: OriginId; readonly why: string }
  /** More is known of why a quarantined origin is. */
  | { readonly kind: 'note'; readonly origin: OriginId; readonly why: string }
  /**
   * Both sides' chains at up to `boundariesMax` batch boundaries of ours between `from` and `to`,
   * evenly spread, and `withEnd` at `to` as well. `endLocate` gives it up.
   */
  | ({
      readonly kind: 'locate'
      readonly locate: number
      readonly origin: OriginId
      readonly from: number
      readonly to: number
      readonly boundariesMax: number
      readonly withEnd: boolean
    } & Call)
  | { readonly kind: 'endLocate'; readonly locate: number }
  /** Where it ends at `next` still. */
  | {
      readonly kind: 'retire'
      readonly origin: OriginId
      readonly next: number
      readonly why: string
    }
  | { readonly kind: 'rotate'; readonly origin: OriginId; readonly why: string }
  /** All batches from the run's `from` to its `to`. */
  | ({ readonly kind: 'fetch' } & RepairCall)
  | {
      readonly kind: 'repair'
      readonly repair: number
      readonly run: CorruptRun
      readonly batches: readonly Uint8Array[]
      readonly member: string
    }
  | { readonly kind: 'openGate' }
  | { readonly kind: 'event'; readonly event: CoreEvent }

export interface ReplicatorEvents {
  memberConnected: { readonly member: string; readonly logId: LogId }
  memberDisconnected: {
    readonly member: string
    readonly reason: string
    readonly retryInMs: number
  }
  /** Another cluster, another protocol, or ourselves. Tried again after `refusedRetryMs`. */
  memberRefused: {
    readonly member: string
    readonly code: ReplicatorErrorCode
    readonly reason: string
  }
  /** `[asked, resume)` is held by nobody. `floor`: this log held nothing of the origin yet. */
  gap: {
    readonly origin: OriginId
    readonly asked: number
    readonly resume: number
    readonly action: 'halted' | 'skipped' | 'floor'
  }
  /** Two histories under one origin met. */
  fork: { readonly origin: OriginId; readonly sequence: number; readonly member: string }
  /**
   * Where they part, told once, after `fork`: all below `from` is the same, and at `to` it is not.
   * `exact`: the batch of ours that begins at `from` and ends at `to` is the first that the other
   * history has not. Else it lies between them, and no more is to be found out: the other side did
   * not answer, contradicted itself, or one of both does not hold those records any more.
   */
  forkLocated: {
    readonly origin: OriginId
    readonly member: string
    readonly from: number
    readonly to: number
    readonly exact: boolean
  }
  /** This log stopped taking and serving that origin, durably. */
  quarantine: { readonly origin: OriginId; readonly why: string }
  /** This log appends under a new origin from here on. */
  rotate: { readonly from: OriginId; readonly to: OriginId; readonly why: string }
  rotateRefused: { readonly origin: OriginId; readonly why: string; readonly reason: string }
  /** A member sent a batch that is damaged, or that nobody asked for. */
  corrupt: { readonly member: string; readonly origin: OriginId | undefined }
  /** A batch needs a newer version of this software; its origin waits, the others go on. */
  unsupported: { readonly origin: OriginId; readonly member: string; readonly retryInMs: number }
  /** All that members were known to hold has been applied; never told because a holder was lost. */
  caughtUp: { readonly origins: number }
  /**
   * A catch-up that takes longer than two seconds: when that is known, every five seconds, and at
   * its end. It ends where nothing is missing, or only what became known just now.
   */
  progress: {
    readonly stage: 'begun' | 'underWay' | 'ended'
    /** Milliseconds since the first of what was missing became known. */
    readonly forMs: number
    /** What came in this time, of all origins. */
    readonly records: number
    readonly bytes: number
    /** Origins of which something is missing, and how many of them nobody knows more of now. */
    readonly origins: number
    readonly unknownOrigins: number
    /** Records of these that this log holds. */
    readonly held: number
    /** Records that are known to be missing: at least so many where `unknownOrigins` is not 0. */
    readonly missing: number | 'unknown'
    /** By the mean size of what came of each origin; undefined where of one nothing came yet. */
    readonly missingBytesEstimate: number | undefined
    /** At the pace at which it became less since the last event; undefined where it did not. */
    readonly remainingMs: number | undefined
    /** Whom it is asked of, and how much; at most 16, those with most first. */
    readonly from: readonly { readonly member: string; readonly records: number }[]
  }
  /** Batches that were damaged in this log are whole again, from a member's. */
  repaired: {
    readonly origin: OriginId
    readonly from: number
    readonly to: number
    readonly member: string
  }
  /** No connected member had what was there; asked again. */
  repairFailed: {
    readonly origin: OriginId
    readonly from: number
    readonly to: number
    readonly retryInMs: number
  }
  /** The log cannot write them in place: its file is damaged beyond the batch. */
  repairRefused: {
    readonly origin: OriginId
    readonly from: number
    readonly to: number
    readonly reason: string
  }
  /** The log took nothing, for example because its disk is full. Pulls pause. */
  applyFailed: { readonly reason: string; readonly retryInMs: number }
}

export type CoreEvent = {
  readonly [Kind in keyof ReplicatorEvents]: {
    readonly kind: Kind
    readonly detail: ReplicatorEvents[Kind]
  }
}[keyof ReplicatorEvents]
