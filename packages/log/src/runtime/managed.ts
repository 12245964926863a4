/** The SQLite store on this thread, its write-ahead log copied by another (LOG-28). */
import type { Digests } from '@kith/interface'
import type { WalRestart } from '../store/figures.ts'
import { createSqliteStore } from '../store/sqlite/store.ts'
import type { SqliteStore } from '../store/sqlite/store.ts'
import { createCheckpoints } from './checkpoints.ts'
import type { CheckpointLimits, Checkpoints } from './checkpoints.ts'

export interface ManagedStore {
  readonly store: SqliteStore
  /** To be told after each commit how long the write-ahead log is, and closed before the store. */
  readonly checkpoints: Checkpoints
}

export function createManagedStore(
  directory: string,
  digests: Digests,
  limits?: CheckpointLimits,
): ManagedStore {
  const store = createSqliteStore({ directory, digests, checkpoints: 'managed' })
  const restart = (hasTime: boolean): void => {
    let outcome: WalRestart = 'failed'
    try {
      outcome = store.restartWal(hasTime)
    } catch {
      // Everything committed stays in the write-ahead log; the next commit meets what is wrong.
    }
    checkpoints.restarted(outcome)
  }
  const checkpoints = createCheckpoints(directory, restart, limits)
  return { store, checkpoints }
}
