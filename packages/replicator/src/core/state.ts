/** Everything the core remembers. Positions are not here: they live in the log, with the data. */
import { isForgotten } from '@kith/interface'
import type {
  Chain,
  CorruptRun,
  HelloMessage,
  LogId,
  OriginId,
  OriginState,
  Random,
} from '@kith/interface'
import type { ReplicatorTuning } from '../options.ts'
import type { Output } from './messages.ts'
import { newBucket } from './rate.ts'
import type { Bucket } from './rate.ts'

export type SessionPhase = 'unreachable' | 'dialling' | 'connected' | 'backoff' | 'refused'

export interface PullInFlight {
  readonly issuedAt: number
  readonly maxWaitMs: number
  readonly deadline: number
  readonly wants: ReadonlyMap<OriginId, { readonly next: number; readonly chain: Chain | null }>
  /** Bytes reserved of the credit. */
  readonly reserved: number
  readonly bytesMax: number
  readonly acks: ReadonlyMap<OriginId, number>
}

export interface GapAnswer {
  readonly asked: number
  readonly resume: number
  readonly chainBefore: Chain
}

export interface SessionCounters {
  pulls: number
  batches: number
  bytes: number
  duplicateBytes: number
  corrupt: number
  failures: number
}

/** One member. What it told us is used only while it is connected. */
export interface Session {
  readonly member: string
  /** Raised with every dial; answers of an older one are dropped. */
  id: number
  phase: SessionPhase
  locator: string | undefined
  /** Membership believes it dead: dialled seldom, and last choice. */
  failed: boolean
  /** Failures since the last answered pull. */
  attempt: number
  /** End of the dial, of the back-off or of the refusal. */
  deadline: number | undefined
  /** When the last hello was answered in this process's life. */
  helloAt: number | undefined
  heardAt: number
  logId: LogId | undefined
  theirs: Map<OriginId, OriginState>
  vectorVersion: number
  pulls: Map<number, PullInFlight>
  /** Where pulls answered, but not applied yet, have brought us. */
  reached: Map<OriginId, number>
  gaps: Map<OriginId, GapAnswer>
  /** Origins of which it sent a damaged batch: it is the last choice for them. */
  avoid: Set<OriginId>
  /** Until when it is the last choice for an origin that it let wait. */
  stalled: Map<OriginId, number>
  /** Wants that an answer left empty: not asked again at once, for that would be a busy loop. */
  fruitless: Map<OriginId, number>
  /** An empty answer came too soon: no pull before this. */
  idleUntil: number | undefined
  /** Origins with holes of its own that may have to be asked about, and what was asked (REP-46). */
  readonly holesDue: Set<OriginId>
  readonly holesAsked: Map<OriginId, Set<number>>
  /** The one question about holes that is under way. */
  asking: number | undefined
  /** Too much came of late: no pull before this (REP-39). */
  heldUntil: number | undefined
  readonly bucket: Bucket
  acked: Map<OriginId, number>
  /** Up to where it was ahead of us, and since when that was known; none where it is not ahead. */
  marks: Map<OriginId, { readonly next: number; readonly at: number }>
  corrupt: number
  /** Something changed that may allow a pull: looked at before the step ends. */
  due: boolean
  /** Of what this member sent, also over earlier connections, and waits to be applied. */
  bufferedBytes: number
  roundTripMs: number
  windowBytes: number
  refusal: string | undefined
  readonly counters: SessionCounters
}

export interface QueuedBatch {
  readonly bytes: Uint8Array
  readonly origin: OriginId
  readonly first: number
  /** One past its last record, as it says itself. */
  readonly next: number
  readonly member: string
  readonly session: number
}

/** How we stand with one origin, beside what the log says. */
export interface OriginView {
  /** The one member asked for its data. */
  eager: string | undefined
  /** Since when somebody connected was ahead of us without progress of ours. */
  behindSince: number | undefined
  /** The `next` we had then. */
  behindAt: number
  gapSince: number | undefined
  /** Waited long enough for members that were not heard. */
  gapPatient: boolean
  /** The sequence at which we halted, so that the event is told once. */
  haltedAt: number | undefined
  recording: boolean
}

export interface Counters {
  applied: number
  records: number
  bytes: number
  duplicates: number
  duplicateBytes: number
  ahead: number
  corrupt: number
  unwanted: number
  forks: number
  gaps: number
  repicks: number
  rotations: number
  dials: number
  refusals: number
  repairs: number
}

export interface Comparison {
  readonly origin: OriginId
  readonly sequence: number
  readonly member: string
  readonly own: boolean
}

/** Two histories of one origin that met, and where they part as far as it is known (REP-45). */
export interface MetFork {
  readonly origin: OriginId
  readonly member: string
  readonly sequence: number
  /** At this boundary of ours both agree. */
  from: number
  /** At this one they do not. */
  to: number
  exact: boolean
  /** Calls made for it. */
  rounds: number
  readonly waitUntil: number
  ended: boolean
  /** The log was asked to write it down. */
  noted: boolean
}

/** Damaged batches of our log, and who was asked for them. */
export interface Repair {
  readonly run: CorruptRun
  /** Members that were asked since the last pause. */
  readonly tried: Set<string>
  /** Nobody is asked before this: everybody was, or the log could not write. */
  waitUntil: number | undefined
  attempt: number
}

/** What is missing, while something is. */
export interface CatchUp {
  /** Since when the longest of it was known, once that was long enough to be told of. */
  since: number | undefined
  /** The counters when it began. */
  readonly records: number
  readonly bytes: number
  lookAt: number
  /** Looks in a row that found nothing missing for long. */
  levelLooks: number
  toldAt: number
  /** Records missing then, where that was known. */
  missing: number | undefined
}

