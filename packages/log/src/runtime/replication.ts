/**
 * What replication does to a log: apply, declare lost, quarantine, retire, rotate (LOG-9 to LOG-13,
 * LOG-15, LOG-70).
 */
import { setImmediate as turnOfLoop } from 'node:timers/promises'
import type {
  ApplyOutcome,
  ApplyReport,
  Chain,
  OriginId,
  StoredBatch,
  StoredOrigin,
} from '@kith/interface'
import { checkForeign, decideApply } from '../core/apply.ts'
import { addHole, newOrigin } from '../core/state.ts'
import type { LogState } from '../core/state.ts'
import { LogError } from '../errors.ts'
import { isIoError } from '../store/unreadable.ts'
import type { BatchHeader } from '../wire/batch.ts'
import { mustRun, standingTables, refuseDamaged, rotateOrigin, setOrigin } from './parts.ts'
import type { LogParts } from './parts.ts'

type Members = ReadonlyMap<OriginId, string> | undefined

/**
 * Bytes that are looked at in one turn of the event loop: two or three milliseconds. They make one
 * transaction, which is carried out while the next ones are looked at.
 */
const turnBytes = 1024 * 1024

export async function applyBatches(
  parts: LogParts,
  batches: readonly Uint8Array[],
  members: Members,
): Promise<ApplyReport> {
  mayWrite(parts)
  const { writer } = parts
  writer.admit(bytesOf(batches))
  const mustStand = writer.watch()
  const outcomes: ApplyOutcome[] = []
  let records = 0
  let bytes = 0
  let duplicateBytes = 0
  try {
    for (const [turn, own] of turnsOf(batches).entries()) {
      if (turn > 0) {
        writer.flushSoonest()
        await turnOfLoop()
        mayWrite(parts)
        mustStand()
      }
      writer.current(0).reserveForeign(bytesOf(own))
      for (const batch of own) {
        const { outcome, count } = applyOne(parts, batch, members)
        outcomes.push(outcome)
        if (outcome === 'applied') {
          records += count
          bytes += batch.length
        }
        if (outcome === 'duplicate') duplicateBytes += batch.length
      }
    }
  } finally {
    // Also what came before one that could not be compared with what is held.
    await writer.settled()
  }
  mustStand()
  return { outcomes, records, bytes, duplicateBytes }
}

function bytesOf(batches: readonly Uint8Array[]): number {
  return batches.reduce((sum, batch) => sum + batch.length, 0)
}

/** What is looked at in each turn: about `turnBytes`, and at least one batch. */
function turnsOf(batches: readonly Uint8Array[]): readonly (readonly Uint8Array[])[] {
  const turns: Uint8Array[][] = []
  let left = 0
  for (const batch of batches) {
    if (left <= 0) {
      turns.push([])
      left = turnBytes
    }
    turns.at(-1)?.push(batch)
    left -= batch.length
  }
  return turns
}

function applyOne(
  parts: LogParts,
  bytes: Uint8Array,
  members: Members,
): { readonly outcome: ApplyOutcome; readonly count: number } {
  const checked = checkForeign(bytes, parts.digests)
  if (checked.outcome !== 'checked') {
    if (checked.outcome === 'unsupported') {
      parts.events.emit('unsupported', { why: `a batch has an unknown ${checked.why}` })
    }
    return { outcome: checked.outcome, count: 0 }
  }
  const { header } = checked
  const entry = entryFor(parts, header, bytes, members)
  const decision = decideApply(entry, header, bytes, parts.digests, (first) =>
    heldBatch(parts, header.origin, first),
  )
  if (decision.outcome === 'fork') quarantineOrigin(parts, entry, decision.why)
  if (decision.outcome === 'applied') {
    setOrigin(parts, revived(parts, decision.entry, entry.next))
    const { origin, first, count } = header
    const chains = { previousChain: entry.chain, chain: decision.entry.chain }
    parts.writer.current(bytes.length).addForeign(bytes, { origin, first, count, ...chains })
  }
  return { outcome: decision.outcome, count: header.count }
}

