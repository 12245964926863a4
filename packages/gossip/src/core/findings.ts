/**
 * What is wrong with this cluster, as far as one member can tell. Noted where it is seen, and told
 * as long as it lasts. The words are the runtime's.
 */
import type { Address } from '@kith/interface'
import { addressBytes, isLoopback } from '../wire/codec.ts'
import { metaBytesMax } from '../options.ts'
import type { GossipTimings } from '../options.ts'
import { takeNote } from './notes.ts'
import type { FindingDetail, Note } from './notes.ts'
import type { Entry, State } from './state.ts'

/** Findings of one kind that are told. */
const toldMax = 16
/** Exchanges of state in which something must be seen again. */
const exchangesSeen = 4
/** Milliseconds for which a stall is told. */
const stallsToldMs = 60_000

/** An address that is no literal; members have none such. */
const nowhere = new Uint8Array(4)

/** Times are the core's. */
export interface CoreFinding extends Omit<Note<unknown>, 'detail'> {
  readonly member: string
  readonly what: FindingDetail
}

/** For how long a name twice, or too much meta, is told without being seen again. */
export function findingLastsMs(timings: GossipTimings): number {
  return exchangesSeen * timings.pushPullIntervalMs
}

function key(kind: FindingDetail['kind'], member: string): string {
  return `${kind} ${member}`
}

export function noteFinding(state: State, member: string, what: FindingDetail): void {
  const lastsMs = lasts(state, what.kind)
  takeNote(state.health.notes, key(what.kind, member), { member, what }, state.now, lastsMs)
}

/** It is over. */
export function findingOver(state: State, member: string, kind: FindingDetail['kind']): void {
  if (state.health.notes.size > 0) state.health.notes.delete(key(kind, member))
}

export function noteStall(state: State, lostMs: number): void {
  const { notes } = state.health
  const known = notes.get(key('loopLate', state.name))
  const before = known?.detail.what
  const recent = known !== undefined && state.now - known.lastAt <= stallsToldMs
  const longest = before?.kind === 'loopLate' && recent ? before.longestMs : 0
  const longestMs = Math.max(longest, lostMs)
  noteFinding(state, state.name, { kind: 'loopLate', longestMs, lastMs: lostMs })
}

export function noteMetaTooLarge(
  state: State,
  member: string,
  address: Address,
  bytes: number,
): void {
  noteFinding(state, member, { kind: 'metaTooLarge', address, bytes, bytesMax: metaBytesMax })
}

/** All that is wrong at the time of the last step, in order of kind and then of when it began. */
export function findings(state: State): readonly CoreFinding[] {
  const noted: CoreFinding[] = []
  for (const { detail, since, lastAt, times } of state.health.notes.values()) {
    const { member, what } = detail
    if (stillTrue(state, member, what.kind, lastAt)) {
      noted.push({ member, what, since, lastAt, times })
    }
  }
  return [...noted, ...loopbacks(state)].sort(
    (a, b) => compare(a.what.kind, b.what.kind) || a.since - b.since,
  )
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function lasts(state: State, kind: FindingDetail['kind']): number {
  // Packets are blocked until one arrives: we may not look again for a long time.
  if (kind === 'packetsBlocked') return Infinity
  return kind === 'loopLate' ? stallsToldMs : findingLastsMs(state.timings)
}

function stillTrue(
  state: State,
  member: string,
  kind: FindingDetail['kind'],
  lastAt: number,
): boolean {
  if (state.now - lastAt > lasts(state, kind)) return false
  return kind !== 'packetsBlocked' || lives(state.entries.get(member))
}

function lives(entry: Entry | undefined): boolean {
  return entry?.state === 'alive' || entry?.state === 'suspect'
}

/** Whoever advertises loopback is found by nobody on another machine; and here there is one. */
function loopbacks(state: State): readonly CoreFinding[] {
  let elsewhere: Entry | undefined
  let since = Infinity
  const inside: Entry[] = []
  for (const entry of state.ring) {
    if (!lives(entry)) continue
    if (isLoopback(addressBytes(entry.address.host) ?? nowhere)) {
      if (inside.length < toldMax) inside.push(entry)
      continue
    }
    elsewhere ??= entry
    since = Math.min(since, entry.knownAt)
  }
  if (elsewhere === undefined) return []
  const { address } = elsewhere
  return inside.map((entry) => ({
    member: entry.name,
    what: { kind: 'loopbackAdvertised', address: entry.address, elsewhere: address },
    since: Math.max(since, entry.knownAt),
    lastAt: state.now,
    times: 1,
  }))
}
