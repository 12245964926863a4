/**
 * The state of one registry at its birth, and the small helpers that every part of the core uses.
 */
import type { Random } from '@kith/interface'
import type { RegistrySettings } from '../options.ts'
import { Fragments } from '../wire/fragments.ts'
import { isComplete, type Replica, createReplica } from './replica.ts'
import { Deadlines } from './deadlines.ts'
import type { Counters, State } from './types.ts'

export interface StateOptions {
  /** The own member's name. */
  readonly member: string
  /** `nextEpoch(stored, wall)`. */
  readonly epoch: number
  /** Wall milliseconds now: bounds the epochs believed of others. */
  readonly wallMs: number
  readonly settings: RegistrySettings
  readonly random: Random
  readonly broadcastBytesMax: () => number
  /** Milliseconds on the clock that `step` is given. */
  readonly now: number
}

/** Ten years; epochs beyond are no clock's fault but somebody's invention. */
const epochAheadMaxMs = 315_576_000_000
/** 2033: members whose own clock stands in the past still believe those whose clock runs. */
const epochBeliefMinMs = 2_000_000_000_000

/** The epoch of a start: past the stored one, and past every earlier start even without one. */
export function nextEpoch(stored: number | undefined, wallMs: number): number {
  return Math.max((stored ?? 0) + 1, Math.floor(wallMs))
}

export function createState(options: StateOptions): State {
  const { member, epoch, settings, random, now } = options
  return {
    member,
    settings,
    random,
    broadcastBytesMax: options.broadcastBytesMax,
    epochCeiling: Math.max(options.wallMs, epochBeliefMinMs) + epochAheadMaxMs,
    deadlines: new Deadlines(),
    own: {
      live: new Map(),
      replica: createReplica(member, epoch),
      dirty: new Set(),
      draining: false,
      drainAnnounced: false,
      maintenance: undefined,
      tokens: changeBurst,
      tokensAt: now,
      pending: [],
      solicited: false,
      announcedAt: undefined,
      announcedEpoch: undefined,
      place: options.random.float(),
    },
    view: new Map(),
    kithMembers: 1,
    replicas: new Map(),
    bytes: 0,
    unconfirmed: new Set(),
    strangers: new Set(),
    wants: new Map(),
    fetches: new Map(),
    fragments: new Fragments(),
    fetchIds: 0,
    checks: new Map(),
    runIds: 0,
    runs: new Set(),
    waiting: new Set(),
    services: new Map(),
    lists: new Map(),
    changed: new Set(),
    digestCursor: '',
    started: false,
    counters: zeroCounters(),
    outputs: [],
  }
}

/** Broadcasts of changes that may leave at once before they are paced. */
export const changeBurst = 16

export function zeroCounters(): Counters {
  return {
    broadcastsSent: 0,
    broadcastsReceived: 0,
    malformed: 0,
    unsupported: 0,
    foreign: 0,
    stale: 0,
    futureEpochs: 0,
    refusedInstances: 0,
    refusedMembers: 0,
    takeovers: 0,
    announcements: 0,
    fetches: 0,
    fetchesFailed: 0,
    fetchesServed: 0,
    solicits: 0,
    checkRuns: 0,
    checkTimeouts: 0,
  }
}

/** The replica of a member, where its services may still be news; own and unknown ones excluded. */
export function isBehind(state: State, replica: Replica): boolean {
  return !isComplete(replica) || state.unconfirmed.has(replica.member)
}

/** Other members from which something may be fetched now. */
export function reachable(state: State, name: string): boolean {
  const known = state.view.get(name)
  return name !== state.member && known !== undefined && known.kith && known.status === 'alive'
}

/** A share of `ms` between `from` and 1, drawn. */
export function jitter(state: State, ms: number, from: number): number {
  return ms * (from + (1 - from) * state.random.float())
}