/**
 * The origin a batch belongs to. A batch of our own origin that we do not hold means that our
 * past was lost: that origin is given up before the batch is looked at.
 */
function entryFor(
  parts: LogParts,
  header: BatchHeader,
  bytes: Uint8Array,
  members: Members,
): StoredOrigin {
  const { writer, clock, digests } = parts
  const { head, flushed } = writer
  const { origin } = header
  const member = members?.get(origin) ?? ''
  if (origin === head.meta.origin) {
    const end = header.first + header.count
    const known = end <= (flushed.origins.get(origin)?.next ?? 1)
    const held = known ? heldBatch(parts, origin, header.first) : undefined
    const ours = held !== undefined && held.bytes.length === bytes.length
    // What retention dropped was ours, and cannot be compared any more.
    const dropped = known && header.first < (head.origins.get(origin)?.floor ?? 1)
    if (!ours && !dropped && head.meta.rotationOwed === '') {
      rotateOrigin(parts, 'a member holds more of our history than our disk')
    }
  }
  const entry = head.origins.get(origin)
  if (entry === undefined) return newOrigin(origin, member, clock.wallNow(), digests)
  return entry.member === '' && member !== '' ? { ...entry, member } : entry
}

/** The stored batch that begins at `first`, where it is whole; throws where it cannot be read. */
function heldBatch(parts: LogParts, origin: OriginId, first: number): StoredBatch | undefined {
  try {
    const row = parts.reads.atSequence(origin, first)
    return row?.batch.first === first ? row.batch : undefined
  } catch (cause) {
    if (isIoError(cause)) throw cause
    // A damaged row proves nothing about the other member's history.
    return undefined
  }
}

function quarantineOrigin(parts: LogParts, entry: StoredOrigin, why: string): void {
  const { origin, status } = entry
  const stopped = status === 'quarantined'
  if (stopped && entry.why === why) return
  const changedAt = stopped ? entry.changedAt : parts.clock.wallNow()
  setOrigin(parts, { ...entry, status: 'quarantined', why, changedAt })
  // What is decided must reach the disk even where the caller waits for nothing else.
  parts.writer.current(0).flush = true
  if (stopped) return
  parts.writer.current(0).announcements.push(() => parts.events.emit('quarantine', { origin, why }))
}

/** What is decided so far; throws where nothing may be written now, or `origin` is none. */
function headFor(parts: LogParts, origin: OriginId): LogState {
  mayWrite(parts)
  parts.writer.admit(0)
  checkOrigin(origin)
  return parts.writer.head
}

export async function quarantine(parts: LogParts, origin: OriginId, why: string): Promise<void> {
  const head = headFor(parts, origin)
  if (origin === head.meta.origin && head.meta.rotationOwed === '') {
    rotateOrigin(parts, `our own history was disputed: ${why}`)
  }
  const now = parts.clock.wallNow()
  const entry = head.origins.get(origin) ?? newOrigin(origin, '', now, parts.digests)
  quarantineOrigin(parts, entry, why)
  await parts.writer.settled()
}

/** More is known of an origin that was said to have ended at `from`: it has not. */
function revived(parts: LogParts, entry: StoredOrigin, from: number): StoredOrigin {
  if (entry.status !== 'retired') return entry
  const { origin, member } = entry
  parts.writer
    .current(0)
    .announcements.push(() => parts.events.emit('revive', { origin, member, next: from }))
  return { ...entry, status: 'live', why: '', changedAt: parts.clock.wallNow() }
}

