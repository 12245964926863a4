/**
 * Where the writer's transactions go: a store on this thread, or one in a worker. Transactions are
 * carried out in the order given; after one failed with a full disk the rest fail until `reset`.
 */
import type {
  Clock,
  LogStore,
  LogStoreReader,
  StoreChanges,
  StoredBatch,
  StoreDamage,
  StoreState,
} from '@kith/interface'
import { LogError } from '../errors.ts'
import type { StoreFigures } from './figures.ts'

/** A batch named by its place in one of the transaction's buffers. */
export interface PlacedBatch extends Omit<StoredBatch, 'bytes'> {
  /** 0: the own group; 1: batches of other members. */
  readonly buffer: 0 | 1
  readonly start: number
  readonly length: number
}

export interface BackendTransaction {
  readonly changes: Omit<StoreChanges, 'batches'>
  readonly batches: readonly PlacedBatch[]
  /** Given away with the transaction, and handed back when it is done. */
  readonly buffers: readonly ArrayBuffer[]
  readonly flush: boolean
}

/** Commits that take less are waited for awake: a sleeping thread takes a tenth of that to wake. */
export const fastCommitMs = 1

export interface BackendHandlers {
  /**
   * The oldest transaction is carried out; its buffers are the writer's again. The store took
   * `tookMs` milliseconds, by the clock of its own thread.
   */
  done(buffers: readonly ArrayBuffer[], tookMs: number): void
  /** The oldest transaction failed. */
  failed(cause: unknown): void
}

export interface Backend {
  readonly durable: boolean
  readonly statements: boolean
  /** Transactions that may be under way at once. */
  readonly depth: number
  readonly reader: LogStoreReader
  /** The store holds on to the transaction's buffers for good. */
  readonly keepsBytes: boolean
  /** The log is started: what is committed before this is no more than what a start notes. */
  begin(): void
  /** Runs `callback` when appends of this turn had their chance to join the group. */
  defer(callback: () => void): void
  /** `attentive`: it is likely done within `fastCommitMs`, and many wait for it. */
  commit(transaction: BackendTransaction, attentive: boolean): void
  /** Takes up work again after `ERR_LOG_STORE_FULL`. */
  reset(): void
  /** As they are now. Never throws. */
  figures(): StoreFigures
  inspect(): Promise<readonly StoreDamage[]>
  /**
   * Copies all that is committed to a directory in which there is nothing of a log; rejects where
   * the store cannot, and when aborted.
   */
  backup(directory: string, signal: AbortSignal): Promise<void>
  /** Finishes what is under way, then frees the store. */
  close(): Promise<void>
}

export interface OpenBackend {
  readonly backend: Backend
  readonly state: StoreState
}

export function placeBatches(
  batches: readonly PlacedBatch[],
  buffers: readonly ArrayBuffer[],
): readonly StoredBatch[] {
  return batches.map(({ buffer, start, length, ...rest }) => ({
    ...rest,
    bytes: new Uint8Array(buffers[buffer] ?? new ArrayBuffer(0), start, length),
  }))
}

/** What goes on beside a store, or only some stores have. */
export interface Beside {
  afterCommit(): void
  beforeClose(): Promise<void>
  backup(directory: string, signal: AbortSignal): Promise<void>
  figures(): StoreFigures
}

export function backupUnsupported(): LogError {
  return new LogError('ERR_LOG_BACKUP_UNSUPPORTED', 'only a log in a directory can be backed up')
}

export const nothingBeside: Beside = {
  afterCommit(): void {},
  backup: () => Promise.reject(backupUnsupported()),
  beforeClose: (): Promise<void> => Promise.resolve(),
  figures: () => ({}),
}

/** On this thread, and answered before it returns. */
export function commitInline(
  store: LogStore,
  { changes, batches, buffers, flush }: BackendTransaction,
  clock: Clock,
  handlers: BackendHandlers,
): void {
  const began = clock.now()
  try {
    store.commit({ ...changes, batches: placeBatches(batches, buffers) }, flush)
  } catch (cause) {
    handlers.failed(cause)
    return
  }
  handlers.done(buffers, clock.now() - began)
}

/** Runs the store on this thread. */
export function openInline(
  store: LogStore,
  clock: Clock,
  handlers: BackendHandlers,
  beside: Beside = nothingBeside,
): OpenBackend {
  const state = store.open()
  const reader = store.reader()
  const backend: Backend = {
    durable: store.durable,
    statements: store.statements,
    depth: 1,
    reader,
    keepsBytes: !store.durable,
    begin() {},
    defer: store.durable ? (callback) => void setImmediate(callback) : queueMicrotask,
    commit(transaction) {
      commitInline(store, transaction, clock, {
        failed: handlers.failed,
        done(buffers, tookMs) {
          beside.afterCommit()
          handlers.done(buffers, tookMs)
        },
      })
    },
    // On one thread nothing is under way behind a failure.
    reset() {},
    figures: () => beside.figures(),
    inspect: async () => store.inspect(),
    backup: (directory, signal) => beside.backup(directory, signal),
    async close() {
      reader.close()
      await beside.beforeClose()
      store.close()
    },
  }
  return { backend, state }
}
