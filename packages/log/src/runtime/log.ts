/**
 * The log itself: assembles its parts, opens and closes them in order, and is their public face.
 */
import { createEmitter, describeProblems, isForgotten, silentLogger } from '@kith/interface'
import type {
  AppendOptions,
  AppendRecord,
  AppendResult,
  CorruptRun,
  LogCommit,
  LogId,
  LogRecord,
  OriginId,
  OriginState,
  RepairOutcome,
} from '@kith/interface'
import { nodeDigests, systemClock } from '@kith/interface/node'
import { stepGate } from '../core/gate.ts'
import type { GateInput } from '../core/gate.ts'
import { rangesOf } from '../core/ranges.ts'
import { vectorOf } from '../core/state.ts'
import { LogError } from '../errors.ts'
import type { RetentionPolicy } from '../core/retain.ts'
import { policyProblems, resolveOptions, scrubDefaults, scrubProblems } from '../options.ts'
import type { LogOptions, ResolvedOptions } from '../options.ts'
import { createAppender } from './appends.ts'
import type { Appender } from './appends.ts'
import { backupLog } from './backup.ts'
import type { BackupManifest, BackupOptions } from './backup.ts'
import { createCursorKeeper } from './cursors.ts'
import type { CursorKeeper, LogCursor } from './cursors.ts'
import { mustRun, rotateOrigin } from './parts.ts'
import type { LogEvents, LogParts } from './parts.ts'
import {
  batchBounds,
  chainAt,
  fetchBatch,
  readBatches,
  readRecords,
  tailRecords,
} from './queries.ts'
import type { ReadOptions, ReadResult, TailOptions } from './queries.ts'
import { Corruption } from './corruption.ts'
import type { Log, LogStatus, ScrubCall } from './face.ts'
import type { StoreFigures } from './figures.ts'
import { ReadOnlyLog } from './read-only.ts'
import { applyBatches, quarantine, recordGap, retire, rotate } from './replication.ts'
import { Retention } from './retention.ts'
import type { RetainReport } from './retention.ts'
import { Scrub } from './scrub.ts'
import type { ScrubReport } from './scrub.ts'
import { startParts } from './start.ts'
import { verifyStore } from './verify.ts'
import type { VerifyOptions, VerifyReport } from './verify.ts'

/** How long acknowledgements of other logs may wait to be written down. */
const replicaWriteDelayMs = 5_000

/** How long a stop waits for a disk that does not answer. */
const stopMsMax = 10_000

/** Resolves when `work` is done, or after `ms`; the work itself reports its failures. */
function within({ clock }: LogParts, ms: number, work: () => Promise<void>): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(ms, resolve)
    void work().finally(() => {
      cancel()
      resolve()
    })
  })
}

class RunningLog implements Log {
  private readonly options: ResolvedOptions
  private readonly given: LogOptions
  private readonly events
  private readonly dirtyReplicas = new Set<LogId>()
  private state: 'new' | 'starting' | 'running' | 'stopped' = 'new'
  private opening: Promise<void> | undefined
  private started: LogParts | undefined
  private appender: Appender | undefined
  private cursors: CursorKeeper | undefined
  private retention: Retention | undefined
  private corruption: Corruption | undefined
  private scrubber: Scrub | undefined
  private stopping: Promise<void> | undefined
  private backups: Promise<unknown> = Promise.resolve()
  /** When the one under way began. */
  private backupBegan: number | undefined
  private replicaTimer: (() => void) | undefined
  private gateTimer: (() => void) | undefined
  /** Origins that were appended to since the start. */
  private readonly written = new Set<OriginId>()
  private rotating = false
  /** A member was heard from while the origin was being replaced. */
  private heardMeanwhile = false
  private vectorCache:
    | { readonly version: number; readonly vector: readonly OriginState[] }
    | undefined

  constructor(given: LogOptions, options: ResolvedOptions) {
    this.given = given
    this.options = options
    const logger = given.logger ?? silentLogger
    this.events = createEmitter<LogEvents>((cause) => {
      logger.error({ err: cause }, 'a listener of the log failed')
    })
  }

  async start(signal?: AbortSignal): Promise<void> {
    if (this.state !== 'new') {
      throw new LogError('ERR_LOG_CLOSED', 'a log starts once; make another one')
    }
    signal?.throwIfAborted()
    this.state = 'starting'
    this.opening = this.open()
    await this.opening
    if (signal?.aborted !== true) return
    await this.stop()
    throw signal.reason
  }