export async function retire(
  parts: LogParts,
  origin: OriginId,
  next: number,
  why: string,
): Promise<void> {
  const head = headFor(parts, origin)
  const entry = head.origins.get(origin)
  const problem = retireProblem(entry, head.meta.origin, next)
  if (entry === undefined || problem !== undefined) {
    const details = { origin, next: entry?.next, asked: next }
    throw new LogError('ERR_LOG_RETIRE', `${origin} cannot be retired: ${problem}`, { details })
  }
  if (entry.status !== 'retired') {
    setOrigin(parts, { ...entry, status: 'retired', why, changedAt: parts.clock.wallNow() })
    const { member } = entry
    const transaction = parts.writer.current(0)
    transaction.flush = true
    transaction.announcements.push(() => parts.events.emit('retire', { origin, member, next, why }))
  }
  await parts.writer.join()
}

function retireProblem(
  entry: StoredOrigin | undefined,
  own: OriginId,
  next: number,
): string | undefined {
  if (entry === undefined) return 'this log knows no such origin'
  if (entry.origin === own) return 'this log appends under it'
  if (entry.status === 'quarantined') return 'it is quarantined'
  return entry.next === next ? undefined : `it ends at ${entry.next}, not at ${next}`
}

export async function recordGap(
  parts: LogParts,
  origin: OriginId,
  resume: number,
  chainBefore: Chain,
  why: string,
): Promise<void> {
  const head = headFor(parts, origin)
  const now = parts.clock.wallNow()
  const entry = head.origins.get(origin) ?? newOrigin(origin, '', now, parts.digests)
  const problem = gapProblem(entry, head.meta.origin, resume, chainBefore)
  if (problem !== undefined) {
    throw new LogError('ERR_LOG_GAP', `no gap of ${origin} up to ${resume}: ${problem}`, {
      details: { origin, next: entry.next, resume },
    })
  }
  const from = entry.next
  // A log that held what came before, and dropped it, loses what does not come.
  const nothingHeld = entry.records === 0 && !head.holes.has(origin)
  const floor = nothingHeld ? resume : entry.floor
  const past = { ...entry, floor, next: resume, chain: chainBefore }
  setOrigin(parts, revived(parts, past, from))
  const transaction = parts.writer.current(0)
  if (!nothingHeld) {
    const hole = { origin, from, to: resume, chain: chainBefore, why, at: now }
    addHole(head, hole)
    transaction.holes.push(hole)
  }
  transaction.announcements.push(() => parts.events.emit('gap', { origin, from, to: resume, why }))
  await parts.writer.join()
}

function gapProblem(
  entry: StoredOrigin,
  own: OriginId,
  resume: number,
  chainBefore: Chain,
): string | undefined {
  if (entry.origin === own) return 'a log has no gaps in what it wrote itself'
  if (entry.status === 'quarantined') return 'it is quarantined'
  if (!Number.isInteger(resume) || resume <= entry.next || resume >= 2 ** 48) {
    return `it must end past ${entry.next}`
  }
  return /^[0-9a-f]{64}$/.test(chainBefore) ? undefined : 'the chain must be 64 hex digits'
}

export async function rotate(parts: LogParts, why: string): Promise<OriginId> {
  mayWrite(parts)
  parts.writer.admit(0)
  const { head, flushed } = parts.writer
  // Whoever asks was shown what is flushed: a rotation that is not yet is the one asked for.
  const underWay = head.meta.origin !== flushed.meta.origin
  const origin = underWay ? head.meta.origin : rotateOrigin(parts, why)
  await parts.writer.join()
  if (origin !== undefined) return origin
  throw new LogError(
    'ERR_LOG_ROTATION_RATE',
    `a new origin is due (${why}) within an hour of the last; appends are refused until then`,
    { details: { why, rotatedAt: parts.writer.head.meta.rotatedAt } },
  )
}

function mayWrite(parts: LogParts): void {
  mustRun(parts)
  refuseDamaged(parts, standingTables)
}

function checkOrigin(origin: OriginId): void {
  if (/^[0-9a-f]{32}$/.test(origin)) return
  throw new LogError('ERR_LOG_OPTIONS', `origin must be 32 hex digits, got ${origin.slice(0, 80)}`)
}
