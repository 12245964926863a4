/**
 * Everything one member remembers. Only `step` changes it; `now`, `outputs` and `random` are those
 * of the step that runs. SWIM's entries and Serf's member rows are two tables because their lives
 * differ: an entry goes half a minute after a death, a row stays for a day.
 */
import { invariant } from '@kith/interface'
import type { Address, Digests, Member, Random } from '@kith/interface'
import { addressBytes } from '../wire/codec.ts'
import type { WriterRoom } from '../wire/codec.ts'
import type { DecodeProblemKind } from '../wire/problem.ts'
import type { PushPullMessage, PushPullRow, SwimState, Versions } from '../wire/message.ts'
import type { GossipTimings } from '../options.ts'
import { createClock } from './clocks.ts'
import type { LamportClock, Progress } from './clocks.ts'
import { createCoordinates } from './coordinates.ts'
import type { Coordinates } from './coordinates.ts'
import type { CoreCounter } from './counters.ts'
import { createDeadlines } from './deadlines.ts'
import type { Deadlines, Timer } from './deadlines.ts'
import type { Detector } from './detector.ts'
import type { FailureReport, KeptAccusation } from './reports.ts'
import { createHealth } from './stalls.ts'
import type { Health } from './stalls.ts'
import type { GossipEvent, Output } from './input.ts'
import { createPace } from './pace.ts'
import type { Pace } from './pace.ts'
import { createQueue } from './queue.ts'
import type { TransmitQueue } from './queue.ts'
import { encodeOwnTags } from './tags.ts'
import { createTalk } from './talk.ts'
import type { TalkState } from './talk.ts'

/** What waits for its time. */
export type Task =
  | { readonly kind: 'probeTick' }
  | { readonly kind: 'probeTimeout' }
  | { readonly kind: 'probeEnd' }
  | { readonly kind: 'helperTimeout'; readonly sequenceNumber: number }
  | { readonly kind: 'suspicion'; readonly entry: Entry }
  | { readonly kind: 'lastWord'; readonly entry: Entry }
  | { readonly kind: 'gossipTick' }
  | { readonly kind: 'pushPullTick' }
  | { readonly kind: 'mergeTick' }
  | { readonly kind: 'reapTick' }
  | { readonly kind: 'reconnectTick' }
  | { readonly kind: 'lostTick' }
  | { readonly kind: 'refute' }
  | { readonly kind: 'waitEnd'; readonly ticket: number }
  | { readonly kind: 'leaveEnd' }
  | { readonly kind: 'prune'; readonly name: string }
  | { readonly kind: 'coalesceEnd' }
  | { readonly kind: 'askedEnd'; readonly id: number }
  | { readonly kind: 'queryEnd'; readonly lamportTime: bigint }
  | { readonly kind: 'dispute' }
  | { readonly kind: 'tellSerfs' }

export interface Suspicion {
  /** Later than it began by the time in which this member did not run. */
  startedAt: number
  readonly minMs: number
  readonly maxMs: number
  /** Independent confirmations that bring the time down to `minMs`. */
  readonly needed: number
  /** Who has spoken already, the first accuser included. */
  readonly accusers: Set<string>
  /** What they said, for the record. */
  readonly kept: KeptAccusation[]
  confirmations: number
  timers: readonly Timer<Task>[]
}

/** One row of SWIM's table. */
export interface Entry {
  readonly name: string
  /** As received, 4 or 16 bytes, packed: two forms of one address are two addresses. */
  addressPacked: string
  /** The same, for sending. */
  address: Address
  metaPacked: string
  versions: Versions
  incarnation: number
  state: SwimState
  stateChangedAt: number
  /** Since when it is at this address, as far as we know. Whole, because a fraction takes a box. */
  knownAt: number
  suspicion: Suspicion | undefined
  /** The other address last reported for this name. */
  conflict: string | undefined
  /** The incarnation of ours that it is known to have heard; 0 for none. */
  heard: number
}

/** One row of Serf's table. */
export interface MemberRow {
  snapshot: Member
  /** Lamport time of the last intent. */
  statusTime: bigint
  /** An exchange of states gave that time, and nobody said yet of what it is. */
  timeImplied: boolean
  /** When it failed or left. */
  goneAt: number
  /** When it is asked again whether it is back, while it is failed, and when it was. */
  askAt: number
  askedAt: number | undefined
  /** Why it was given up, while it is failed, and when. */
  failure: { readonly at: number; readonly report: FailureReport } | undefined
  /** Its last round trips, seconds, oldest first. */
  rtts: readonly number[]
}