export interface State {
  readonly tuning: ReplicatorTuning
  readonly random: Random
  readonly clusterId: string
  readonly member: string
  /** Known from `start` on: the log that is not open yet has no identity. */
  logId: LogId
  durable: boolean
  local: ReadonlyMap<OriginId, OriginState>
  localList: readonly OriginState[]
  own: OriginId | undefined
  /** The origin that a rotation in progress ends. */
  lastOwn: OriginId | undefined
  started: boolean
  readonly sessions: Map<string, Session>
  readonly origins: Map<OriginId, OriginView>
  /** Origins whose source must be chosen anew before the step ends. */
  readonly dirty: Set<OriginId>
  readonly behind: Set<OriginId>
  /** Origins that were behind and were not seen level since, whether or not a holder is left. */
  readonly owed: Set<OriginId>
  readonly comparisons: Map<number, Comparison>
  readonly quarantining: Set<OriginId>
  /** The forks that were met in this life, and the one that is asked about now. */
  readonly forks: Map<OriginId, MetFork>
  locating:
    | {
        readonly id: number
        readonly origin: OriginId
        readonly session: number
        readonly deadline: number
      }
    | undefined
  /** Origins that the log is asked to retire. */
  readonly retiring: Set<OriginId>
  /** Origins that the log cannot take now (a newer version, a failed row), and until when. */
  readonly waiting: Map<OriginId, number>
  queue: QueuedBatch[]
  applying: { readonly id: number; readonly items: readonly QueuedBatch[] } | undefined
  applyFailures: number
  pausedUntil: number | undefined
  gate: 'waiting' | 'exchanged' | 'open'
  rotating: string | undefined
  /** What showed that others hold more of our own origin than we do. */
  outgrown:
    | {
        readonly origin: OriginId
        readonly sequence: number
        readonly member: string
        /** We appended under it all the same since we began: what we wrote is not theirs. */
        appended: boolean
      }
    | undefined
  /** Why the log must rotate although it refused to; asked again at `rotateRetryAt`. */
  rotateRefused: string | undefined
  rotateRetryAt: number | undefined
  wasOwed: boolean
  catchUp: CatchUp | undefined
  /** What came of each origin since the start: how large its records are. */
  readonly sizes: Map<OriginId, { records: number; bytes: number }>
  /** Damaged batches of our log, by origin and sequence, and the one asked for now. */
  readonly repairs: Map<string, Repair>
  repairing:
    | {
        readonly id: number
        readonly key: string
        readonly member: string
        readonly deadline: number
      }
    | undefined
  /** Of all members together. */
  readonly bucket: Bucket
  lastId: number
  readonly counters: Counters
}

export interface CoreOptions {
  readonly tuning: ReplicatorTuning
  readonly random: Random
  readonly clusterId: string
  readonly member: string
}

export function createState(options: CoreOptions): State {
  return {
    ...options,
    logId: '',
    durable: false,
    local: new Map(),
    localList: [],
    own: undefined,
    lastOwn: undefined,
    started: false,
    sessions: new Map(),
    origins: new Map(),
    dirty: new Set(),
    behind: new Set(),
    owed: new Set(),
    comparisons: new Map(),
    quarantining: new Set(),
    forks: new Map(),
    locating: undefined,
    retiring: new Set(),
    waiting: new Map(),
    queue: [],
    applying: undefined,
    applyFailures: 0,
    pausedUntil: undefined,
    gate: 'waiting',
    rotating: undefined,
    outgrown: undefined,
    rotateRefused: undefined,
    rotateRetryAt: undefined,
    wasOwed: false,
    catchUp: undefined,
    sizes: new Map(),
    repairs: new Map(),
    repairing: undefined,
    bucket: newBucket(),
    lastId: 0,
    counters: {
      applied: 0,
      records: 0,
      bytes: 0,
      duplicates: 0,
      duplicateBytes: 0,
      ahead: 0,
      corrupt: 0,
      unwanted: 0,
      forks: 0,
      gaps: 0,
      repicks: 0,
      rotations: 0,
      dials: 0,
      refusals: 0,
      repairs: 0,
    },
  }
}

/** What one step works with; outputs are appended in the order they must happen. */
export interface Turn {
  readonly state: State
  readonly now: number
  readonly out: Output[]
}

export function nextId(state: State): number {
  state.lastId += 1
  return state.lastId
}

export function originView(state: State, origin: OriginId): OriginView {
  let view = state.origins.get(origin)
  if (view === undefined) {
    view = {
      eager: undefined,
      behindSince: undefined,
      behindAt: 0,
      gapSince: undefined,
      gapPatient: false,
      haltedAt: undefined,
      recording: false,
    }
    state.origins.set(origin, view)
  }
  return view
}

/** The first sequence of the origin that we lack. */
export function localNext(state: State, origin: OriginId): number {
  return state.local.get(origin)?.next ?? 1
}

export function helloOf(state: State): HelloMessage {
  return {
    versions: protocolVersions,
    clusterId: state.clusterId,
    logId: state.logId,
    member: state.member,
    origin: state.own ?? '',
    durable: state.durable,
    // Whoever has something of a forgotten origin to tell names it first, and is answered (REP-41).
    vector: state.localList.filter((ours) => !isForgotten(ours)),
    vectorVersion: 0,
  }
}

export const protocolVersions: readonly number[] = Object.freeze([1])