  private async open(): Promise<void> {
    const { clock = systemClock, digests = nodeDigests, logger = silentLogger, random } = this.given
    try {
      const parts = await startParts(this.options, {
        clock,
        digests,
        logger,
        random,
        events: this.events,
        committed: (commits) => this.announce(commits),
      })
      this.started = parts
      this.appender = createAppender(parts)
      this.cursors = createCursorKeeper(parts)
      this.retention = new Retention(parts)
      this.corruption = new Corruption(parts)
      this.scrubber = new Scrub(parts, this.corruption)
      this.state = 'running'
      this.armGate(parts)
      this.retention.start()
      this.scrubber.start()
      if (parts.damage.length > 0) this.events.emit('damage', { damage: parts.damage })
    } catch (cause) {
      this.state = 'stopped'
      throw cause
    }
  }

  private announce(commits: readonly LogCommit[]): void {
    for (const commit of commits) {
      if (commit.local) this.written.add(commit.origin)
      this.events.emit('commit', commit)
    }
    for (const wake of [...(this.started?.wakers ?? [])]) wake()
  }

  private armGate(parts: LogParts): void {
    if (parts.gate.kind !== 'waiting') return
    const delay = parts.gate.deadline - parts.clock.now()
    this.gateTimer = parts.clock.after(delay, () => this.moveGate({ kind: 'deadline' }))
  }

  private moveGate(input: GateInput): void {
    const { parts } = this
    if (parts.gate.kind !== 'waiting') return
    if (this.rotating) {
      this.heardMeanwhile ||= input.kind === 'open'
      return
    }
    const step = stepGate(parts.gate, input, parts.clock.now())
    this.gateTimer?.()
    if (step.state.kind === 'waiting') return this.armGate(parts)
    const { writer, damage } = parts
    if (step.rotate && writer.poisoned === undefined && damage.length === 0) {
      this.rotateBehindGate(parts)
    } else this.passGate(parts, false)
  }

  private passGate(parts: LogParts, rotated: boolean): void {
    parts.gate = { kind: 'open' }
    this.events.emit('gate', { rotated })
  }

  /** The gate stays shut until the new origin is stored: appends would go on under the old one. */
  private rotateBehindGate(parts: LogParts): void {
    const rotated = rotateOrigin(parts, 'no member could be asked after an unclean stop')
    const settled = (stored: boolean): void => {
      this.rotating = false
      if (parts.stopped) return
      // A poisoned log refuses appends by itself, and says why.
      if (stored || parts.writer.poisoned !== undefined) {
        return this.passGate(parts, stored && rotated !== undefined)
      }
      // There was no room for it: once more, unless a member was heard from.
      const deadline = parts.clock.now() + parts.options.gateMs
      parts.gate = { kind: 'waiting', deadline, clean: false }
      this.moveGate({ kind: this.heardMeanwhile ? 'open' : 'deadline' })
    }
    this.rotating = true
    parts.writer.join().then(
      () => settled(true),
      () => settled(false),
    )
  }

  private get parts(): LogParts {
    if (this.started !== undefined) return this.started
    const code = this.state === 'stopped' ? 'ERR_LOG_CLOSED' : 'ERR_LOG_NOT_STARTED'
    throw new LogError(
      code,
      this.state === 'stopped' ? 'the log is stopped' : 'start the log first',
    )
  }

  stop(): Promise<void> {
    this.stopping ??= this.close()
    return this.stopping
  }

  private async close(): Promise<void> {
    // Whoever started it hears how that ended.
    await this.opening?.catch(() => {})
    const parts = this.started
    this.state = 'stopped'
    if (parts === undefined) return
    this.replicaTimer?.()
    this.gateTimer?.()
    this.retention?.stop()
    this.scrubber?.stop()
    parts.stopped = true
    this.writeReplicas(parts)
    await within(parts, stopMsMax, async () => {
      await parts.writer.drained()
      await this.markClean(parts)
    })
    for (const wake of [...parts.wakers]) wake()
    await parts.backend.close()
    parts.writer.abandon(
      new LogError('ERR_LOG_CLOSED', 'the log was stopped, and its store did not answer in time'),
    )
  }

