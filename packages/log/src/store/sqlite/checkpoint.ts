/** How the writer has its write-ahead log copied into the file, and what a failure there means. */
import type { WalRestart } from '../figures.ts'
import { sqliteCode } from './driver.ts'
import type { Database } from './driver.ts'
import { LOCK_MS } from './open.ts'
import { framesInWal, walBytesOf } from './wal.ts'
import type { FlushMark, WalRow } from './wal.ts'

/** How long a commit waits for a reader of another process when the log is started over. */
const restartLockMs = 250
/** Where it may as well be started over later: a reader that moves is past a page by then. */
const restartSoonMs = 20

/** With automatic checkpoints: copied once it has so many pages, as SQLite does by itself. */
const automaticBytes = walBytesOf(1_000)

export class WalKeeper {
  /** Written since the write-ahead log was started over, roughly. */
  bytes: number
  /**
   * Bytes of batches, and pages of statements, written since the store was opened: about what is to
   * be copied, where the pages that every commit writes again count once.
   */
  freshBytes = 0
  /** Something was committed that no flush covers yet. */
  unflushed = false
  /** Why that may be lost: nothing can be committed any more. */
  lostFlush: unknown
  private readonly db: Database
  private readonly mark: FlushMark

  constructor(db: Database, mark: FlushMark) {
    this.db = db
    this.mark = mark
    this.bytes = walBytesOf(framesInWal(db))
  }

  /**
   * Starts the write-ahead log over. Commits wait meanwhile: a reader of another process that
   * stands still must not stop them. It then goes on growing until the next time, and its length
   * is counted anew unless there is time to try again.
   */
  restart(hasTime: boolean): WalRestart {
    this.db.pragma(`busy_timeout=${hasTime ? restartSoonMs : restartLockMs}`)
    let row: WalRow | undefined
    try {
      row = this.checkpoint('RESTART')
    } finally {
      this.db.pragma(`busy_timeout=${LOCK_MS}`)
    }
    if (row?.busy === 0 || !hasTime) this.bytes = 0
    if (row?.busy === 0) return 'done'
    return row !== undefined && row.log >= 0 ? 'held' : 'failed'
  }

  /** Copies what is long enough. SQLite would do it by itself, and tell nobody how it went. */
  copyIfLong(): void {
    if (this.bytes < automaticBytes) return
    try {
      const row = this.checkpoint('PASSIVE')
      this.bytes = row?.log === row?.checkpointed ? 0 : walBytesOf(row?.log ?? 0)
    } catch {
      // The transaction before it is committed; the next one is told what is wrong.
    }
  }

  /**
   * A flush that fails in here is not told again to the commit that follows: the system may take
   * what it did not write for written, and the flush of that commit would not cover it.
   */
  private checkpoint(mode: 'PASSIVE' | 'RESTART'): WalRow | undefined {
    try {
      return (this.db.pragma(`wal_checkpoint(${mode})`) as WalRow[])[0]
    } catch (cause) {
      this.mark.remove()
      const failedFlush = sqliteCode(cause) === 'SQLITE_IOERR_FSYNC'
      if (failedFlush && this.unflushed) this.lostFlush = cause
      throw cause
    }
  }
}
