/**
 * What a crash left behind the index (LOG-61): whole frames that no later one calls flushed are
 * written anew and synced before they are believed, because a flush that failed before may have
 * left them readable and yet not on the medium; a torn end is cut off. What was flushed once, as a
 * later frame or the mark of the end says, and is broken now is damage, and stays.
 */
import type { Digests, StoreDamage } from '@kith/interface'
import { sameBytes } from '../../wire/bytes.ts'
import { END_ID_BYTES } from '../end-mark.ts'
import type { FlushedEnd } from '../end-mark.ts'
import {
  listSegments,
  removeSegment,
  segmentPath,
  syncDirectory,
  WritableSegment,
} from './files.ts'
import type { SegmentFiles } from './files.ts'
import { FRAME_HEADER_BYTES, frameLength, readFrameHeader, readFrameTable } from './frame.ts'
import { readFrame, saltOf } from './scan.ts'
import type { Frame } from './scan.ts'
import type { FramePlace, Stamp } from './stamp.ts'

export interface Recovered {
  /** Frames that are not in the index yet, in order. */
  readonly frames: readonly Frame[]
  /** Where the next frame goes. */
  readonly end: FramePlace
  /** Something is behind the end. */
  readonly torn: boolean
  readonly damage: readonly StoreDamage[]
}

/** `noted` is what the mark of the flushed end says. */
export function readTail(
  files: SegmentFiles,
  stamp: Stamp,
  digests: Digests,
  noted: FlushedEnd | undefined,
): Recovered {
  const salt = saltOf(stamp)
  const frames: Frame[] = []
  let end = stamp.place
  const size = files.size(end.segment)
  if (size < end.byteAt) {
    const reason = `it has ${size} bytes, the index knows of ${end.byteAt}`
    return { frames, end, torn: false, damage: [fileDamage(end, reason)] }
  }
  for (;;) {
    const read = readFrame(files, end, salt, digests)
    if (read.kind !== 'frame') break
    frames.push(read.frame)
    end = read.frame.next
  }
  const { flushed, torn } = lookBehind(files, end, salt, digests)
  const isOurs = noted !== undefined && sameBytes(noted.id, stamp.storeId.subarray(0, END_ID_BYTES))
  if (Math.max(flushed, isOurs ? noted.count : 0) <= end.number) {
    return { frames, end, torn, damage: [] }
  }
  const reason = `the frame ${end.number} at ${end.byteAt} was flushed and is broken`
  return { frames, end, torn, damage: [fileDamage(end, reason)] }
}

function fileDamage({ segment }: FramePlace, reason: string): StoreDamage {
  return { table: 'file', key: segmentPath('', segment), reason }
}

/** Makes sure of what is there, and takes away what is behind it. */
export function settleTail(files: SegmentFiles, { frames, end, torn }: Recovered): WritableSegment {
  const { directory } = files
  const flushed = frames.at(-1)?.header.flushed ?? 0
  const touched = new Map<number, WritableSegment>()
  const open = (segment: number): WritableSegment => {
    const known = touched.get(segment) ?? WritableSegment.open(directory, segment)
    touched.set(segment, known)
    return known
  }
  try {
    for (const { place, header } of frames) {
      if (header.number < flushed) continue
      const bytes = files.read(place.segment, place.byteAt, frameLength(header))
      if (bytes !== undefined) open(place.segment).write([bytes], place.byteAt)
    }
    const last = open(end.segment)
    if (torn) last.cut(end.byteAt)
    for (const segment of touched.values()) segment.sync()
    const behind = listSegments(directory).filter(
      (segment) => segment >= end.number && segment !== end.segment,
    )
    for (const segment of behind) {
      files.forget(segment)
      removeSegment(directory, segment)
    }
    if (behind.length > 0) syncDirectory(directory)
    touched.delete(end.segment)
    return last
  } finally {
    for (const segment of touched.values()) segment.close()
  }
}

const chunkBytes = 1024 * 1024
/** A little of the next chunk, so that a header on the border is seen whole. */
const overlapBytes = FRAME_HEADER_BYTES

/** Runs over what a segment has from a place on. The bytes are valid until the next turn. */
function* chunks(
  files: SegmentFiles,
  segment: number,
  from: number,
): Generator<{ readonly byteAt: number; readonly bytes: Buffer }> {
  const chunk = Buffer.allocUnsafeSlow(chunkBytes + overlapBytes)
  const size = files.size(segment)
  for (let byteAt = from; byteAt < size; byteAt += chunkBytes) {
    const got = files.readInto(segment, byteAt, chunk)
    if (got === 0) return
    yield { byteAt, bytes: chunk.subarray(0, got) }
  }
}

interface Behind {
  /** Whole frames there say that every frame below this number was on the medium; 0 for none. */
  readonly flushed: number
  /** Something is there, in the segment of the end. */
  readonly torn: boolean
}

/** What is behind the last whole frame: nothing but zeros, as a rule. */
function lookBehind(files: SegmentFiles, end: FramePlace, salt: number, digests: Digests): Behind {
  const zeros = Buffer.alloc(chunkBytes + overlapBytes)
  const behind = listSegments(files.directory).filter((segment) => segment >= end.number)
  const places = [
    { segment: end.segment, from: end.byteAt },
    ...behind.filter((segment) => segment !== end.segment).map((segment) => ({ segment, from: 0 })),
  ]
  let flushed = 0
  let torn = false
  for (const { segment, from } of places) {
    for (const { byteAt, bytes } of chunks(files, segment, from)) {
      if (bytes.equals(zeros.subarray(0, bytes.length))) continue
      if (segment === end.segment) torn = true
      for (const at of candidates(bytes)) {
        const head = bytes.subarray(at)
        const header = readFrameHeader(head, salt)
        if (header === undefined || header.number < end.number) continue
        const length = FRAME_HEADER_BYTES + header.tableLength
        if (byteAt + at + length > files.size(segment)) continue
        const whole = files.read(segment, byteAt + at, length)
        if (whole === undefined || readFrameTable(whole, header, digests) === undefined) continue
        flushed = Math.max(flushed, header.flushed)
      }
    }
  }
  return { flushed, torn }
}

/** Where a frame may begin. */
function* candidates(bytes: Buffer): Generator<number> {
  for (let at = bytes.indexOf('KFRM'); at >= 0; at = bytes.indexOf('KFRM', at + 1)) yield at
}