export interface RecentIntent {
  readonly kind: 'join' | 'leave'
  /** It is what an exchange of states makes of a time, not what somebody said. */
  readonly implied: boolean
  readonly lamportTime: bigint
  readonly at: number
}

/** The probe that runs; at most one. */
export interface Probe {
  readonly sequenceNumber: number
  readonly entry: Entry
  /** As it stood at the start: a member that refuted since is not accused again. */
  readonly incarnation: number
  readonly startedAt: number
  phase: 'direct' | 'indirect'
  /** The first ping came back. */
  refused: boolean
  /** When helpers and a stream were asked. */
  askedAt: number
  readonly helpers: { readonly name: string; readonly address: Address; nacked: boolean }[]
  nacksExpected: number
  nacks: number
  /** The request id of the ping over a stream, where one was sent. */
  streamRequest: number | undefined
  stream: 'unused' | 'pending' | 'failed' | 'acked'
  /** The stream was asked anew after this member had stood still. */
  streamAgain: boolean
  streamFailed: { readonly at: number; readonly reason: string } | undefined
  readonly timers: Timer<Task>[]
  /** Our own incarnation, where the ping told of it. */
  readonly told: number
}

/** A probe we make for somebody else. */
export interface HelperProbe {
  readonly origin: Address
  readonly originSequenceNumber: number
  /** A nack is still owed. */
  nack: boolean
  timer: Timer<Task>
}

export interface JoinJob {
  /** Of the command to answer; undefined for a reconnect of our own. */
  readonly id: number | undefined
  /** Not yet contacted, last first. */
  readonly waiting: Address[]
  readonly failures: string[]
  /** What was wrong with answers that could not be read. */
  readonly problems: Set<DecodeProblemKind>
  /** Events from before the join are not delivered. */
  /** Whether events from before are not wanted; undefined: who is met decides. */
  readonly ignoreOld: boolean | undefined
  running: number
  joined: number
}

/** What an answer to a request of ours is for. */
export type PendingRequest =
  | {
      readonly kind: 'pushPull'
      readonly job: JoinJob | undefined
      readonly to: Address
      readonly sentAt: number
    }
  | { readonly kind: 'probe'; readonly sequenceNumber: number }
  /** A large answer to a query; the command to tell, where there is one. */
  | { readonly kind: 'answer'; readonly commandId: number | undefined }

/** A push/pull that waits for the states of extensions. */
export type PendingCollect =
  | { readonly kind: 'request'; readonly job: JoinJob | undefined; readonly to: Address }
  | { readonly kind: 'respond'; readonly streamId: number; readonly message: PushPullMessage }

/** How Serf's part of a state is taken in. */
export interface MergeTerms {
  /**
   * Events from before the other side's present are not delivered; undefined: they are not where
   * this exchange joins another cluster.
   */
  readonly ignoreOld: boolean | undefined
  /** The other side wrote it at this time or later: when it was asked, or where it was not, now. */
  readonly since: number
}

/** A state that is taken in over several steps. */
export interface Merge {
  readonly message: PushPullMessage
  readonly terms: MergeTerms
  /** The exchange of ours that brought it; undefined where it was somebody else's. */
  readonly asked: { readonly job: JoinJob | undefined; readonly to: Address } | undefined
  /** The rows that are left, and how many. */
  readonly rows: Iterator<PushPullRow>
  rowsLeft: number
}

export interface EventSlot {
  readonly lamportTime: bigint
  readonly events: { readonly name: string; readonly payload: Uint8Array }[]
}

export interface QuerySlot {
  readonly lamportTime: bigint
  readonly ids: number[]
}

/** What is left of earlier addresses of this member. */
export interface Moved {
  /** The last one first. */
  readonly former: readonly Address[]
  /** Own incarnation at the end of the last one; 0 before any move. */
  readonly incarnation: number
}

/** Commands that wait until their broadcast was sent. */
export interface Wait {
  readonly timer: Timer<Task>
  readonly after: 'done' | 'leaveSwim' | 'leavePropagate'
  readonly commandId: number
}

