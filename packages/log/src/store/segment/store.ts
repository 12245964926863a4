/**
 * The segment store (LOG-60 to LOG-63): each commit is one write and one flush of a frame at the
 * end of a file. A SQLite database beside the files, the index, follows in large steps; what it
 * does not have yet is read from the frames.
 */
import { randomBytes } from 'node:crypto'
import type { Digests, LogStore, LogStoreFactory, StoreDamage, StoreState } from '@kith/interface'
import { isKithError } from '@kith/interface'
import { nodeDigests } from '@kith/interface/node'
import { LogError } from '../../errors.ts'
import { databasePath, makeDirectory } from '../sqlite/open.ts'
import { createSqliteStore } from '../sqlite/store.ts'
import {
  headerProblem,
  headerReasons,
  isFull,
  listSegments,
  removeSegment,
  SEGMENT_HEADER_BYTES,
  segmentPath,
  WritableSegment,
} from './files.ts'
import { indexDirectory, indexPath } from './place.ts'
import { openSegmentReader } from './reader.ts'
import type { SegmentReader } from './reader.ts'
import { readTail, settleTail } from './recover.ts'
import { BEHIND_FRAMES_MAX, SegmentSession } from './session.ts'
import { EndMark, segmentsEndPath } from '../end-mark.ts'
import type { IndexFigures, WalUse } from '../figures.ts'
import type { SegmentPorts } from './session.ts'
import { removeSpare } from './spare.ts'
import { createStamp, putStamp } from './stamp.ts'
import type { Stamp } from './stamp.ts'
import { isIoError, isThere } from '../unreadable.ts'

export interface SegmentStoreOptions {
  /** Made where missing. */
  readonly directory: string
  /**
   * Bytes a segment may have, 1 MiB to 1 GiB; retention frees whole segments. A transaction that is
   * larger gets a segment of its own. Default 64 MiB.
   */
  readonly segmentBytesMax?: number
  readonly digests?: Digests
}

const mebibyte = 1024 * 1024
const segmentBytesDefault = 64 * mebibyte

/** A store in `directory`, in files of batches with an index. */
export function segmentStore(options: SegmentStoreOptions): LogStoreFactory {
  const { segmentBytesMax = segmentBytesDefault } = options
  const whole = Number.isInteger(segmentBytesMax)
  if (!whole || segmentBytesMax < mebibyte || segmentBytesMax > 1024 * mebibyte) {
    throw new LogError(
      'ERR_LOG_OPTIONS',
      `segmentBytesMax is ${segmentBytesMax}: give an integer from 1048576 to 1073741824`,
    )
  }
  return () => createSegmentStore(options)
}

export interface SegmentStore extends LogStore {
  /** Throws `ERR_LOG_IO` where it could not look, which says nothing of damage (LOG-71). */
  inspect(): readonly StoreDamage[]
  /**
   * Copies everything committed, and some of what is committed meanwhile, to a directory in which
   * there is nothing of a log; gives up where `cancelled` says so, and then leaves nothing.
   */
  backup(to: string, cancelled: () => boolean): Promise<void>
  /** How far the index is behind, after the last commit. */
  readonly figures: IndexFigures
  /** Of the write-ahead log of the index; undefined where that cannot be told. */
  walUse(): WalUse | undefined
}

/** Fewer `behindFramesMax` are for tests, which have no time for so many commits. */
export function createSegmentStore(
  options: SegmentStoreOptions,
  behindFramesMax: number = BEHIND_FRAMES_MAX,
): SegmentStore {
  const { directory, digests = nodeDigests, segmentBytesMax = segmentBytesDefault } = options
  let session: SegmentSession | undefined
  const mustBeOpen = (): SegmentSession => {
    if (session !== undefined) return session
    throw new LogError('ERR_LOG_CLOSED', `the store in ${directory} is not open`)
  }
  return {
    durable: true,
    statements: true,
    get figures() {
      return session?.figures ?? { behindBytes: 0, checkpoints: 0 }
    },
    walUse: () => session?.walUse(),
    open() {
      prepare(directory)
      const index = createSqliteStore({ directory: indexDirectory(directory), digests })
      const state = index.open()
      let reader: SegmentReader | undefined
      try {
        reader = openSegmentReader(directory, indexPath(directory), digests)
        removeSpare(directory)
        const endMark = new EndMark(segmentsEndPath(directory), digests)
        const bounds = { segmentBytesMax, behindFramesMax }
        const opened = begin({ directory, digests, ...bounds, index, reader, endMark }, state)
        session = opened.session
        return opened.state
      } catch (cause) {
        reader?.close()
        index.close()
        throw openError(cause, directory)
      }
    },
    commit: (changes, flush) => mustBeOpen().commit(changes, flush),
    reader: () => openSegmentReader(directory, indexPath(directory), digests),
    inspect: () => mustBeOpen().inspect(),
    async backup(to, cancelled) {
      await mustBeOpen().backup(to, cancelled)
    },
    close() {
      session?.close()
      session = undefined
    },
  }
}

