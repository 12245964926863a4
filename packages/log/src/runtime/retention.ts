/**
 * Retention (LOG-42, LOG-43): drops what its policy lets go, in small transactions, so that appends
 * pass between them; by itself every `checkMs`, or when `retain` is called.
 */
import type { OriginId, StoredBatch } from '@kith/interface'
import { byOrigin, dropFromOrigin, judgeOldest } from '../core/retain.ts'
import type { RetentionPolicy } from '../core/retain.ts'
import { removeHole, storedFromOf, storedFromRow } from '../core/state.ts'
import { refuseDamaged, mustRun, setOrigin, standingTables } from './parts.ts'
import type { LogParts } from './parts.ts'

export interface RetainReport {
  readonly batches: number
  readonly records: number
  readonly bytes: number
  /** Offset of the first record held now. */
  readonly floor: number
  /** Batches dropped although too few other logs had acknowledged them. */
  readonly forced: number
  /**
   * What kept it from dropping all that its bounds let go: too few acknowledgements, or a damaged
   * row, of which nobody knows what it held.
   */
  readonly heldBy: 'replicas' | 'damage' | undefined
}

export interface RetentionCounters {
  droppedBatches: number
  droppedRecords: number
  droppedBytes: number
  forcedBatches: number
  /** 1 while the last pass was kept from dropping what its bounds let go. */
  retentionHeld: number
}

/** A transaction of retention reads and drops at most so much. */
const stepBytesMax = 512 * 1024
const stepBatchesMax = 512

interface Step {
  readonly batches: readonly StoredBatch[]
  readonly forced: number
  readonly end: 'more' | 'kept' | 'replicas' | 'damage'
}

export class Retention {
  readonly counters: RetentionCounters = {
    droppedBatches: 0,
    droppedRecords: 0,
    droppedBytes: 0,
    forcedBatches: 0,
    retentionHeld: 0,
  }
  private readonly parts: LogParts
  /** The pass under way: one follows the other. */
  private turn: Promise<unknown> = Promise.resolve()
  private cancel: (() => void) | undefined

  constructor(parts: LogParts) {
    this.parts = parts
  }

  /** Begins to retain by itself, where the options say so. */
  start(): void {
    const { retention } = this.parts.options
    if (retention === undefined) return
    this.cancel = this.parts.clock.after(retention.checkMs, () => {
      this.retain(retention)
        .catch((cause: unknown) => {
          if (this.parts.stopped) return
          this.parts.logger.warn({ err: cause }, 'retention failed and is tried again')
        })
        .finally(() => {
          if (!this.parts.stopped) this.start()
        })
    })
  }

  stop(): void {
    this.cancel?.()
  }

  retain(policy: RetentionPolicy): Promise<RetainReport> {
    const pass = this.turn.then(() => this.pass(policy))
    this.turn = pass.catch(() => {})
    return pass
  }

  private async pass(policy: RetentionPolicy): Promise<RetainReport> {
    const { parts } = this
    const total = { batches: 0, records: 0, bytes: 0, forced: 0 }
    for (;;) {
      mustRun(parts)
      refuseDamaged(parts, standingTables)
      parts.writer.admit(0)
      const step = plan(parts, policy)
      if (step.batches.length > 0) await this.drop(step, policy)
      total.batches += step.batches.length
      total.records += sum(step.batches, ({ count }) => count)
      total.bytes += sum(step.batches, ({ bytes }) => bytes.length)
      total.forced += step.forced
      if (step.end === 'more') continue
      const heldBy = step.end === 'kept' ? undefined : step.end
      this.counters.retentionHeld = heldBy === undefined ? 0 : 1
      return { ...total, floor: parts.writer.flushed.meta.floor, heldBy }
    }
  }

