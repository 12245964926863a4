/**
 * The one writer of a log: gathers what is asked into transactions, has them carried out in
 * order, and answers once each is committed or flushed. It keeps three positions: `head`
 * (decided), `committed`, and `flushed`; only the last is ever shown (LOG-19).
 */
import { invariant, isKithError } from '@kith/interface'
import type { Clock, Digests, LogCommit, LogStatement } from '@kith/interface'
import { applyChange, copyState } from '../core/state.ts'
import type { LogState } from '../core/state.ts'
import { LogError } from '../errors.ts'
import { batchTimeMin } from '../wire/batch.ts'
import { copyBytes } from '../wire/bytes.ts'
import { fastCommitMs, placeBatches } from './backend.ts'
import type { Backend } from './backend.ts'
import { BufferPool } from './buffers.ts'
import { type DiskStatus, DiskWatch } from './disk-watch.ts'
import { Latency, type LogLatency } from './latency.ts'
import type { BatchReads } from './reads.ts'
import { answerAppends, OpenTransaction, rejectAll } from './transaction.ts'
import type { PendingAppend, SealedTransaction } from './transaction.ts'

export interface WriterLimits {
  readonly queuedBytesMax: number
  readonly producersMax: number
}

export interface WriterHandlers {
  /** After a flush, in order, before the calls behind it are answered. */
  committed(commits: readonly LogCommit[]): void
  /** The store cannot be trusted any more. */
  poisoned(error: LogError): void
}

export interface WriterCounters {
  transactions: number
  flushes: number
  batches: number
  records: number
  bytes: number
  failures: number
}

/** Bytes after which a group is closed and the next one begun. */
const groupBytesMax = 1024 * 1024
/** What is worth a commit beside the one under way; less waits, so that groups stay whole. */
const besideBytes = 256 * 1024
/** From here on many wait for a group. */
const attentiveBytes = 32 * 1024
/** How long a commit without flush may stay unflushed. */
const flushDelayMs = 5

/** Nothing was stored, and the store goes on. */
function failsAlone(code: string): boolean {
  return code === 'ERR_LOG_STATEMENT' || code === 'ERR_LOG_REPAIR'
}

export class LogWriter {
  readonly head: LogState
  readonly committed: LogState
  readonly flushed: LogState
  readonly counters: WriterCounters = {
    transactions: 0,
    flushes: 0,
    batches: 0,
    records: 0,
    bytes: 0,
    failures: 0,
  }
  /** Raised by everything that the flushed position shows. */
  flushedVersion = 0
  private readonly clock: Clock
  private readonly digests: Digests
  private readonly limits: WriterLimits
  private readonly handlers: WriterHandlers
  private backend: Backend | undefined
  private reads: BatchReads | undefined
  private open: OpenTransaction
  private readonly buffers: BufferPool
  private readonly disk: DiskWatch
  private readonly appendTimes = new Latency()
  private readonly flushTimes = new Latency()
  /** When this turn began to append; undefined where it did not. */
  private turnAt: number | undefined
  /** Smoothed time the backend takes for one transaction. */
  private commitMs = 0
  private lastTurnAt = 0
  private readonly sealed: SealedTransaction[] = []
  private readonly underWay: SealedTransaction[] = []
  /** Committed, not flushed, oldest first. */
  private readonly unflushed: SealedTransaction[] = []
  private queuedBytes = 0
  private scheduled = false
  private flushTimer = false
  private fatal: LogError | undefined
  /** How often decisions were taken back, and why the last time. */
  private takenBack = 0
  private takenBackFor: unknown
  private idleWaiters: (() => void)[] = []

  constructor(
    state: LogState,
    parts: {
      readonly clock: Clock
      readonly digests: Digests
      readonly limits: WriterLimits
      readonly handlers: WriterHandlers
    },
  ) {
    this.head = copyState(state)
    this.committed = copyState(state)
    this.flushed = copyState(state)
    this.clock = parts.clock
    this.digests = parts.digests
    this.limits = parts.limits
    this.handlers = parts.handlers
    this.buffers = new BufferPool(parts.clock)
    this.disk = new DiskWatch(parts.clock)
    this.open = new OpenTransaction(this.buffers)
  }

  attach(backend: Backend, reads: BatchReads): void {
    this.backend = backend
    this.reads = reads
  }

  get poisoned(): LogError | undefined {
    return this.fatal
  }

  get diskStatus(): DiskStatus {
    const waits = this.underWay.length > 0 && this.fatal === undefined
    return this.disk.status(waits ? this.clock.now() - this.lastTurnAt : 0)
  }

  latency(): LogLatency {
    return { append: this.appendTimes.histogram(), flush: this.flushTimes.histogram() }
  }

  get queued(): number {
    return this.queuedBytes
  }

