/**
 * A slow walk over every batch that looks for damage nobody asked for yet (LOG-53): a bounded
 * number of bytes a second, in pages of a few milliseconds, resumed where the last one was left.
 */
import type { Chain, OriginId, StoredBatch, StoredBatchRead } from '@kith/interface'
import { scrubDefaults } from '../options.ts'
import { throwIfRefused } from '../store/unreadable.ts'
import { BATCH_RECORDS_MAX, chainAfter } from '../wire/batch.ts'
import type { Corruption } from './corruption.ts'
import { keepPlace, mustRun } from './parts.ts'
import type { LogParts } from './parts.ts'
import { examineBatch } from './reads.ts'

export interface ScrubReport {
  readonly batches: number
  readonly bytes: number
  /** Batches that are damaged, missing, or do not follow the one before. */
  readonly corrupt: number
  /** Where it began: 0, where the last one was left, or at damage known before (LOG-83). */
  readonly from: number
  /** One past the last record looked at. */
  readonly to: number
}

export interface ScrubCounters {
  scrubbedBytes: number
  /** Offset the pass under way has reached; 0 between two. */
  scrubOffset: number
  scrubPasses: number
  scrubCorrupt: number
}

/** The place of a pass under way, 0 after it, kept as a cursor of the log's own. */
export const scrubCursor = 'kith:scrub'

/** One page is read and checked without a pause: about a millisecond. */
const pageBytesMax = 64 * 1024
/** A pass that is cut off begins at most so much earlier again. */
const saveEveryMs = 30_000

interface Pass {
  readonly from: number
  readonly end: number
  offset: number
  batches: number
  bytes: number
  corrupt: number
  /** Where the row before ended is not known. */
  afterDamage: boolean
  /** What the last batch of each origin ended with. */
  readonly ends: Map<OriginId, { readonly next: number; readonly chain: Chain }>
}

interface RunningPass {
  readonly report: Promise<ScrubReport>
  readonly ending: AbortController
}

export class Scrub {
  readonly counters: ScrubCounters = {
    scrubbedBytes: 0,
    scrubOffset: 0,
    scrubPasses: 0,
    scrubCorrupt: 0,
  }
  private readonly parts: LogParts
  private readonly corruption: Corruption
  private cancel: (() => void) | undefined
  private wake: (() => void) | undefined
  private running: RunningPass | undefined
  private savedAt = 0

  constructor(parts: LogParts, corruption: Corruption) {
    this.parts = parts
    this.corruption = corruption
  }

  /**
   * Begins to scrub by itself, where the options say so or damage was known before (LOG-83); that,
   * and what was cut off, goes on at once. The time between two passes is counted over restarts.
   */
  start(): void {
    const { scrub } = this.parts.options
    if (this.corruption.unseen === undefined && scrub === undefined) return
    const { everyMs } = scrub ?? scrubDefaults
    this.next(this.resumeAt() === undefined ? this.dueInMs(everyMs) : 0)
  }

  /** From the end of the last pass, of any life, or from when the log was made. */
  private dueInMs(everyMs: number): number {
    const { cursors, meta } = this.parts.writer.head
    const sinceMs =
      this.parts.clock.wallNow() - (cursors.get(scrubCursor)?.changedAt ?? meta.createdAt)
    // A clock that was set back tells nothing.
    return sinceMs < 0 ? everyMs : Math.max(0, everyMs - sinceMs)
  }

  private next(delayMs: number): void {
    const { scrub } = this.parts.options
    const { bytesPerSecond, everyMs } = scrub ?? scrubDefaults
    this.cancel = this.parts.clock.after(delayMs, () => {
      this.pass(bytesPerSecond, undefined)
        .catch((cause: unknown) => {
          if (this.parts.stopped) return
          this.parts.logger.warn({ err: cause }, 'a scrub failed and is tried again')
        })
        .finally(() => {
          const again = scrub !== undefined || this.corruption.unseen !== undefined
          if (!this.parts.stopped && again) this.next(everyMs)
        })
    })
  }

  /** The place is kept for the next start. */
  stop(): void {
    this.cancel?.()
    this.wake?.()
    if (this.counters.scrubOffset > 0) this.save(this.counters.scrubOffset)
  }

  /** One pass; whoever asks while one is under way gets that one, and may end it for all. */
  async pass(bytesPerSecond: number, signal: AbortSignal | undefined): Promise<ScrubReport> {
    signal?.throwIfAborted()
    this.running ??= this.begin(bytesPerSecond)
    const { report, ending } = this.running
    const end = (): void => {
      ending.abort(signal?.reason)
      this.wake?.()
    }
    signal?.addEventListener('abort', end)
    try {
      return await report
    } finally {
      signal?.removeEventListener('abort', end)
    }
  }

  private begin(bytesPerSecond: number): RunningPass {
    const ending = new AbortController()
    const report = this.walk(bytesPerSecond, ending.signal)
      .finally(() => {
        this.running = undefined
        this.counters.scrubOffset = 0
      })
      .then((done) => {
        const { batches, bytes, corrupt } = done
        this.parts.events.emit('scrubbed', { batches, bytes, corrupt })
        return done
      })
    return { report, ending }
  }

