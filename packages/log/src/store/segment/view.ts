/** Segments as another process may look at them while their writer goes on (LOG-52). */
import type { Digests, LogStoreReader, StoreState } from '@kith/interface'
import { LogError } from '../../errors.ts'
import { openError } from '../sqlite/open.ts'
import { busyError, notBegun } from '../sqlite/view.ts'
import { checkFile, fileAt, syncRead } from '../view.ts'
import type { FileIdentity, StoreView, ViewFigures } from '../view.ts'
import { ioError } from '../unreadable.ts'
import { SEGMENT_FORMAT, segmentPath } from './files.ts'
import { indexPath } from './place.ts'
import { openSegmentReader } from './reader.ts'
import type { SegmentReader } from './reader.ts'

export function openSegmentView(directory: string, digests: Digests): StoreView {
  const path = indexPath(directory)
  let reader: SegmentReader | undefined
  try {
    const file = fileAt(path)
    reader = openSegmentReader(directory, path, digests)
    const read = reader.stamp()
    if (read.kind === 'none') throw notBegun(path)
    if (read.kind === 'newer') {
      throw new LogError(
        'ERR_LOG_FORMAT',
        `${directory} has segments of format ${read.format}; this version knows ${SEGMENT_FORMAT}`,
      )
    }
    return new View(directory, path, file, reader)
  } catch (cause) {
    reader?.close()
    throw busyError(cause, path) ?? openError(cause, path)
  }
}

class View implements StoreView {
  readonly reader: LogStoreReader
  synced = false
  private readonly segments: SegmentReader
  private readonly directory: string
  private readonly path: string
  private readonly file: FileIdentity
  /** What was seen last. */
  private seen = ''

  constructor(directory: string, path: string, file: FileIdentity, segments: SegmentReader) {
    this.directory = directory
    this.path = path
    this.file = file
    this.segments = segments
    this.reader = segments
  }

  atOnce<Result>(changed: (state: StoreState) => void, ask: () => Result): Result {
    try {
      return this.segments.atOnce(({ number }, version) => {
        const now = `${version}:${number}`
        if (now !== this.seen) {
          this.synced = false
          checkFile(this.path, this.file)
          changed(this.segments.state())
        }
        this.seen = now
        return ask()
      })
    } catch (cause) {
      throw busyError(cause, this.path) ?? ioError(cause, this.path) ?? cause
    } finally {
      // Also before an error, which may tell where the log ends.
      if (!this.synced) this.sync()
    }
  }

  /** What is committed can be read before it is flushed. */
  private sync(): void {
    for (const segment of this.segments.openSegments()) {
      syncRead(segmentPath(this.directory, segment))
    }
    syncRead(`${this.path}-wal`)
    this.synced = true
  }

  figures(): ViewFigures {
    const { behindBytes: checkpointLagBytes } = this.segments
    const wal = this.segments.walUse()
    return { checkpointLagBytes, ...(wal && { walBytes: wal.bytes }) }
  }

  close(): void {
    this.segments.close()
  }
}
