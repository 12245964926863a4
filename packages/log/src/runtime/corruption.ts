/**
 * What is known to be damaged, and its repair (LOG-53, LOG-54). Whoever meets damage says so here;
 * what was there is worked out once, told, and kept until whole batches take its place. The next
 * life begins to look at the lowest such place (LOG-83).
 */
import type { CorruptRun, OriginId, RepairOutcome, StoredBatch } from '@kith/interface'
import { LogError } from '../errors.ts'
import { throwIfRefused } from '../store/unreadable.ts'
import { chainAfter, checkBatch } from '../wire/batch.ts'
import { Locator } from './locate.ts'
import type { Located, LocatedRun } from './locate.ts'
import { keepPlace, mustRun, refuseDamaged, standingTables } from './parts.ts'
import type { LogParts } from './parts.ts'

export interface CorruptionCounters {
  /** Runs of damaged batches that are known and not repaired. */
  corruptRuns: number
  repairedBatches: number
  refusedRepairs: number
}

/** Runs and places kept at most; the rest is found again by the next scrub. */
const knownMax = 1_024

/** One past the lowest place that is damaged, or may be, kept as a cursor of the log's own. */
const damageCursor = 'kith:damage'

export class Corruption {
  readonly counters: CorruptionCounters = {
    corruptRuns: 0,
    repairedBatches: 0,
    refusedRepairs: 0,
  }
  private readonly parts: LogParts
  private readonly runs = new Map<string, CorruptRun>()
  /** Places of which nothing tells what was there. */
  private readonly lost = new Set<number>()
  /** Places to look at. */
  private readonly suspects = new Map<number, string>()
  /** Repaired before in this life: damaged again, it is the file itself that cannot be trusted. */
  private readonly repairedAt = new Set<number>()

  /** From here on the life before knew of damage, and this one did not look yet. */
  private unseenFrom: number | undefined

  constructor(parts: LogParts) {
    this.parts = parts
    const { meta, cursors, nextOffset } = parts.writer.head
    const place = (cursors.get(damageCursor)?.next ?? 0) - 1
    if (place >= meta.floor && place < nextOffset) {
      this.unseenFrom = place
      this.suspect(place, 'it was damaged when the log was last open')
    }
    parts.reads.listen((offset, reason) => this.suspect(offset, reason))
    parts.events.on('retained', ({ floor }) => this.forgetBelow(floor))
  }

  /** Where to begin to look for what the life before knew of; undefined where it knew of none. */
  get unseen(): number | undefined {
    return this.unseenFrom
  }

  /** Whoever looks has come so far; undefined at the end. */
  sawTo(offset: number | undefined): void {
    this.unseenFrom = offset
    if (offset === undefined) this.keep()
  }

  /** Written down before anything is, by which a later life would begin behind it. */
  private keep(): void {
    const places = [...this.suspects.keys(), ...this.lost]
    for (const { offset } of this.runs.values()) places.push(offset)
    if (this.unseenFrom !== undefined) places.push(this.unseenFrom)
    const next = places.length === 0 ? 0 : Math.min(...places) + 1
    const kept = this.parts.writer.head.cursors.get(damageCursor)?.next ?? 0
    if (next !== kept) keepPlace(this.parts, damageCursor, next)
  }

  /** What retention dropped is damaged no more; of a run it may have dropped a part. */
  private forgetBelow(floor: number): void {
    const { origins } = this.parts.writer.flushed
    for (const run of this.list()) {
      if (run.to <= (origins.get(run.origin)?.floor ?? 1)) this.forget(run)
    }
    for (const places of [this.lost, this.repairedAt]) {
      for (const offset of places) if (offset < floor) places.delete(offset)
    }
    this.keep()
  }

  list(): readonly CorruptRun[] {
    return [...this.runs.values()].sort((one, other) => one.offset - other.offset)
  }

  /** Looked at soon, but not within the call of who met it. */
  suspect(offset: number, reason: string): void {
    if (this.suspects.size >= knownMax || this.runs.size >= knownMax) return
    if (this.suspects.has(offset) || this.lost.has(offset)) return
    this.suspects.set(offset, reason)
    this.keep()
    if (this.suspects.size === 1) setImmediate(() => this.look())
  }

  private look(): void {
    const { parts } = this
    for (const [offset, reason] of [...this.suspects]) {
      this.suspects.delete(offset)
      if (parts.stopped) continue
      const located = this.locateIfReadable(offset, reason)
      // What could not be looked at is found again by the next scrub.
      if (located === undefined) continue
      if (located === 'lost') this.giveUp(offset, reason)
      else if (located !== 'whole') this.note(located.run)
    }
    this.keep()
  }

