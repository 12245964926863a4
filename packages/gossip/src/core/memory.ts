/**
 * What a member remembers over a restart: whom it knew, the clocks, its own incarnation. Decides
 * which lines go into the snapshot file and what lines in one mean; the file is the runtime's.
 */
import type { Address, MemberEvent } from '@kith/interface'
import { sameAddress } from '@kith/interface'
import { formatSnapshotLine } from '../wire/snapshot.ts'
import type { SnapshotLine } from '../wire/snapshot.ts'
import { nameIsFit } from './alive.ts'
import { lamportTimeMax } from './clocks.ts'
import type { Progress, SeenTimes } from './clocks.ts'

/** A member of an earlier time, and where it was. */
export interface Remembered {
  readonly name: string
  readonly address: Address
}

interface Row {
  readonly address: Address
  /** Wall milliseconds since which nobody confirmed it; 0 for a member that is alive now. */
  since: number
}

export interface Memory {
  /** Serf's `alive` lines: members alive now, and those of the last life not heard of since. */
  readonly alive: Map<string, Row>
  /** What Serf forgets: members that failed. */
  readonly failed: Map<string, Row>
  times: SeenTimes
  incarnation: number
  /** After a leave nothing but the clocks is recorded. */
  left: boolean
  /** Lines that could not be read. */
  unreadable: number
  /** Lines that could. */
  readable: number
  readonly membersMax: number
  readonly rejoinAfterLeave: boolean
}

/** Serf's bounds: a file is rewritten when it outgrew them. */
const fileBytesMin = 131_072
const bytesPerMember = 256

export interface MemoryOptions {
  /** Members remembered as alive, and again as failed; more are not recorded. */
  readonly membersMax: number
  /** A leave found in the file does not end what was remembered before it. */
  readonly rejoinAfterLeave: boolean
}

export function createMemory({ membersMax, rejoinAfterLeave }: MemoryOptions): Memory {
  return {
    alive: new Map(),
    failed: new Map(),
    times: { clock: 0n, eventClock: 0n, queryClock: 0n },
    incarnation: 0,
    left: false,
    unreadable: 0,
    readable: 0,
    membersMax,
    rejoinAfterLeave,
  }
}

/** One line of the file of an earlier life, in order; undefined where it could not be read. */
export function recall(memory: Memory, line: SnapshotLine | undefined, wallMs: number): void {
  if (line === undefined || !isFit(line)) {
    memory.unreadable += 1
    return
  }
  memory.readable += 1
  switch (line.kind) {
    case 'alive':
      return remember(memory, memory.alive, line, wallMs)
    case 'failed':
      return remember(memory, memory.failed, line, line.atSeconds * 1000)
    case 'notAlive':
      return forget(memory, line.name)
    case 'clock':
    case 'eventClock':
    case 'queryClock':
      memory.times = { ...memory.times, [line.kind]: line.time }
      return
    case 'incarnation':
      memory.incarnation = Math.max(memory.incarnation, line.incarnation)
      return
    case 'leave':
      // The incarnation stays: whoever left and comes back is to be believed at once.
      if (!memory.rejoinAfterLeave) forgetAll(memory)
      return
    case 'comment':
      return
  }
}

function isFit(line: SnapshotLine): boolean {
  if ('name' in line) return nameIsFit(line.name)
  return !('time' in line) || line.time < lamportTimeMax
}

function remember(
  memory: Memory,
  rows: Map<string, Row>,
  { name, address }: Remembered,
  since: number,
): void {
  forget(memory, name)
  if (rows.size < memory.membersMax) rows.set(name, { address, since })
}

function forget({ alive, failed }: Memory, name: string): void {
  alive.delete(name)
  failed.delete(name)
}

function forgetAll(memory: Memory): void {
  memory.alive.clear()
  memory.failed.clear()
  memory.times = { clock: 0n, eventClock: 0n, queryClock: 0n }
}