export interface State {
  readonly name: string
  readonly timings: GossipTimings
  readonly digests: Digests
  readonly random: Random
  /** In which messages are written. */
  readonly room: WriterRoom
  readonly packetOverheadBytes: number
  addressBytes: Uint8Array
  address: Address
  moved: Moved
  meta: Uint8Array
  now: number
  outputs: Output[]
  started: boolean
  /** `leaving` from the first word of a leave, `left` once it finished. */
  phase: 'active' | 'leaving' | 'left'
  /** Ids of leave commands to answer at the end. */
  readonly leaveIds: number[]
  incarnation: number
  sequenceNumber: number
  /** SWIM's table in probe order; its length is the N of every formula. */
  readonly ring: Entry[]
  readonly entries: Map<string, Entry>
  probeIndex: number
  /** Where in the ring the next round of gossip goes on. */
  gossipIndex: number
  /** When old news is looked for next. */
  shedsAt: number
  aliveCount: number
  /** What probes and accusations tell of us; see `ownAwareness`. */
  awareness: number
  readonly deadlines: Deadlines<Task>
  readonly pace: Pace
  /** Pings answered to strangers since then. */
  readonly strangers: { since: number; answered: number }
  readonly health: Health
  /** When it last refuted, and what it has yet to refute. */
  refutedAt: number
  refuteNext: { readonly accused: number; readonly from: string | undefined } | undefined
  /** When it last repeated itself to somebody who accused it of the past. */
  answeredStaleAt: number
  probe: Probe | undefined
  /** One tick that came while a probe still ran: the next probe starts at its end. */
  tickWaits: boolean
  readonly helperProbes: Map<number, HelperProbe>
  /** Failed members that were asked whether they are back, by the number of the ping. */
  readonly lostProbes: Map<number, string>
  lostTimer: Timer<Task> | undefined
  /** Failed members of whom somebody says that they live. */
  readonly askFirst: Set<string>
  /** Before this no other exchange with a member that was lost. */
  meetsAgainAt: number
  readonly broadcasts: TransmitQueue
  readonly intents: TransmitQueue
  readonly queries: TransmitQueue
  readonly events: TransmitQueue
  gossipPhaseMs: number
  gossipTimer: Timer<Task> | undefined
  readonly members: Map<string, MemberRow>
  readonly failed: Set<string>
  readonly gone: Set<string>
  /** The rows of `members` in order of name. */
  readonly ordered: MemberRow[]
  /** `members()` until something changes. */
  shown: readonly Member[] | undefined
  /** How many members have an address, by its text. */
  readonly addresses: Map<string, number>
  readonly clock: LamportClock
  readonly eventClock: LamportClock
  readonly queryClock: LamportClock
  readonly recentIntents: Map<string, RecentIntent>
  readonly eventSlots: (EventSlot | undefined)[]
  /** Of names and payloads in `eventSlots`. */
  eventBytesKept: number
  readonly querySlots: (QuerySlot | undefined)[]
  nextId: number
  readonly requests: Map<number, PendingRequest>
  readonly collects: Map<number, PendingCollect>
  /** Oldest first. */
  readonly merges: Merge[]
  readonly waits: Map<number, Wait>
  /** Joins with something to do at the end of the step. */
  readonly joinsToContinue: Set<JoinJob>
  readonly extensions: Set<string>
  readonly coordinates: Coordinates
  readonly counters: Map<string, number>
  /** Events and queries. */
  readonly talk: TalkState<Task>
  readonly policy: Policy
}

/** Who may be a member, as the owner of this one sees it. Nothing here changes a byte. */
export interface Policy {
  /** Whether a member may have this address; absent: any may. */
  readonly allows?: ((address: Uint8Array) => boolean) | undefined
  /** Why these members may not come in; undefined where they may. Absent: all may. */
  readonly veto?: ((members: readonly Member[]) => string | undefined) | undefined
  /** A vote is held when somebody else is seen under our name. Default true. */
  readonly votes?: boolean | undefined
  /** Rows of an exchange that one step merges. Default 200. */
  readonly mergeRowsEachStep?: number | undefined
  /** Parts of the detector to do without; absent: none. */
  readonly detector?: Detector | undefined
}