  /** Where the last pass was cut off, or the first damage of which the life before knew. */
  private resumeAt(): number | undefined {
    const { unseen } = this.corruption
    const cutOff = this.cutOffAt()
    return unseen === undefined || cutOff === undefined
      ? (unseen ?? cutOff)
      : Math.min(unseen, cutOff)
  }

  private cutOffAt(): number | undefined {
    const { cursors, meta, nextOffset } = this.parts.writer.head
    const at = cursors.get(scrubCursor)?.next ?? 0
    return at > meta.floor && at < nextOffset ? at : undefined
  }

  private async walk(bytesPerSecond: number, signal: AbortSignal): Promise<ScrubReport> {
    const { parts, counters } = this
    mustRun(parts)
    const { flushed } = parts.writer
    const from = Math.max(this.resumeAt() ?? 0, flushed.meta.floor)
    const pass: Pass = {
      ...{ from, end: flushed.nextOffset, offset: from, batches: 0, bytes: 0, corrupt: 0 },
      // A place that was kept may lie within a batch by now.
      afterDamage: from > flushed.meta.floor,
      ends: new Map(),
    }
    this.savedAt = parts.clock.now()
    while (pass.offset < pass.end) {
      const bytes = this.page(pass)
      counters.scrubbedBytes += bytes
      counters.scrubOffset = pass.offset
      this.sawTo(pass.offset)
      if (parts.clock.now() - this.savedAt >= saveEveryMs) this.save(pass.offset)
      await this.pause((bytes / bytesPerSecond) * 1_000)
      signal.throwIfAborted()
      mustRun(parts)
    }
    // Also of a pass that was short: the next one is due so long after this.
    this.save(0)
    this.corruption.sawTo(undefined)
    counters.scrubPasses += 1
    const { batches, bytes, corrupt, end: to } = pass
    return { batches, bytes, corrupt, from, to }
  }

  /** A pass begins no later than at what is to be looked at again. */
  private sawTo(offset: number): void {
    const { unseen } = this.corruption
    if (unseen !== undefined && offset > unseen) this.corruption.sawTo(offset)
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.parts.clock.after(Math.max(1, ms), resolve)
      this.wake = () => {
        cancel()
        resolve()
      }
    })
  }

  /** Looks at one page and returns its bytes; at least one batch is passed over. */
  private page(pass: Pass): number {
    const before = pass.bytes
    const reads = this.read(pass)
    for (const read of reads) {
      const offset = read.ok ? read.batch.offset : read.offset
      if (offset >= pass.end) break
      this.arriveAt(pass, offset)
      if (read.ok) this.look(pass, read.batch)
      else this.found(pass, offset, read.reason)
      pass.afterDamage = !read.ok
      pass.offset = read.ok ? offset + read.batch.count : offset + 1
    }
    const last = reads.at(-1)
    const beyond = last?.ok === true && last.batch.offset >= pass.end
    if (reads.length === 0 || beyond) {
      this.arriveAt(pass, pass.end)
      pass.offset = pass.end
    }
    return pass.bytes - before
  }

  /** Where a page of the file cannot be read, the first batch behind it that can. */
  private read(pass: Pass): readonly StoredBatchRead[] {
    const { reader } = this.parts.backend
    for (let [at, step] = [pass.offset, 1]; at < pass.end; at += step) {
      try {
        return reader.fromOffset(at, pageBytesMax)
      } catch (cause) {
        throwIfRefused(cause, `the batch at offset ${at}`)
        if (at === pass.offset) this.found(pass, at, reasonOf(cause))
        pass.afterDamage = true
        // No batch has more records than the longest step.
        if (at > pass.offset) step = Math.min(step * 2, BATCH_RECORDS_MAX)
      }
    }
    return []
  }

  /** What lies between two batches is missing, unless retention dropped it or a damaged row did. */
  private arriveAt(pass: Pass, offset: number): void {
    const { floor } = this.parts.writer.head.meta
    const at = Math.max(pass.offset, floor)
    if (offset > at && !pass.afterDamage) this.found(pass, at, 'the batch is missing')
    pass.afterDamage = false
  }

  private look(pass: Pass, batch: StoredBatch): void {
    const { digests } = this.parts
    const { offset, origin, first, count, bytes, previousChain, chain } = batch
    pass.batches += 1
    pass.bytes += bytes.length
    const examined = examineBatch(batch, digests)
    const before = pass.ends.get(origin)
    if (!examined.ok) this.found(pass, offset, examined.problem)
    else if (chainAfter(bytes, previousChain, digests) !== chain) {
      this.found(pass, offset, 'the chain does not follow from its content')
    } else if (before?.next === first && before.chain !== previousChain) {
      this.found(pass, offset, 'the chain does not continue the one before')
    }
    pass.ends.set(origin, { next: first + count, chain })
  }

  private found(pass: Pass, offset: number, reason: string): void {
    pass.corrupt += 1
    this.counters.scrubCorrupt += 1
    this.corruption.suspect(offset, reason)
  }

  /** Only a hint: where it is lost a pass begins anew. */
  private save(next: number): void {
    this.savedAt = this.parts.clock.now()
    keepPlace(this.parts, scrubCursor, next)
  }
}

function reasonOf(cause: unknown): string {
  return `the store cannot read it (${cause instanceof Error ? cause.message : String(cause)})`
}