  /** Refuses where the store is poisoned or `bytes` more may not wait. */
  admit(bytes: number): void {
    if (this.fatal !== undefined) throw this.fatal
    if (this.queuedBytes + bytes <= this.limits.queuedBytesMax) return
    throw new LogError(
      'ERR_LOG_OVERLOADED',
      `${this.queuedBytes} bytes wait for their commit; the limit queuedBytesMax is ` +
        `${this.limits.queuedBytesMax}`,
      { details: { queuedBytes: this.queuedBytes, bytes } },
    )
  }

  /** The transaction being gathered. What is put into it must be followed by `schedule`. */
  current(bytes: number): OpenTransaction {
    this.open.bytes += bytes
    this.queuedBytes += bytes
    return this.open
  }

  /** Adds an append that was admitted and validated, already packed at `append.place`. */
  enqueue(append: PendingAppend, flush: boolean): void {
    this.open.appends.push(append)
    this.open.begun.push(this.turnBegan())
    if (flush) this.open.flush = true
    this.schedule()
  }

  /** The clock is read once however many append in one turn: what reading it takes adds up. */
  private turnBegan(): number {
    if (this.turnAt !== undefined) return this.turnAt
    queueMicrotask(this.endTurn)
    return (this.turnAt = this.clock.now())
  }

  private readonly endTurn = (): void => {
    this.turnAt = undefined
  }

  /** Resolves when the transaction being gathered is flushed. */
  join(): Promise<void> {
    if (this.fatal !== undefined) return Promise.reject(this.fatal)
    this.open.flush = true
    const joined = new Promise<void>((resolve, reject) => {
      this.open.waiters.push({ resolve, reject })
    })
    this.schedule()
    return joined
  }

  /** Begins to carry out what is gathered, with a flush, where that is worth a transaction. */
  flushSoonest(): void {
    if (this.open.bytes < groupBytesMax || this.fatal !== undefined) return
    this.open.flush = true
    this.schedule()
  }

  /** Resolves when everything decided so far is flushed. */
  settled(): Promise<void> {
    const idle =
      this.open.empty &&
      this.sealed.length === 0 &&
      this.underWay.length === 0 &&
      this.unflushed.length === 0
    return idle ? Promise.resolve() : this.join()
  }

  /**
   * What it returns throws where anything that was decided since was taken back: for who decides
   * over several turns of the event loop, and may have been gathered by a transaction before the
   * one that it joins.
   */
  watch(): () => void {
    const before = this.takenBack
    return () => {
      if (this.takenBack !== before) throw this.takenBackFor
    }
  }

  /**
   * Runs the user's statements, or repairs, in a transaction of their own, behind everything
   * gathered so far.
   */
  runExclusive(
    statements: readonly LogStatement[],
    fill: (transaction: OpenTransaction) => void,
  ): Promise<void> {
    this.sealOpen()
    const transaction = new OpenTransaction(this.buffers, statements)
    transaction.flush = true
    fill(transaction)
    const done = new Promise<void>((resolve, reject) => {
      transaction.waiters.push({ resolve, reject })
    })
    this.sealed.push(this.seal(transaction))
    this.schedule()
    return done
  }

  schedule(): void {
    if (this.open.bytes >= groupBytesMax) this.sealOpen()
    if (this.scheduled || this.backend === undefined) return
    this.scheduled = true
    this.backend.defer(() => {
      this.scheduled = false
      this.pump()
    })
  }

  /** Resolves when nothing is under way any more, whatever became of it. */
  drained(): Promise<void> {
    if (this.sealed.length + this.underWay.length === 0 && this.open.empty) return Promise.resolve()
    return new Promise((resolve) => this.idleWaiters.push(resolve))
  }

  private pump(): void {
    const { backend } = this
    invariant(backend !== undefined, 'a writer is attached before it is asked')
    while (this.underWay.length < backend.depth && this.fatal === undefined) {
      if (this.sealed.length === 0) {
        if (this.underWay.length > 0 && this.open.bytes < besideBytes) break
        this.sealOpen()
      }
      const next = this.sealed.shift()
      if (next === undefined) break
      this.underWay.push(next)
      this.counters.transactions += 1
      if (this.underWay.length === 1) this.lastTurnAt = this.clock.now()
      backend.commit(next.transaction, next.bytes >= attentiveBytes && this.commitMs < fastCommitMs)
    }
    this.checkIdle()
  }

  private sealOpen(): void {
    if (this.open.empty) return
    this.sealed.push(this.seal(this.open))
    this.open = new OpenTransaction(this.buffers)
  }

  private seal(transaction: OpenTransaction): SealedTransaction {
    const now = this.clock.wallNow()
    return transaction.seal(this.head, this.digests, now, this.limits.producersMax)
  }