  private async drop({ batches, forced }: Step, policy: RetentionPolicy): Promise<void> {
    const { parts, counters } = this
    const { head, flushed } = parts.writer
    const last = batches.at(-1)
    const floor = last === undefined ? head.meta.floor : last.offset + last.count
    const transaction = parts.writer.current(0)
    let noted = false
    for (const [origin, own] of byOrigin(batches)) {
      const row = head.origins.get(origin)
      if (row === undefined) continue
      const dropped = dropFromOrigin(row, own, flushed.holes.get(origin) ?? [])
      const stored = storedFromOf(head, row)
      setOrigin(parts, dropped.row)
      transaction.holesRemoved.push(...dropped.holesRemoved)
      for (const { from } of dropped.holesRemoved) removeHole(head, origin, from)
      // What is dropped was stored all the same, which the row alone may say no more (ADR 30).
      if (storedFromOf(head, dropped.row) !== stored) {
        head.storedFrom.set(origin, stored)
        noted = true
      }
    }
    if (noted) {
      const now = parts.clock.wallNow()
      transaction.replicas.push(storedFromRow(head.meta.logId, head.storedFrom, now))
    }
    // From here on nothing below is read any more, so that no reader meets what is half gone.
    head.meta = { ...head.meta, floor }
    transaction.meta = true
    transaction.dropBelow = floor
    const records = sum(batches, ({ count }) => count)
    const bytes = sum(batches, (batch) => batch.bytes.length)
    const gone = { floor, batches: batches.length, records, bytes }
    transaction.announcements.push(() => {
      parts.reads.forget(floor)
      counters.droppedBatches += gone.batches
      counters.droppedRecords += records
      counters.droppedBytes += bytes
      counters.forcedBatches += forced
      parts.events.emit('retained', gone)
      const { minReplicas = 0 } = policy
      if (forced > 0) parts.events.emit('retentionForced', { floor, batches: forced, minReplicas })
    })
    await parts.writer.join()
  }
}

/** What the next transaction drops; a page of the oldest batches is looked at. */
function plan(parts: LogParts, policy: RetentionPolicy): Step {
  const { head, flushed } = parts.writer
  const held = {
    bytes: sum([...head.origins.values()], ({ bytes }) => bytes),
    records: head.nextOffset - head.meta.floor,
  }
  const batches: StoredBatch[] = []
  const now = parts.clock.wallNow()
  let offset = head.meta.floor
  let forced = 0
  const step = (end: Step['end']): Step => ({ batches, forced, end })
  if (offset >= flushed.nextOffset) return step('kept')
  for (const read of parts.reads.oldest(offset, stepBytesMax)) {
    if (batches.length >= stepBatchesMax) return step('more')
    if (!read.ok || read.batch.offset !== offset) return step('damage')
    const { batch } = read
    const { origin, first, count } = batch
    // What is not flushed is nobody's yet.
    if (offset + count > flushed.nextOffset) return step('kept')
    const verdict = judgeOldest(policy, held, batch, () => replicasOf(parts, batch), now)
    if (verdict === 'keep') return step('kept')
    if (verdict === 'held') return step('replicas')
    if (expectedFirst(parts, batches, origin) !== first) return step('damage')
    if (verdict === 'force') forced += 1
    batches.push(batch)
    offset += count
    held.bytes -= batch.bytes.length
    held.records -= count
  }
  return step(batches.length > 0 ? 'more' : 'damage')
}

/**
 * How many other logs acknowledged the whole batch; what nobody may serve, nobody can acknowledge.
 */
function replicasOf(parts: LogParts, { origin, first, count }: StoredBatch): number {
  const { status } = parts.writer.head.origins.get(origin) ?? {}
  if (status === 'quarantined') return Infinity
  return parts.replicas.ackedBy(origin, { from: first, next: first + count })
}

/** Where the oldest batch of an origin begins, once those of it in `dropped` are gone. */
function expectedFirst(parts: LogParts, dropped: readonly StoredBatch[], origin: OriginId): number {
  const { head, flushed } = parts.writer
  const last = dropped.findLast((batch) => batch.origin === origin)
  let first = last === undefined ? (head.origins.get(origin)?.floor ?? 1) : last.first + last.count
  for (const hole of flushed.holes.get(origin) ?? []) if (hole.from === first) first = hole.to
  return first
}

function sum<Item>(items: readonly Item[], amount: (item: Item) => number): number {
  return items.reduce((total, item) => total + amount(item), 0)
}
