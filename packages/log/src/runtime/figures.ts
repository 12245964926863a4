/**
 * What a store tells of the way from where it writes first to where the data stays, when it is
 * asked. A figure that there is nothing for, or that cannot be read now, is absent: 0 would say
 * that it was looked at.
 */
import type { IndexFigures, WalUse } from '../store/figures.ts'

/** How a write-ahead log was copied into its file. */
export interface CheckpointFigures {
  readonly checkpoints: number
  /** Milliseconds, with all of its passes; absent before the first. */
  readonly lastCheckpointMs?: number
  /**
   * Milliseconds since a checkpoint first met the readers that held up the last one as well; 0
   * where the last one met none.
   */
  readonly heldMs: number
}

export type StoreFigures = Partial<
  Record<
    'walBytes' | 'checkpointLagBytes' | 'checkpoints' | 'lastCheckpointMs' | 'oldestReaderMs',
    number
  >
>

/** Of a log in one SQLite file. */
export function sqliteFigures(
  wal: WalUse | undefined,
  { heldMs, ...checkpoints }: CheckpointFigures,
): StoreFigures {
  const use = wal && { walBytes: wal.bytes, checkpointLagBytes: wal.behindBytes }
  return { ...use, ...checkpoints, oldestReaderMs: heldMs }
}

/** Of a log in segments, where the index is brought after the frames; nobody's reading holds it. */
export function segmentFigures(
  wal: WalUse | undefined,
  { behindBytes: checkpointLagBytes, ...checkpoints }: IndexFigures,
): StoreFigures {
  const use = wal && { walBytes: wal.bytes }
  return { ...use, checkpointLagBytes, ...checkpoints, oldestReaderMs: 0 }
}