  /** The backend's answer to the oldest transaction under way. */
  done(buffers: readonly ArrayBuffer[], tookMs: number): void {
    const sealed = this.underWay.shift()
    // An answer to something that was given up after a failure.
    if (sealed === undefined) return
    const now = this.clock.now()
    this.commitMs += (now - this.lastTurnAt - this.commitMs) / 8
    this.lastTurnAt = now
    applyChange(this.committed, sealed.change)
    this.queuedBytes -= sealed.bytes
    this.disk.committed(tookMs, sealed.bytes)
    this.count(sealed, tookMs)
    this.appendTimes.observeSince(sealed.begun, now)
    this.remember(sealed, buffers)
    if (sealed.transaction.flush) this.settleFlushed(sealed)
    else {
      this.unflushed.push(sealed)
      answerAppends(sealed)
      this.flushSoon()
    }
    this.schedule()
  }

  private count({ transaction }: SealedTransaction, tookMs: number): void {
    if (transaction.flush) {
      this.counters.flushes += 1
      this.flushTimes.observe(tookMs)
    }
    this.counters.batches += transaction.batches.length
    for (const { count, length } of transaction.batches) {
      this.counters.records += count
      this.counters.bytes += length
    }
  }

  /**
   * Keeps the batches for readers, or, where nobody reads the end, their memory for the next
   * group.
   */
  private remember({ transaction }: SealedTransaction, buffers: readonly ArrayBuffer[]): void {
    const { batches } = transaction
    let free = this.backend?.keepsBytes === false
    if (this.reads?.wantsNew() === true) {
      const used = batches.reduce((sum, { length }) => sum + length, 0)
      const size = buffers.reduce((sum, { byteLength }) => sum + byteLength, 0)
      // A kept view keeps its whole buffer: where that is mostly empty a copy is smaller.
      const copied = used * 2 < size
      for (const batch of placeBatches(batches, buffers)) {
        const bytes = copied ? copyBytes(batch.bytes) : batch.bytes
        this.reads.remember({ batch: { ...batch, bytes }, timeMin: batchTimeMin(bytes) })
      }
      free &&= copied
    }
    if (free) this.buffers.takeBack(buffers)
  }

  private settleFlushed(sealed: SealedTransaction): void {
    const all = [...this.unflushed.splice(0), sealed]
    for (const { change } of all) applyChange(this.flushed, change)
    this.flushedVersion += 1
    const commits = all.flatMap((one) => one.commits)
    if (commits.length > 0) this.handlers.committed(commits)
    for (const one of all) for (const announce of one.announcements) announce()
    answerAppends(sealed)
    for (const one of all) for (const { resolve } of one.waiters) resolve()
  }

  private flushSoon(): void {
    if (this.flushTimer) return
    this.flushTimer = true
    this.clock.after(flushDelayMs, () => {
      this.flushTimer = false
      if (this.unflushed.length === 0 || this.fatal !== undefined) return
      this.open.flush = true
      this.schedule()
    })
  }

  /** The oldest transaction under way failed. */
  failed(cause: unknown): void {
    const first = this.underWay[0]
    if (first === undefined) return
    this.counters.failures += 1
    const code = isKithError(cause) ? cause.code : ''
    if (first.exclusive && failsAlone(code)) this.failExclusive(first, cause)
    else if (code === 'ERR_LOG_STORE_FULL') {
      this.disk.refused()
      this.giveUp(cause)
    } else this.poison(cause)
    this.schedule()
  }

  private failExclusive(failed: SealedTransaction, cause: unknown): void {
    this.underWay.shift()
    this.queuedBytes -= failed.bytes
    for (const { name } of failed.change.changes.cursors ?? []) {
      const before = this.committed.cursors.get(name)
      if (before === undefined) this.head.cursors.delete(name)
      else this.head.cursors.set(name, before)
    }
    rejectAll(failed, cause)
  }

  /** Nothing of what was decided since the last commit was stored: decide anew from there. */
  private giveUp(cause: unknown): void {
    const abandoned = [...this.underWay.splice(0), ...this.sealed.splice(0), this.open]
    this.open = new OpenTransaction(this.buffers)
    this.queuedBytes = 0
    Object.assign(this.head, copyState(this.committed))
    this.takenBack += 1
    this.takenBackFor = cause
    this.backend?.reset()
    for (const transaction of abandoned) rejectAll(transaction, cause)
  }

  private poison(cause: unknown): void {
    const text = cause instanceof Error ? cause.message : String(cause)
    const error = new LogError(
      'ERR_LOG_POISONED',
      `the store failed and takes nothing more until it is opened again: ${text}`,
      { cause },
    )
    this.end(error)
    this.handlers.poisoned(error)
  }

  /** The store is gone: whoever still waits hears so. What became of it the next start tells. */
  abandon(error: LogError): void {
    const waiting = this.sealed.length + this.underWay.length + this.unflushed.length > 0
    if (this.fatal === undefined && (waiting || !this.open.empty)) this.end(error)
  }

  private end(error: LogError): void {
    this.fatal = error
    this.giveUp(error)
    for (const transaction of this.unflushed.splice(0)) rejectAll(transaction, error)
    this.checkIdle()
  }

  private checkIdle(): void {
    if (this.underWay.length + this.sealed.length > 0 || !this.open.empty) return
    for (const resolve of this.idleWaiters.splice(0)) resolve()
  }
}