/** Refuses what is there of another kind, before anything is made. */
function prepare(directory: string): void {
  makeDirectory(directory)
  let found: { readonly file: boolean; readonly index: boolean; readonly segments: number }
  try {
    const [file, index] = [isThere(databasePath(directory)), isThere(indexPath(directory))]
    found = { file, index, segments: listSegments(directory).length }
  } catch (cause) {
    throw openError(cause, directory)
  }
  if (found.file) {
    throw new LogError(
      'ERR_LOG_FORMAT',
      `${directory} holds a log in one SQLite file: open it with the sqlite store`,
    )
  }
  if (!found.index && found.segments > 0) {
    throw new LogError('ERR_LOG_CORRUPT', `${directory} holds segments, and their index is gone`)
  }
}

interface Opened {
  readonly session: SegmentSession
  readonly state: StoreState
}

function begin(ports: SegmentPorts, indexed: StoreState): Opened {
  const read = ports.reader.stamp()
  switch (read.kind) {
    case 'none':
      return beginNew(ports, indexed)
    case 'newer':
      throw new LogError(
        'ERR_LOG_FORMAT',
        `${ports.directory} has segments of format ${read.format}, which this version does not ` +
          'know: run the version that wrote them',
      )
    case 'damaged':
      throw new LogError(
        'ERR_LOG_CORRUPT',
        `the index in ${ports.directory} does not know its own end any more`,
      )
    case 'stamp':
      return recover(ports, indexed, read.stamp)
  }
}

/** Nothing was ever committed: what a beginning left that was cut off is made anew. */
function beginNew(ports: SegmentPorts, indexed: StoreState): Opened {
  const { directory, digests, index } = ports
  if (indexed.meta !== undefined || indexed.origins.length > 0 || indexed.damage.length > 0) {
    throw new LogError('ERR_LOG_CORRUPT', `the index in ${directory} is that of no segments`)
  }
  for (const segment of listSegments(directory)) removeSegment(directory, segment)
  const storeId = Uint8Array.from(randomBytes(16))
  const current = WritableSegment.create(directory, 0, storeId, digests)
  const place = { segment: 0, byteAt: SEGMENT_HEADER_BYTES, number: 0 }
  try {
    index.commit({ statements: [createStamp, putStamp({ storeId, place }, digests)] }, true)
  } catch (cause) {
    current.close()
    throw cause
  }
  return { session: new SegmentSession(ports, storeId, place, current), state: indexed }
}

function recover(ports: SegmentPorts, indexed: StoreState, stamp: Stamp): Opened {
  const { directory, digests, reader, endMark } = ports
  const { segment } = stamp.place
  const page = reader.files.read(segment, 0, SEGMENT_HEADER_BYTES)
  const problem = headerProblem(page, segment, stamp.storeId, digests)
  // A damaged page has nothing that is not in the index as well: an inspection reports it.
  if (problem === 'foreign' || problem === 'missing') {
    const path = segmentPath(directory, segment)
    throw new LogError('ERR_LOG_CORRUPT', `${path}: ${headerReasons[problem]}`)
  }
  const tail = readTail(reader.files, stamp, digests, endMark.read())
  const damage = [...indexed.damage, ...tail.damage]
  if (damage.length > 0) {
    // Nothing is written over what may still be read by whoever repairs it.
    const session = new SegmentSession(ports, stamp.storeId, tail.end, undefined)
    return { session, state: { ...reader.state(), damage } }
  }
  const current = settleTail(reader.files, tail)
  const session = new SegmentSession(ports, stamp.storeId, tail.end, current)
  try {
    session.index(tail.frames)
  } catch (cause) {
    current.close()
    throw cause
  }
  if (tail.frames.length === 0) return { session, state: indexed }
  return { session, state: reader.state() }
}

function openError(cause: unknown, directory: string): unknown {
  if (isKithError(cause) && !isIoError(cause)) return cause
  const text = cause instanceof Error ? cause.message : String(cause)
  if (isFull(cause)) {
    return new LogError('ERR_LOG_STORE_FULL', `no space to open ${directory}: ${text}`, { cause })
  }
  return new LogError('ERR_LOG_DIRECTORY', `cannot open ${directory}: ${text}`, { cause })
}
