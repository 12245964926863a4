/**
 * A log whose writer runs somewhere else, or nowhere (LOG-52): it reads, tails and verifies what is
 * committed and durable, and changes nothing.
 */
import { createEmitter, isForgotten, isKithError, silentLogger } from '@kith/interface'
import type {
  Clock,
  Digests,
  LogId,
  LogRecord,
  LogStoreReader,
  OriginId,
  OriginState,
  StoreDamage,
  StoreState,
} from '@kith/interface'
import { nodeDigests, systemClock } from '@kith/interface/node'
import { copyState, vectorOf } from '../core/state.ts'
import { LogError } from '../errors.ts'
import type { LogOptions, ResolvedOptions } from '../options.ts'
import { openSegmentView } from '../store/segment/view.ts'
import { openSqliteView, notBegun } from '../store/sqlite/view.ts'
import type { StoreView } from '../store/view.ts'
import { checkName, readCursor } from './cursors.ts'
import type { LogCursor } from './cursors.ts'
import type { Log, LogStatus } from './face.ts'
import { mustRun } from './parts.ts'
import type { LogEvents, ReadingParts } from './parts.ts'
import { batchBounds, chainAt, fetchBatch, readBatches, readRecords, tailPages } from './queries.ts'
import type { ReadOptions, ReadResult, TailOptions } from './queries.ts'
import { BatchReads } from './reads.ts'
import { checkEnds, stateFrom, unknownToItself } from './start.ts'
import { resolveStorage } from './storage.ts'
import { verifyStore } from './verify.ts'
import type { VerifyOptions, VerifyReport } from './verify.ts'

interface OpenLog extends ReadingParts {
  readonly view: StoreView
  /** As it is now: rows that went bad since the start are here too. */
  damage: readonly StoreDamage[]
  readonly atStart: readonly StoreDamage[]
  /** Origins that contradicted what is stored of them when the log was opened. */
  readonly distrusted: Set<OriginId>
  /** Tails that wait: each is woken when there may be more, or when the log stops. */
  readonly waiting: Set<() => void>
}

export class ReadOnlyLog implements Log {
  readonly durable = true
  private readonly options: ResolvedOptions
  private readonly directory: string
  private readonly clock: Clock
  private readonly digests: Digests
  private readonly events
  private phase: 'new' | 'running' | 'stopped' = 'new'
  private opened: OpenLog | undefined

  constructor(given: LogOptions, options: ResolvedOptions, directory: string) {
    this.options = options
    this.directory = directory
    const { clock = systemClock, digests = nodeDigests, logger = silentLogger } = given
    this.clock = clock
    this.digests = digests
    this.events = createEmitter<LogEvents>((cause) => {
      logger.error({ err: cause }, 'a listener of the log failed')
    })
  }

  async start(signal?: AbortSignal): Promise<void> {
    if (this.phase !== 'new') {
      throw new LogError('ERR_LOG_CLOSED', 'a log starts once; make another one')
    }
    signal?.throwIfAborted()
    this.phase = 'stopped'
    const storage = resolveStorage(this.directory, this.options.storage)
    const open = storage === 'segment' ? openSegmentView : openSqliteView
    const view = open(this.directory, this.digests)
    try {
      this.opened = openLog(view, this.digests, this.options.cacheBytesMax)
    } catch (cause) {
      view.close()
      throw cause
    }
    this.phase = 'running'
    const { damage } = this.opened
    if (damage.length > 0) this.events.emit('damage', { damage })
  }

