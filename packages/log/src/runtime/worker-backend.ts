/**
 * Runs the store in a thread of its own, so that no flush stops the caller's loop. A thread begins
 * in several times what an opening takes: where there is little to recover the store is opened on
 * this thread, and handed over once the log is started (LOG-80).
 */
import type { Worker } from 'node:worker_threads'
import type { Clock, Digests, StoreDamage, StoreState } from '@kith/interface'
import { LogError } from '../errors.ts'
import { indexPath } from '../store/segment/place.ts'
import { openSegmentReader } from '../store/segment/reader.ts'
import type { IndexFigures } from '../store/figures.ts'
import { openSqliteReader } from '../store/sqlite/reader.ts'
import type { SqliteReader } from '../store/sqlite/reader.ts'
import type { Database } from '../store/sqlite/driver.ts'
import { databasePath, makeDirectory, takeLock } from '../store/sqlite/open.ts'
import { createSqliteStore } from '../store/sqlite/store.ts'
import type { SqliteStore } from '../store/sqlite/store.ts'
import { settlesSoon } from '../store/sqlite/wal.ts'
import { commitInline, fastCommitMs } from './backend.ts'
import type { Backend, BackendHandlers, BackendTransaction, OpenBackend } from './backend.ts'
import { createCheckpoints, endThread, exited, startThread } from './checkpoints.ts'
import type { Checkpoints } from './checkpoints.ts'
import { segmentFigures, sqliteFigures } from './figures.ts'
import type { StoreFigures } from './figures.ts'
import { revivedError } from './thread-messages.ts'
import type { FromWriter, ThreadData, ToWriter } from './thread-messages.ts'

export async function openWorker(
  place: ThreadData,
  { clock, digests }: { readonly clock: Clock; readonly digests: Digests },
  handlers: BackendHandlers,
): Promise<OpenBackend> {
  const { directory, storage } = place
  if (storage === 'sqlite' && settlesSoon(databasePath(directory))) {
    return openHere(directory, { clock, digests }, handlers)
  }
  const writer = startThread('writer-thread', place)
  const state = await opened(writer)
  let reader: SqliteReader
  try {
    reader =
      storage === 'segment'
        ? openSegmentReader(directory, indexPath(directory), digests)
        : openSqliteReader(databasePath(directory), digests)
  } catch (cause) {
    writer.postMessage({ kind: 'close' } satisfies ToWriter)
    await exited(writer)
    throw cause
  }
  return { backend: new WorkerBackend({ directory, clock }, writer, reader, handlers), state }
}

/** The thread begins last: beside the opening it would take the processor from it. */
function openHere(
  directory: string,
  { clock, digests }: { readonly clock: Clock; readonly digests: Digests },
  handlers: BackendHandlers,
): OpenBackend {
  makeDirectory(directory)
  const lock = takeLock(directory)
  const store = createSqliteStore({ directory, digests, checkpoints: 'managed' }, true)
  let reader: SqliteReader | undefined
  try {
    const state = store.open()
    reader = openSqliteReader(databasePath(directory), digests)
    const writer = startThread('writer-thread', { directory, storage: 'sqlite', locked: true })
    const here = { store, lock }
    const backend = new WorkerBackend({ directory, clock }, writer, reader, handlers, here)
    return { backend, state }
  } catch (cause) {
    reader?.close()
    store.close()
    lock.close()
    throw cause
  }
}

function opened(writer: Worker): Promise<StoreState> {
  return new Promise((resolve, reject) => {
    const settle = (run: () => void): void => {
      writer.off('message', receive).off('error', fail).off('exit', gone)
      run()
    }
    const receive = (message: FromWriter): void =>
      settle(() => {
        if (message.kind === 'opened') resolve(message.state)
        else if (message.kind === 'openFailed') reject(revivedError(message.error))
        else reject(new Error(`the writer thread began with ${message.kind}`))
      })
    const fail = (cause: unknown): void => settle(() => reject(cause as Error))
    const gone = (): void => fail(new Error('the writer thread ended at its start'))
    writer.on('message', receive).on('error', fail).on('exit', gone)
  })
}

/** Most transactions change two tables of eight; the empty rest need not be copied over. */
function withoutEmpty(changes: BackendTransaction['changes']): BackendTransaction['changes'] {
  const filled = Object.entries(changes).filter(
    ([, rows]: [string, unknown]) => !Array.isArray(rows) || rows.length > 0,
  )
  return Object.fromEntries(filled)
}

/** Who waits for one. */
interface Inspection {
  resolve(damage: readonly StoreDamage[]): void
  reject(cause: Error): void
}

/** What this thread has of the store. */
interface Here {
  /** Until the log is started. */
  store: SqliteStore | undefined
  /** Until the thread is gone. */
  readonly lock: Database
}

class WorkerBackend implements Backend {
  readonly durable = true
  readonly statements = true
  readonly depth = 2
  readonly keepsBytes = false
  readonly reader: SqliteReader
  private readonly clock: Clock
  private readonly writer: Worker
  private readonly handlers: BackendHandlers
  private readonly checkpoints: Checkpoints
  private epoch = 0
  private watching = false
  private watchUntil = 0
  private dead: Error | undefined
  private backedUp: ((cause: Error | undefined) => void) | undefined
  /** As the last commit left them. */
  private index: IndexFigures | undefined
  private readonly inspections: Inspection[] = []
  private readonly here: Here | undefined

