/** The stores as the fault suite makes them, also in processes that it kills. */
import { existsSync, readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import type { LogStore } from '@kith/interface'
import { nodeDigests } from '@kith/interface/node'
import type { CheckpointLimits } from '../../src/runtime/checkpoints.ts'
import { createManagedStore } from '../../src/runtime/managed.ts'
import { createSegmentStore } from '../../src/store/segment/store.ts'
import { databasePath } from '../../src/store/sqlite/open.ts'
import { createSqliteStore, sqliteStore } from '../../src/store/sqlite/store.ts'

export const openStore = (directory: string): LogStore => sqliteStore({ directory })()

/** Segments as small as they can be, so that they end and go while the suite runs. */
export const openSegments = (directory: string): LogStore =>
  createSegmentStore({ directory, segmentBytesMax: 1024 * 1024 }, 64)

const kibibyte = 1024
/** A step of the suite writes some 150 KiB: the thread copies at most, and every third ends it. */
const limits: CheckpointLimits = {
  backgroundBytes: 384 * kibibyte,
  stepBytes: 128 * kibibyte,
  walBytesMax: 1024 * kibibyte,
}

/** How long a step waits for the thread to be there; it may fail to, and nobody is told. */
const threadMsMax = 3_000
const lookEveryMs = 2
/** Once in a process. */
let awaited = false

/**
 * As a log has it: another thread copies the write-ahead log, and the writer starts it over. That
 * thread is waited for once, because the life of a process of the suite is shorter than its start;
 * from then on it copies beside the commits.
 */
export function openManaged(directory: string): LogStore {
  const { store, checkpoints } = createManagedStore(directory, nodeDigests, limits)
  const path = databasePath(directory)
  return {
    ...store,
    commit(changes, flush) {
      store.commit(changes, flush)
      const before = awaited ? 0 : timesOpen(path)
      checkpoints.grown(store.walBytes, store.freshBytes)
      if (awaited || store.walBytes < limits.backgroundBytes) return
      awaited = true
      for (let waited = 0; waited < threadMsMax; waited += lookEveryMs) {
        if (timesOpen(path) !== before) return
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, lookEveryMs)
      }
    },
    async [Symbol.asyncDispose]() {
      await checkpoints.close()
      store.close()
    },
  } as LogStore & AsyncDisposable
}

/** Descriptors of this process that lead to a file, as Linux tells; elsewhere never the same. */
function timesOpen(path: string): number {
  const descriptors = '/proc/self/fd'
  if (!existsSync(descriptors)) return Number.NaN
  return readdirSync(descriptors).filter((name) => {
    try {
      return readlinkSync(join(descriptors, name)) === path
    } catch {
      // That of this reading, which is gone.
      return false
    }
  }).length
}

/** The mistake of starting the write-ahead log over before what it held is on the medium. */
export function openUnsynced(directory: string): LogStore {
  const store = createSqliteStore({ directory, checkpoints: 'managed' })
  let checkpointer: Database.Database | undefined
  let before = 0
  return {
    ...store,
    commit(changes, flush) {
      store.commit(changes, flush)
      if (store.walBytes < before + limits.backgroundBytes) return
      before = store.walBytes
      checkpointer ??= unsynced(directory)
      checkpointer.pragma('wal_checkpoint(RESTART)')
    },
    close() {
      checkpointer?.close()
      store.close()
    },
  }
}

function unsynced(directory: string): Database.Database {
  const db = new Database(databasePath(directory))
  db.pragma('synchronous=OFF')
  return db
}