export interface CoreOptions {
  readonly name: string
  /** Advertised: an IP literal and the port others reach us at. */
  readonly address: Address
  /** Without `kith.v`, which is added. */
  readonly tags: Readonly<Record<string, string>>
  readonly timings: GossipTimings
  readonly digests: Digests
  readonly policy?: Policy
  /** What an earlier life of this member came to. */
  readonly restored?: Progress | undefined
  /** What a label and encryption will add to each packet; default 0. */
  readonly packetOverheadBytes?: number
}

/** Spoken by this member: memberlist 1 to 5 as 2, Serf 2 to 5 as 5. */
export const ownVersions: Versions = [1, 5, 2, 2, 5, 5]

export function createState(options: CoreOptions, random: Random): State {
  const { name, address, timings, digests, restored } = options
  return {
    name,
    timings,
    digests,
    random,
    room: { spare: undefined },
    packetOverheadBytes: options.packetOverheadBytes ?? 0,
    addressBytes: ownAddressBytes(address),
    address,
    moved: { former: [], incarnation: 0 },
    meta: encodeOwnTags(options.tags),
    now: 0,
    outputs: [],
    started: false,
    phase: 'active',
    leaveIds: [],
    incarnation: restored?.incarnation ?? 0,
    sequenceNumber: 0,
    ring: [],
    entries: new Map(),
    probeIndex: 0,
    gossipIndex: 0,
    shedsAt: 0,
    aliveCount: 0,
    awareness: 0,
    deadlines: createDeadlines(),
    pace: createPace(timings),
    strangers: { since: -Infinity, answered: 0 },
    health: createHealth(),
    refutedAt: -Infinity,
    refuteNext: undefined,
    answeredStaleAt: -Infinity,
    probe: undefined,
    tickWaits: false,
    helperProbes: new Map(),
    lostProbes: new Map(),
    lostTimer: undefined,
    askFirst: new Set(),
    meetsAgainAt: -Infinity,
    broadcasts: createQueue(timings.queueDepthMax),
    intents: createQueue(timings.queueDepthMax),
    queries: createQueue(timings.queueDepthMax),
    events: createQueue(timings.queueDepthMax),
    gossipPhaseMs: 0,
    gossipTimer: undefined,
    ...noMembers(),
    clock: createClock(restored?.clock),
    eventClock: createClock(restored?.eventClock),
    queryClock: createClock(restored?.queryClock),
    recentIntents: new Map(),
    eventSlots: [],
    eventBytesKept: 0,
    querySlots: [],
    nextId: 1,
    requests: new Map(),
    collects: new Map(),
    merges: [],
    waits: new Map(),
    joinsToContinue: new Set(),
    extensions: new Set(),
    coordinates: createCoordinates(name, digests),
    counters: new Map(),
    talk: createTalk(restored),
    policy: options.policy ?? {},
  }
}

export function ownAddressBytes({ host }: Address): Uint8Array {
  const bytes = addressBytes(host)
  invariant(bytes !== undefined, `advertised address ${host} is an IP literal`)
  return bytes
}

function noMembers(): Pick<
  State,
  'members' | 'ordered' | 'shown' | 'addresses' | 'failed' | 'gone'
> {
  return {
    members: new Map(),
    ordered: [],
    shown: undefined,
    addresses: new Map(),
    failed: new Set(),
    gone: new Set(),
  }
}

export function emit(state: State, output: Output): void {
  state.outputs.push(output)
}

export function emitEvent(state: State, event: GossipEvent): void {
  state.outputs.push({ kind: 'event', event })
}

/** One more of `kind`; the kinds are few and ours, so the map stays small. */
export function count(state: State, kind: CoreCounter): void {
  state.counters.set(kind, (state.counters.get(kind) ?? 0) + 1)
}

/** Ids of requests, collects and tickets; unique within one life. */
export function takeId(state: State): number {
  const id = state.nextId
  state.nextId += 1
  return id
}

/** Whether any other member is alive, as far as SWIM knows. */
export function anyOtherAlive(state: State): boolean {
  const self = state.entries.get(state.name)
  return state.aliveCount > (self?.state === 'alive' ? 1 : 0)
}

/** The one way an entry changes its state, so that the count stays right. */
export function setEntryState(state: State, entry: Entry, next: SwimState): void {
  if (entry.state === 'alive') state.aliveCount -= 1
  if (next === 'alive') state.aliveCount += 1
  entry.state = next
  entry.stateChangedAt = state.now
}