  constructor(
    { directory, clock }: { readonly directory: string; readonly clock: Clock },
    writer: Worker,
    reader: SqliteReader,
    handlers: BackendHandlers,
    here?: Here,
  ) {
    this.here = here
    this.clock = clock
    this.writer = writer
    this.reader = reader
    this.handlers = handlers
    this.checkpoints = createCheckpoints(directory, (hasTime) => {
      if (this.dead !== undefined) return
      writer.postMessage({ kind: 'restartWal', hasTime } satisfies ToWriter)
    })
    writer.on('message', (message: FromWriter) => this.receive(message))
    writer.on('error', (cause) => this.die(cause))
    writer.on('exit', () => {
      this.die(new Error('the writer thread ended'))
      this.closeHere()
      here?.lock.close()
    })
  }

  begin(): void {
    if (this.here?.store === undefined) return
    this.here.store.handOver()
    this.here.store = undefined
    this.writer.postMessage({ kind: 'open' } satisfies ToWriter)
  }

  private closeHere(): void {
    this.here?.store?.close()
    if (this.here !== undefined) this.here.store = undefined
  }

  defer(callback: () => void): void {
    setImmediate(callback)
  }

  commit(transaction: BackendTransaction, attentive: boolean): void {
    if (this.dead !== undefined) {
      this.handlers.failed(this.dead)
      return
    }
    if (this.here?.store !== undefined) {
      commitInline(this.here.store, transaction, this.clock, this.handlers)
      return
    }
    const changes = withoutEmpty(transaction.changes)
    const message: ToWriter = {
      kind: 'commit',
      epoch: this.epoch,
      transaction: { ...transaction, changes },
      attentive,
    }
    try {
      this.writer.postMessage(message, [...transaction.buffers])
    } catch (cause) {
      this.handlers.failed(cause)
      return
    }
    if (!attentive) return
    this.watchUntil = performance.now() + fastCommitMs
    if (!this.watching) this.watch()
  }

  /** Keeps the event loop turning, and with it this thread awake, for the answer that is due. */
  private watch(): void {
    this.watching = performance.now() < this.watchUntil
    if (this.watching) setImmediate(() => this.watch())
  }

  reset(): void {
    this.epoch += 1
  }

  private receive(message: FromWriter): void {
    switch (message.kind) {
      case 'done':
        this.watchUntil = 0
        this.checkpoints.grown(message.walBytes, message.freshBytes)
        this.index = message.index
        if (message.epoch === this.epoch) this.handlers.done(message.buffers, message.tookMs)
        break
      case 'failed':
        if (message.epoch === this.epoch) this.handlers.failed(revivedError(message.error))
        break
      case 'inspected':
        this.inspections.shift()?.resolve(message.damage)
        break
      case 'notInspected':
        this.inspections.shift()?.reject(revivedError(message.error))
        break
      case 'backedUp':
        this.backedUp?.(message.error && revivedError(message.error))
        break
      case 'openFailed':
        this.die(revivedError(message.error))
        break
      case 'restarted':
        this.checkpoints.restarted(message.outcome)
        break
      default:
        break
    }
  }

  private die(cause: unknown): void {
    if (this.dead !== undefined) return
    this.dead = cause instanceof Error ? cause : new Error(String(cause))
    for (const inspection of this.inspections.splice(0)) inspection.reject(this.dead)
    this.backedUp?.(this.dead)
    this.handlers.failed(this.dead)
  }

  figures(): StoreFigures {
    const wal = this.reader.walUse()
    if (this.index !== undefined) return segmentFigures(wal, this.index)
    return sqliteFigures(wal, this.checkpoints.figures())
  }

  inspect(): Promise<readonly StoreDamage[]> {
    if (this.dead !== undefined) return Promise.reject(this.dead)
    return new Promise((resolve, reject) => {
      this.inspections.push({ resolve, reject })
      this.writer.postMessage({ kind: 'inspect' } satisfies ToWriter)
    })
  }

  /** One at a time: the caller sees to it. */
  backup(directory: string, signal: AbortSignal): Promise<void> {
    if (this.dead !== undefined) return Promise.reject(this.dead)
    return new Promise((resolve, reject) => {
      const cancel = (): void =>
        this.writer.postMessage({ kind: 'cancelBackup' } satisfies ToWriter)
      this.backedUp = (cause) => {
        this.backedUp = undefined
        signal.removeEventListener('abort', cancel)
        if (cause === undefined) resolve()
        else reject(cause)
      }
      signal.addEventListener('abort', cancel)
      this.writer.postMessage({ kind: 'backup', directory } satisfies ToWriter)
    })
  }

  async close(): Promise<void> {
    this.reader.close()
    // The last one that has the file open, so that its write-ahead log goes.
    this.closeHere()
    await this.checkpoints.close()
    if (this.dead !== undefined) return
    this.dead = new LogError('ERR_LOG_CLOSED', 'the log is stopped')
    this.backedUp?.(this.dead)
    await endThread(this.writer, this.clock)
    for (const inspection of this.inspections.splice(0)) inspection.reject(this.dead)
  }
}
