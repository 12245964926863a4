/**
 * Runs the SQLite store in a thread of its own, and checkpoints in another: the first copies what
 * it can in the background, then the writer starts its write-ahead log over (LOG-28).
 */
import { Worker } from 'node:worker_threads'
import type { Digests, LogStoreReader, StoreDamage, StoreState } from '@kith/interface'
import { LogError } from '../errors.ts'
import { openSqliteReader } from '../store/sqlite/reader.ts'
import { databasePath } from '../store/sqlite/store.ts'
import type { Backend, BackendHandlers, BackendTransaction, OpenBackend } from './backend.ts'
import { revivedError, threadEntry } from './thread-messages.ts'
import type {
  FromCheckpointer,
  FromWriter,
  ThreadData,
  ToCheckpointer,
  ToWriter,
} from './thread-messages.ts'

const mebibyte = 1024 * 1024
/** The background checkpoint begins here: small logs never start its thread. */
const backgroundBytes = 8 * mebibyte
/**
 * Past this the writer starts its write-ahead log over, once the background checkpoint came
 * round.
 */
const restartBytes = 32 * mebibyte
/** Past this it does so at once, whatever the background is doing. */
const walBytesMax = 128 * mebibyte

export async function openWorker(
  directory: string,
  digests: Digests,
  handlers: BackendHandlers,
): Promise<OpenBackend> {
  const writer = startThread('writer-thread', directory)
  const state = await opened(writer)
  let reader: LogStoreReader
  try {
    reader = openSqliteReader(databasePath(directory), digests)
  } catch (cause) {
    writer.postMessage({ kind: 'close' } satisfies ToWriter)
    await exited(writer)
    throw cause
  }
  return { backend: new WorkerBackend(directory, writer, reader, handlers), state }
}

function startThread(name: string, directory: string): Worker {
  const { url, execArgv } = threadEntry(name)
  const workerData: ThreadData = { directory }
  return new Worker(url, { execArgv, workerData, name: `kith-log ${name}` })
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

function exited(worker: Worker): Promise<void> {
  return new Promise((resolve) => worker.once('exit', () => resolve()))
}

class WorkerBackend implements Backend {
  readonly durable = true
  readonly statements = true
  readonly depth = 2
  readonly keepsBytes = false
  readonly reader: LogStoreReader
  private readonly directory: string
  private readonly writer: Worker
  private readonly handlers: BackendHandlers
  private checkpointer: Worker | undefined
  private checkpointing = false
  private restarting = false
  private epoch = 0
  private walBytes = 0
  private dead: Error | undefined
  private readonly inspections: ((damage: readonly StoreDamage[]) => void)[] = []

  constructor(
    directory: string,
    writer: Worker,
    reader: LogStoreReader,
    handlers: BackendHandlers,
  ) {
    this.directory = directory
    this.writer = writer
    this.reader = reader
    this.handlers = handlers
    writer.on('message', (message: FromWriter) => this.receive(message))
    writer.on('error', (cause) => this.die(cause))
    writer.on('exit', () => this.die(new Error('the writer thread ended')))
  }

  defer(callback: () => void): void {
    setImmediate(callback)
  }

  commit(transaction: BackendTransaction): void {
    if (this.dead !== undefined) {
      this.handlers.failed(this.dead)
      return
    }
    const message: ToWriter = { kind: 'commit', epoch: this.epoch, transaction }
    this.writer.postMessage(message, [...transaction.buffers])
  }

  reset(): void {
    this.epoch += 1
  }

  private receive(message: FromWriter): void {
    switch (message.kind) {
      case 'done':
        this.walBytes = message.walBytes
        this.checkpoint()
        if (message.epoch === this.epoch) this.handlers.done(message.buffers)
        break
      case 'failed':
        if (message.epoch === this.epoch) this.handlers.failed(revivedError(message.error))
        break
      case 'inspected':
        this.inspections.shift()?.(message.damage)
        break
      case 'restarted':
        this.restarting = false
        this.walBytes = message.walBytes
        break
      default:
        break
    }
  }

  private die(cause: unknown): void {
    if (this.dead !== undefined) return
    this.dead = cause instanceof Error ? cause : new Error(String(cause))
    for (const resolve of this.inspections.splice(0)) {
      resolve([{ table: 'file', key: '', reason: this.dead.message }])
    }
    this.handlers.failed(this.dead)
  }

  private checkpoint(): void {
    if (this.walBytes >= walBytesMax) this.restartWal()
    if (this.walBytes < backgroundBytes || this.checkpointing || this.restarting) return
    this.checkpointing = true
    this.checkpointer ??= this.startCheckpointer()
    this.checkpointer.postMessage({ kind: 'run' } satisfies ToCheckpointer)
  }

  private startCheckpointer(): Worker {
    const thread = startThread('checkpoint-thread', this.directory)
    thread.on('message', ({ kind }: FromCheckpointer) => {
      if (kind !== 'ran') return
      this.checkpointing = false
      if (this.walBytes >= restartBytes) this.restartWal()
    })
    // Without it the writer still bounds its write-ahead log, only on the commit path.
    thread.on('error', () => {
      this.checkpointer = undefined
    })
    return thread
  }

  private restartWal(): void {
    if (this.restarting || this.dead !== undefined) return
    this.restarting = true
    this.writer.postMessage({ kind: 'restartWal' } satisfies ToWriter)
  }

  inspect(): Promise<readonly StoreDamage[]> {
    if (this.dead !== undefined) return Promise.reject(this.dead)
    return new Promise((resolve) => {
      this.inspections.push(resolve)
      this.writer.postMessage({ kind: 'inspect' } satisfies ToWriter)
    })
  }

  async close(): Promise<void> {
    this.reader.close()
    await endThread(this.checkpointer)
    if (this.dead !== undefined) return
    this.dead = new LogError('ERR_LOG_CLOSED', 'the log is stopped')
    await endThread(this.writer)
  }
}

/** Asks a thread to end, and ends it where it does not within its time. */
async function endThread(thread: Worker | undefined): Promise<void> {
  if (thread === undefined || thread.threadId === -1) return
  const gone = exited(thread)
  thread.postMessage({ kind: 'close' })
  const timer = setTimeout(() => void thread.terminate(), closeMsMax)
  await gone
  clearTimeout(timer)
}

/**
 * A last checkpoint of a large write-ahead log takes its time; a stuck disk must not hold up a
 * stop.
 */
const closeMsMax = 10_000