  private giveUp(offset: number, reason: string): void {
    if (this.lost.size >= knownMax) return
    this.lost.add(offset)
    const damage = [{ table: 'batch', key: String(offset), reason } as const]
    this.parts.events.emit('damage', { damage })
  }

  private note(run: CorruptRun): void {
    const key = keyOf(run.origin, run.from)
    if (this.runs.get(key)?.to === run.to) return
    this.runs.set(key, run)
    this.counters.corruptRuns = this.runs.size
    this.parts.events.emit('corrupt', run)
  }

  private locateIfReadable(offset: number, reason: string): Located | undefined {
    try {
      return this.locate(offset, reason)
    } catch {
      return undefined
    }
  }

  /** Throws `ERR_LOG_IO` where it could not look. */
  private locate(offset: number, reason: string): Located {
    const { backend, writer, digests } = this.parts
    try {
      return new Locator(backend.reader, writer.flushed, digests).locate(offset, reason)
    } catch (cause) {
      throwIfRefused(cause, `the batch at offset ${offset}`)
      return 'lost'
    }
  }

  async repair(run: CorruptRun, bytes: readonly Uint8Array[]): Promise<RepairOutcome> {
    const { parts } = this
    mustRun(parts)
    refuseDamaged(parts, standingTables)
    parts.writer.admit(0)
    const located = this.locate(run.offset, run.reason)
    if (located === 'lost') throw this.inPlace(run, 'nothing tells what was there')
    if (located === 'whole' || located.run.from !== run.from) {
      this.forget(run)
      // It has grown at its beginning: that is another run, which is told.
      if (located !== 'whole') this.note(located.run)
      return 'healed'
    }
    const batches = this.batchesFor(located, bytes)
    if (batches === undefined) {
      this.counters.refusedRepairs += 1
      return 'refused'
    }
    if (batches.some(({ offset }) => this.repairedAt.has(offset))) {
      throw this.inPlace(run, 'it was repaired before, so that the file itself is damaged')
    }
    await parts.writer.runExclusive([], (transaction) => transaction.repairs.push(...batches))
    for (const { offset } of batches) this.repairedAt.add(offset)
    this.counters.repairedBatches += batches.length
    this.forget(run)
    parts.events.emit('repaired', located.run)
    return 'repaired'
  }

  private inPlace({ origin, from, offset }: CorruptRun, why: string): LogError {
    const text = `the batch at offset ${offset} cannot be repaired in place: ${why}`
    return new LogError('ERR_LOG_REPAIR', text, { details: { offset, origin, first: from } })
  }

  private forget({ origin, from }: CorruptRun): void {
    this.runs.delete(keyOf(origin, from))
    this.counters.corruptRuns = this.runs.size
    this.keep()
  }

  /** The batches at their places, where the chain on both sides says that they were there. */
  private batchesFor(
    { run, batches: places, before, after }: LocatedRun,
    given: readonly Uint8Array[],
  ): readonly StoredBatch[] | undefined {
    if (before === undefined || after === undefined || given.length !== places.length) {
      return undefined
    }
    const { digests } = this.parts
    const batches: StoredBatch[] = []
    let next = run.from
    let chain = before
    for (const [index, bytes] of given.entries()) {
      const checked = checkBatch(bytes, digests)
      const place = places[index]
      if (!checked.ok || place === undefined) return undefined
      const { origin, first, count } = checked.header
      if (origin !== run.origin || first !== next || place.first !== first) return undefined
      const following = chainAfter(bytes, chain, digests)
      if (following === undefined) return undefined
      const { offset } = place
      const storedAt = this.leastStoredAt(offset)
      batches.push({
        ...{ offset, origin, first, count, storedAt, previousChain: chain, chain: following },
        bytes: Uint8Array.from(bytes),
      })
      next = first + count
      chain = following
    }
    return next === run.to && chain === after ? batches : undefined
  }

  /** Times of storing do not run backwards: it was stored no earlier than what lies before it. */
  private leastStoredAt(offset: number): number {
    const read = offset > 0 ? this.parts.backend.reader.atOffset(offset - 1) : undefined
    return read?.ok === true ? read.batch.storedAt : 0
  }
}

function keyOf(origin: OriginId, from: number): string {
  return `${origin}:${from}`
}
