/** A store as another process may look at it while its writer goes on (LOG-52). */
import { closeSync, fdatasyncSync, openSync, statSync } from 'node:fs'
import type { LogStoreReader, StoreState } from '@kith/interface'
import { LogError } from '../errors.ts'

export interface StoreView {
  readonly reader: LogStoreReader
  /** What `changed` was told last is on the medium; false where that could not be told. */
  readonly synced: boolean
  /**
   * Runs `ask` at one point of the log, and first tells `changed` of everything but the batches
   * where that is not what it was told last. What was read is on the medium when this returns or
   * throws.
   */
  atOnce<Result>(changed: (state: StoreState) => void, ask: () => Result): Result
  /** What can be told of the store from outside of its writer, as it was looked at last. */
  figures(): ViewFigures
  close(): void
}

export interface ViewFigures {
  readonly walBytes?: number
  readonly checkpointLagBytes?: number
}

export interface FileIdentity {
  readonly dev: number
  readonly ino: number
}

export function fileAt(path: string): FileIdentity {
  const { dev, ino } = statSync(path)
  return { dev, ino }
}

/** Throws where another file took the place of the one that was opened. */
export function checkFile(path: string, file: FileIdentity): void {
  const now = statSync(path, { throwIfNoEntry: false })
  if (now?.ino === file.ino && now.dev === file.dev) return
  throw new LogError(
    'ERR_LOG_DIRECTORY',
    `${path} is not the file that was opened: open the log again`,
  )
}

/** Syncs a file that somebody else writes. */
export function syncRead(path: string): void {
  let descriptor: number | undefined
  try {
    descriptor = openSync(path, 'r')
    fdatasyncSync(descriptor)
  } catch (cause) {
    const { code } = cause as { code?: string }
    // On a medium that nobody can write to there is nothing to wait for.
    if (code === 'ENOENT' || code === 'EROFS' || code === 'EINVAL') return
    const text = cause instanceof Error ? cause.message : String(cause)
    throw new LogError(
      'ERR_LOG_DIRECTORY',
      `whether what was read from ${path} is on the disk cannot be told: ${text}`,
      { cause },
    )
  } finally {
    if (descriptor !== undefined) closeSync(descriptor)
  }
}
