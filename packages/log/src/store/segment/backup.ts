/**
 * A copy of a segment store at one point, while it goes on (LOG-49): that of the index first, which
 * says how far the copy goes, then the files up to there. What was written before that place is
 * never written again, but by a repair, and no file goes meanwhile.
 */
import { constants } from 'node:fs'
import { copyFile, mkdir, rm, truncate } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Digests } from '@kith/interface'
import { LogError } from '../../errors.ts'
import { openDatabase } from '../sqlite/driver.ts'
import { listSegments, segmentPath } from './files.ts'
import { indexDirectory, indexPath } from './place.ts'
import { prepareStamp, readStamp } from './stamp.ts'
import type { FramePlace } from './stamp.ts'

export interface SegmentCopy {
  /** The directory of the store. */
  readonly from: string
  /** There, and without anything of a log in it. */
  readonly to: string
  readonly digests: Digests
  /** Copies the index as it stands to a new file. */
  copyIndex(path: string): Promise<void>
  cancelled(): boolean
}

/** Leaves nothing where it fails. */
export async function copyStore(copy: SegmentCopy): Promise<void> {
  const { to, copyIndex, digests } = copy
  const made = [indexDirectory(to)]
  try {
    await mkdir(indexDirectory(to))
    await copyIndex(indexPath(to))
    await copySegments(copy, indexEnd(indexPath(to), digests), made)
  } catch (cause) {
    await Promise.all(made.map((path) => rm(path, { recursive: true, force: true })))
    throw cause
  }
}

/** How far an index goes; it is made one plain file on the way. */
function indexEnd(path: string, digests: Digests): FramePlace {
  const db = openDatabase(path, { fileMustExist: true })
  try {
    db.pragma('journal_mode=DELETE')
    const read = readStamp(prepareStamp(db), digests)
    if (read.kind === 'stamp') return read.stamp.place
    throw new LogError('ERR_LOG_CORRUPT', 'the index does not know its own end any more')
  } finally {
    db.close()
  }
}

async function copySegments(
  { from, to, cancelled }: SegmentCopy,
  end: FramePlace,
  made: string[],
): Promise<void> {
  for (const segment of listSegments(from)) {
    if (segment > end.segment) break
    if (cancelled()) throw new Error('the backup was cancelled')
    const source = segmentPath(from, segment)
    const target = join(to, basename(source))
    made.push(target)
    // Where the file system can, the copy shares the blocks of the file until one is written to.
    await copyFile(source, target, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE)
    if (segment === end.segment) await truncate(target, end.byteAt)
  }
}