  stop(): Promise<void> {
    const { opened } = this
    this.phase = 'stopped'
    if (opened !== undefined && !opened.stopped) {
      opened.stopped = true
      for (const wake of [...opened.waiting]) wake()
      opened.view.close()
    }
    return Promise.resolve()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  on: Log['on'] = (kind, listener) => this.events.on(kind, listener)

  /** Commits are announced by the log that makes them; here a tail sees what they brought. */
  onCommit(): () => void {
    return () => {}
  }

  private get parts(): OpenLog {
    if (this.opened !== undefined) return this.opened
    if (this.phase === 'new') throw new LogError('ERR_LOG_NOT_STARTED', 'start the log first')
    throw new LogError('ERR_LOG_CLOSED', 'the log is stopped')
  }

  /** Asks at one point of the log, which is the newest one. */
  private now<Result>(ask: (parts: OpenLog) => Result): Result {
    const { parts } = this
    mustRun(parts)
    return parts.view.atOnce(
      (state) => follow(parts, state, this.directory),
      () => ask(parts),
    )
  }

  private async later<Result>(ask: (parts: OpenLog) => Result): Promise<Result> {
    return this.now(ask)
  }

  get logId(): LogId {
    return this.parts.writer.flushed.meta.logId
  }

  get origin(): OriginId {
    return this.now(({ writer }) => writer.flushed.meta.origin)
  }

  vector(): readonly OriginState[] {
    return this.now(({ writer }) => vectorOf(writer.flushed))
  }

  read(options: ReadOptions = {}): Promise<ReadResult> {
    return this.later((parts) => readRecords(parts, options))
  }

  tail(options: TailOptions = {}): AsyncIterable<LogRecord> {
    return tailPages(
      (page) => this.page(page),
      (_, signal) => this.more(signal),
      options,
    )
  }

  /** What is known to be there is read as it is; where that fails the writer may have gone on. */
  private page(options: ReadOptions): ReadResult {
    const { parts } = this
    if (parts.view.synced && Number(options.from) < parts.writer.flushed.nextOffset) {
      try {
        return readRecords(parts, options)
      } catch (cause) {
        if (!isKithError(cause) || cause.code !== 'ERR_LOG_CORRUPT') throw cause
      }
    }
    return this.now((now) => readRecords(now, options))
  }

  /** Another process says nothing: it is looked for what is new every `pollMs`. */
  private more(signal: AbortSignal | undefined): Promise<void> {
    const { waiting, stopped } = this.parts
    if (stopped || signal?.aborted === true) return Promise.resolve()
    return new Promise((resolve) => {
      const wake = (): void => {
        clearInterval(alive)
        cancel()
        waiting.delete(wake)
        signal?.removeEventListener('abort', wake)
        resolve()
      }
      const cancel = this.clock.after(this.options.pollMs, wake)
      // The clock's timers alone would let a process end that does nothing but follow a log.
      const alive = setInterval(() => {}, 0x7fff_ffff)
      waiting.add(wake)
      signal?.addEventListener('abort', wake)
    })
  }

  readBatches: Log['readBatches'] = (origin, from, bytesMax) =>
    this.later((parts) => readBatches(parts, origin, from, bytesMax))

  chainAt: Log['chainAt'] = (origin, sequence) =>
    this.later((parts) => chainAt(parts, origin, sequence))

  batchBounds: Log['batchBounds'] = (origin, sequence) =>
    this.later((parts) => batchBounds(parts, origin, sequence))

  fetchBatch: Log['fetchBatch'] = (origin, first) =>
    this.later((parts) => fetchBatch(parts, origin, first))

  cursor(name: string): LogCursor {
    mustRun(this.parts)
    checkName(name)
    return {
      name,
      get: () => this.now((parts) => readCursor(parts, name)),
      commit: () => refuse('cursor.commit'),
    }
  }

  status(): LogStatus {
    const status = this.now(({ writer: { flushed }, damage }): Omit<LogStatus, 'metrics'> => {
      const { logId, origin, floor } = flushed.meta
      let bytes = 0
      for (const each of flushed.origins.values()) bytes += each.bytes
      const ends = { floor, next: flushed.nextOffset, records: flushed.nextOffset - floor }
      const gate = damage.length > 0 ? 'damaged' : 'readOnly'
      const origins = vectorOf(flushed).filter((state) => !isForgotten(state))
      return {
        ...{ logId, origin, durable: true, writer: 'elsewhere', gate, bytes, origins },
        ...ends,
        disk: { waitingMs: 0 },
      }
    })
    // Of itself a reader knows nothing else: what is written and how is counted by the writer.
    return { ...status, metrics: { ...this.parts.view.figures() } }
  }

  async verify(options: VerifyOptions = {}): Promise<VerifyReport> {
    const { reader } = this.parts.view
    const ask = <Result>(run: () => Result): Result => this.now(run)
    // Page by page, each at the newest point, so that what retention drops meanwhile is known.
    const paged: Pick<LogStoreReader, 'fromOffset' | 'state'> = {
      fromOffset: (offset, bytesMax) => ask(() => reader.fromOffset(offset, bytesMax)),
      state: () => ask(() => reader.state()),
    }
    const standing = ask(() => this.parts.writer)
    // An inspection of the file would hold its write-ahead log for as long as it takes.
    const nothing = (): Promise<readonly StoreDamage[]> => Promise.resolve([])
    return await verifyStore(paged, standing, nothing, this.digests, options)
  }

  append: Log['append'] = () => refuse('append')
  retain: Log['retain'] = () => refuse('retain')
  backup: Log['backup'] = () => refuse('backup')
  /** Whoever writes the log scrubs it; here `verify` looks. */
  scrub: Log['scrub'] = () => refuse('scrub')
  repair: Log['repair'] = () => refuse('repair')

  /** Kept by whoever writes the log and repairs it. */
  corrupt(): readonly [] {
    return []
  }

  onCorrupt(): () => void {
    return () => {}
  }

  applyBatches: Log['applyBatches'] = () => refuse('applyBatches')
  recordGap: Log['recordGap'] = () => refuse('recordGap')
  quarantine: Log['quarantine'] = () => refuse('quarantine')
  retire: Log['retire'] = () => refuse('retire')
  rotate: Log['rotate'] = () => refuse('rotate')

  /** There is no gate where nothing is appended. */
  openGate(): void {}

  acknowledged(): void {
    throw readOnly('acknowledged')
  }
}

function readOnly(what: string): LogError {
  return new LogError(
    'ERR_LOG_READ_ONLY',
    `${what} needs the log's writer: this one was opened with readOnly`,
  )
}

function refuse(what: string): Promise<never> {
  return Promise.reject(readOnly(what))
}

function openLog(view: StoreView, digests: Digests, cacheBytesMax: number): OpenLog {
  const reads = new BatchReads(view.reader, digests, cacheBytesMax)
  let stored: StoreState | undefined
  return view.atOnce(
    (state) => (stored = state),
    () => {
      const known = believable(stored)
      const state = stateFrom(known, known.meta)
      const before = new Set(state.origins.keys())
      const atStart = checkEnds(state, known, reads)
      const damage = [...known.damage, ...atStart]
      const distrusted = new Set([...before].filter((origin) => !state.origins.has(origin)))
      const writer = { flushed: state, head: state }
      const empty = { waiting: new Set<() => void>(), stopped: false }
      return { view, digests, reads, writer, damage, atStart, distrusted, ...empty }
    },
  )
}

type Known = StoreState & { readonly meta: NonNullable<StoreState['meta']> }

function believable(stored: StoreState | undefined): Known {
  const meta = stored?.meta
  if (stored !== undefined && meta !== undefined) return { ...stored, meta }
  if (stored !== undefined && stored.damage.length > 0) throw unknownToItself(stored)
  throw notBegun('the log')
}

/** The writer went on: so does what is shown here. */
function follow(parts: OpenLog, stored: StoreState, directory: string): void {
  const { flushed } = parts.writer
  const known = believable(stored)
  if (known.meta.logId !== flushed.meta.logId) {
    throw new LogError('ERR_LOG_DIRECTORY', `${directory} holds another log now: open it again`)
  }
  const next = stateFrom(known, known.meta)
  for (const origin of parts.distrusted) next.origins.delete(origin)
  parts.damage = [...known.damage, ...parts.atStart]
  const floor = flushed.meta.floor
  Object.assign(flushed, copyState(next))
  if (next.meta.floor > floor) parts.reads.forget(next.meta.floor)
}