/** The lines that a change of a member is worth. */
export function recordMember(memory: Memory, event: MemberEvent, wallMs: number): string {
  if (memory.left) return ''
  const { name, address } = event.member
  if (event.kind === 'update') {
    // An update is news only where the address changed; Serf misses that.
    const known = memory.alive.get(name)
    if (known === undefined || sameAddress(known.address, address)) return ''
  }
  if (event.kind === 'join' || event.kind === 'update') {
    remember(memory, memory.alive, { name, address }, 0)
    return memory.alive.has(name) ? formatSnapshotLine({ kind: 'alive', name, address }) : ''
  }
  const gone = formatSnapshotLine({ kind: 'notAlive', name })
  if (event.kind !== 'fail') {
    const known = memory.alive.has(name) || memory.failed.has(name)
    forget(memory, name)
    return event.kind === 'leave' || known ? gone : ''
  }
  const atSeconds = Math.floor(wallMs / 1000)
  remember(memory, memory.failed, { name, address }, atSeconds * 1000)
  if (!memory.failed.has(name)) return gone
  return gone + formatSnapshotLine({ kind: 'failed', name, address, atSeconds })
}

/** A line for each clock that went on. */
export function recordTimes(memory: Memory, now: SeenTimes): string {
  let lines = ''
  for (const kind of ['clock', 'eventClock', 'queryClock'] as const) {
    const time = now[kind]
    if (time <= memory.times[kind] || time >= lamportTimeMax) continue
    memory.times = { ...memory.times, [kind]: time }
    lines += formatSnapshotLine({ kind, time })
  }
  return lines
}

export function recordIncarnation(memory: Memory, incarnation: number): string {
  if (incarnation <= memory.incarnation) return ''
  memory.incarnation = incarnation
  return formatSnapshotLine({ kind: 'incarnation', incarnation })
}

/** This member leaves on purpose: it shall not come back by itself. */
export function recordLeave(memory: Memory): string {
  if (memory.left) return ''
  memory.left = true
  if (!memory.rejoinAfterLeave) {
    memory.alive.clear()
    memory.failed.clear()
  }
  return formatSnapshotLine({ kind: 'leave' })
}

/** Ends the memory of those whom nobody confirmed for `ageMs`. */
export function recordExpired(memory: Memory, wallMs: number, ageMs: number): string {
  let lines = ''
  for (const rows of [memory.alive, memory.failed]) {
    for (const [name, { since }] of rows) {
      if (since === 0 || wallMs - since <= ageMs) continue
      rows.delete(name)
      lines += formatSnapshotLine({ kind: 'notAlive', name })
    }
  }
  return lines
}

/** The whole file anew, in the order in which it is recalled. */
export function allLines(memory: Memory): string {
  const { alive, failed, times, incarnation, left, rejoinAfterLeave } = memory
  let lines = ''
  for (const [name, { address }] of alive) {
    lines += formatSnapshotLine({ kind: 'alive', name, address })
  }
  for (const [name, { address, since }] of failed) {
    const atSeconds = Math.floor(since / 1000)
    lines += formatSnapshotLine({ kind: 'failed', name, address, atSeconds })
  }
  for (const kind of ['clock', 'eventClock', 'queryClock'] as const) {
    lines += formatSnapshotLine({ kind, time: times[kind] })
  }
  if (incarnation > 0) lines += formatSnapshotLine({ kind: 'incarnation', incarnation })
  // Serf's compaction drops its leave line; ours keeps what it says.
  if (left && !rejoinAfterLeave) lines += formatSnapshotLine({ kind: 'leave' })
  return lines
}

/** What an earlier life came to. */
export function recalledProgress({ times, incarnation }: Memory): Progress {
  return { ...times, incarnation }
}

/** From here on the file is rewritten. */
export function fileBytesMax({ alive, failed }: Memory): number {
  return Math.max(fileBytesMin, (alive.size + failed.size) * bytesPerMember)
}

/** Everyone remembered but `self`: who was alive first, then who failed. */
export function rememberedMembers(memory: Memory, self: string): readonly Remembered[] {
  return [...memory.alive, ...memory.failed]
    .filter(([name]) => name !== self)
    .map(([name, { address }]) => ({ name, address }))
}