  private async markClean({ writer, damage }: LogParts): Promise<void> {
    if (writer.poisoned !== undefined || damage.length > 0) return
    writer.head.meta = { ...writer.head.meta, clean: true }
    writer.current(0).meta = true
    // A store that fails here was not stopped cleanly, and the next start will see so.
    await writer.join().catch(() => {})
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  on: Log['on'] = (kind, listener) => this.events.on(kind, listener)

  onCommit(listener: (commit: LogCommit) => void): () => void {
    return this.events.on('commit', listener)
  }

  appended(origin: OriginId): boolean {
    return this.written.has(origin)
  }

  get logId(): LogId {
    return this.parts.writer.flushed.meta.logId
  }

  get origin(): OriginId {
    return this.parts.writer.flushed.meta.origin
  }

  get durable(): boolean {
    return this.parts.backend.durable
  }

  vector(): readonly OriginState[] {
    const { flushed, flushedVersion: version } = this.parts.writer
    if (this.vectorCache?.version !== version) {
      this.vectorCache = { version, vector: vectorOf(flushed) }
    }
    return this.vectorCache.vector
  }

  append(
    records: AppendRecord | readonly AppendRecord[],
    options?: AppendOptions,
  ): Promise<AppendResult> {
    if (this.appender !== undefined) return this.appender.append(records, options)
    return this.later(() => Promise.reject(new Error('unreachable')))
  }

  read(options: ReadOptions = {}): Promise<ReadResult> {
    return this.later((parts) => readRecords(parts, options))
  }

  tail(options: TailOptions = {}): AsyncIterable<LogRecord> {
    return tailRecords(this.parts, options)
  }

  cursor(name: string): LogCursor {
    mustRun(this.parts)
    if (this.cursors === undefined) throw new LogError('ERR_LOG_NOT_STARTED', 'start the log first')
    return this.cursors.cursor(name)
  }

  retain(policy: RetentionPolicy): Promise<RetainReport> {
    return this.later((parts) => {
      mustRun(parts)
      const problems = policyProblems(policy)
      if (problems.length > 0 || this.retention === undefined) {
        throw new LogError('ERR_LOG_OPTIONS', describeProblems(problems), { details: problems })
      }
      return this.retention.retain(policy)
    })
  }

  backup(path: string, options: BackupOptions = {}): Promise<BackupManifest> {
    const backup = this.backups.then(() =>
      this.later(async (parts) => {
        this.backupBegan = parts.clock.now()
        return await backupLog(parts, path, options)
      }),
    )
    this.backups = backup
      .catch(() => {})
      .finally(() => {
        this.backupBegan = undefined
      })
    return backup
  }

  readBatches: Log['readBatches'] = (origin, from, bytesMax) =>
    this.later((parts) => readBatches(parts, origin, from, bytesMax))

  chainAt: Log['chainAt'] = (origin, sequence) =>
    this.later((parts) => chainAt(parts, origin, sequence))

  batchBounds: Log['batchBounds'] = (origin, sequence) =>
    this.later((parts) => batchBounds(parts, origin, sequence))

  fetchBatch: Log['fetchBatch'] = (origin, first) =>
    this.later((parts) => fetchBatch(parts, origin, first))

  applyBatches: Log['applyBatches'] = (batches, members) =>
    this.later((parts) => applyBatches(parts, batches, members))

  recordGap: Log['recordGap'] = (origin, resume, chainBefore, why) =>
    this.later((parts) => recordGap(parts, origin, resume, chainBefore, why))

  quarantine: Log['quarantine'] = (origin, why) =>
    this.later((parts) => quarantine(parts, origin, why))

  retire: Log['retire'] = (origin, next, why) =>
    this.later((parts) => retire(parts, origin, next, why))

  rotate: Log['rotate'] = (why) => this.later((parts) => rotate(parts, why))

  openGate(): void {
    this.moveGate({ kind: 'open' })
  }

  acknowledged(
    logId: LogId,
    vector: ReadonlyMap<OriginId, number>,
    member?: string,
    storedFrom?: ReadonlyMap<OriginId, number>,
  ): void {
    const { parts } = this
    if (parts.stopped || logId === this.logId) return
    if (!parts.replicas.acknowledge(logId, rangesOf(vector, storedFrom), member)) return
    this.dirtyReplicas.add(logId)
    this.replicaTimer ??= parts.clock.after(replicaWriteDelayMs, () => {
      this.replicaTimer = undefined
      if (!parts.stopped) this.writeReplicas(parts)
    })
  }

  /** Acknowledgements are hints after a restart, so they may be written late and in bulk. */
  private writeReplicas({ writer, replicas, clock, damage }: LogParts): void {
    if (this.dirtyReplicas.size === 0 || writer.poisoned !== undefined || damage.length > 0) return
    const transaction = writer.current(0)
    for (const logId of this.dirtyReplicas) {
      const row = replicas.rowOf(logId, clock.wallNow())
      if (row !== undefined) transaction.replicas.push(row)
    }
    this.dirtyReplicas.clear()
    for (const logId of writer.head.replicas.keys()) {
      const gone = replicas.rowOf(logId, 0) === undefined
      if (gone) transaction.replicasRemoved.push(logId)
    }
    writer.join().catch(() => {})
  }

  status(): LogStatus {
    const { writer, backend, gate, damage } = this.parts
    const { flushed, poisoned } = writer
    let bytes = 0
    for (const origin of flushed.origins.values()) bytes += origin.bytes
    const refused = flushed.meta.rotationOwed === '' ? gate.kind : 'refused'
    return {
      logId: flushed.meta.logId,
      origin: flushed.meta.origin,
      durable: backend.durable,
      writer: this.options.writer,
      gate: poisoned !== undefined ? 'poisoned' : damage.length > 0 ? 'damaged' : refused,
      records: flushed.nextOffset - flushed.meta.floor,
      bytes,
      floor: flushed.meta.floor,
      next: flushed.nextOffset,
      origins: this.vector().filter((state) => !isForgotten(state)),
      disk: writer.diskStatus,
      metrics: {
        ...{ ...writer.counters, ...this.retention?.counters, ...this.corruption?.counters },
        ...{ ...this.scrubber?.counters, queuedBytes: writer.queued },
        ...this.storeFigures(),
      },
      latency: writer.latency(),
    }
  }

  /** A backup reads the log as it was at one point, from its beginning to its end. */
  private storeFigures(): StoreFigures {
    const { backend, clock } = this.parts
    const figures = backend.figures()
    if (figures.oldestReaderMs === undefined || this.backupBegan === undefined) return figures
    const oldestReaderMs = Math.max(figures.oldestReaderMs, clock.now() - this.backupBegan)
    return { ...figures, oldestReaderMs }
  }

  async verify(options: VerifyOptions = {}): Promise<VerifyReport> {
    const { parts } = this
    mustRun(parts)
    const { backend, writer, digests } = parts
    const { reader } = backend
    const running = <Found>(read: () => Found): Found => {
      mustRun(parts)
      return read()
    }
    const paged: Pick<typeof reader, 'fromOffset' | 'state'> = {
      fromOffset: (from, bytesMax) => running(() => reader.fromOffset(from, bytesMax)),
      state: () => running(() => reader.state()),
    }
    // What the opening met, as a broken frame of a segment, may be read by nobody again.
    const inspect = async () => [...parts.damage, ...(await backend.inspect())]
    const report = await verifyStore(paged, writer, inspect, digests, options)
    for (const { table, key, reason } of report.damage) {
      if (table === 'batch') this.corruption?.suspect(Number(key), reason)
    }
    return report
  }

  scrub({ signal, ...options }: ScrubCall = {}): Promise<ScrubReport> {
    return this.later((parts) => {
      mustRun(parts)
      const problems = scrubProblems(options)
      if (problems.length > 0 || this.scrubber === undefined) {
        throw new LogError('ERR_LOG_OPTIONS', describeProblems(problems), { details: problems })
      }
      const { bytesPerSecond } = { ...scrubDefaults, ...parts.options.scrub, ...options }
      return this.scrubber.pass(bytesPerSecond, signal)
    })
  }

  corrupt(): readonly CorruptRun[] {
    return this.corruption?.list() ?? []
  }

  onCorrupt(listener: (run: CorruptRun) => void): () => void {
    return this.events.on('corrupt', listener)
  }

  repair(run: CorruptRun, batches: readonly Uint8Array[]): Promise<RepairOutcome> {
    return this.later((parts) => {
      mustRun(parts)
      if (this.corruption === undefined) throw new LogError('ERR_LOG_CLOSED', 'the log is stopped')
      return this.corruption.repair(run, batches)
    })
  }

  /** Runs now, and answers later: what it throws becomes a rejection. */
  private async later<Result>(run: (parts: LogParts) => Result | Promise<Result>): Promise<Result> {
    return await run(this.parts)
  }
}

/**
 * Makes a log; nothing is touched before `start`. Without options it lives in memory. Throws
 * `ERR_LOG_OPTIONS` naming every bad option.
 */
export function createLog(options: LogOptions = {}): Log {
  const resolved = resolveOptions(options)
  const { readOnly, directory } = resolved
  if (readOnly && directory !== undefined) return new ReadOnlyLog(options, resolved, directory)
  return new RunningLog(options, resolved)
}
