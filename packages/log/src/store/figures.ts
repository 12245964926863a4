/** What stores tell of themselves; types alone, because public declarations reach them. */

/** Bytes of a write-ahead log. */
export interface WalUse {
  /** In use, without what an earlier turn of the file left behind them. */
  readonly bytes: number
  /** Of these, not in the database file yet. */
  readonly behindBytes: number
}

/** How the index follows the frames. */
export interface IndexFigures {
  /** Bytes of frames that the index does not have. */
  readonly behindBytes: number
  /** How often it was brought after them. */
  readonly checkpoints: number
  /** Milliseconds that this took the last time; absent before the first. */
  readonly lastCheckpointMs?: number
}

/** `held`: a reader needs what is in it; `failed`: another checkpoint is under way. */
export type WalRestart = 'done' | 'held' | 'failed'
