/** The thread that owns the store: carries out one transaction after another. */
import { parentPort, workerData } from 'node:worker_threads'
import { invariant } from '@kith/interface'
import type { LogStore } from '@kith/interface'
import type { WalRestart } from '../store/figures.ts'
import { databasePath } from '../store/sqlite/open.ts'
import { createSqliteStore } from '../store/sqlite/store.ts'
import { placeBatches } from './backend.ts'
import { plainError } from './thread-messages.ts'
import type { FromWriter, ThreadData, ToWriter } from './thread-messages.ts'

invariant(parentPort, 'this file is the entry of a worker thread')
const port = parentPort
const { directory, storage, locked = false } = workerData as ThreadData
const sqlite =
  storage === 'sqlite'
    ? createSqliteStore({ directory, checkpoints: 'managed' }, locked)
    : undefined
// Loaded where it is needed: who starts a log waits for its first commit while this thread loads.
const segments =
  sqlite === undefined
    ? (await import('../store/segment/store.ts')).createSegmentStore({ directory })
    : undefined
const found = sqlite ?? segments
invariant(found !== undefined, 'a log in a directory is kept in one of the two')
const store: LogStore = found

function answer(message: FromWriter, moved: readonly ArrayBuffer[] = []): void {
  port.postMessage(message, [...moved])
}

/** Errors after which the store goes on, and what follows does not build on what failed. */
const alone: ReadonlySet<string> = new Set(['ERR_LOG_STATEMENT', 'ERR_LOG_REPAIR'])

/** Transactions up to this epoch build on one that failed. */
let failedEpoch = -1

/**
 * How long to stay awake for the next transaction where many wait: callers that append again as
 * soon as they are answered have one ready within a quarter of that, and a sleeping thread takes
 * half as long again to wake.
 */
const awakeMs = 0.5
let awakeUntil = 0
let awake = false

/** Keeps the event loop turning, and with it this thread awake. */
function stayAwake(): void {
  awake = performance.now() < awakeUntil
  if (awake) setImmediate(stayAwake)
}

function commit({ epoch, transaction, attentive }: Extract<ToWriter, { kind: 'commit' }>): void {
  if (epoch <= failedEpoch) return
  const { changes, batches, buffers, flush } = transaction
  const began = performance.now()
  try {
    store.commit({ ...changes, batches: placeBatches(batches, buffers) }, flush)
  } catch (cause) {
    const error = plainError(cause)
    if (error.code === 'ERR_LOG_STORE_FULL') failedEpoch = epoch
    else if (!alone.has(error.code)) failedEpoch = Infinity
    answer({ kind: 'failed', epoch, error })
    return
  }
  const tookMs = performance.now() - began
  const { walBytes, freshBytes } = sqlite ?? { walBytes: 0, freshBytes: 0 }
  const index = segments?.figures
  answer({ kind: 'done', epoch, buffers, walBytes, freshBytes, tookMs, index }, buffers)
  if (!attentive) return
  awakeUntil = performance.now() + awakeMs
  if (!awake) stayAwake()
}

function restartWal(hasTime: boolean): void {
  let outcome: WalRestart = 'failed'
  try {
    outcome = sqlite?.restartWal(hasTime) ?? outcome
  } catch {
    // Everything committed stays in the write-ahead log; the next commit meets what is wrong.
  }
  answer({ kind: 'restarted', outcome })
}

/** How many backups were cancelled so far: each looks whether it was since it began. */
let cancelled = 0

async function backup(to: string): Promise<void> {
  const before = cancelled
  const given = (): boolean => cancelled > before
  try {
    await segments?.backup(to, given)
    await sqlite?.backup(databasePath(to), given)
    answer({ kind: 'backedUp' })
  } catch (cause) {
    answer({ kind: 'backedUp', error: plainError(cause) })
  }
}

function inspect(): void {
  try {
    answer({ kind: 'inspected', damage: store.inspect() })
  } catch (cause) {
    answer({ kind: 'notInspected', error: plainError(cause) })
  }
}

function close(): void {
  store.close()
  answer({ kind: 'closed' })
  port.close()
}

function open(): void {
  try {
    answer({ kind: 'opened', state: store.open() })
  } catch (cause) {
    answer({ kind: 'openFailed', error: plainError(cause) })
    port.close()
  }
}

port.on('message', (message: ToWriter) => {
  switch (message.kind) {
    case 'open':
      open()
      break
    case 'commit':
      commit(message)
      break
    case 'restartWal':
      restartWal(message.hasTime)
      break
    case 'backup':
      void backup(message.directory)
      break
    case 'cancelBackup':
      cancelled += 1
      break
    case 'inspect':
      inspect()
      break
    case 'close':
      close()
      break
  }
})

if (!locked) open()
