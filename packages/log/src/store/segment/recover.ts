/**
 * What a crash left behind the index (LOG-61): whole frames are written anew and synced before they
 * are believed, because a flush that failed before may have left them readable and yet not on the
 * medium; a torn end is cut off. What was flushed once and is broken now is damage, and stays.
 */
import type { Digests, StoreDamage } from '@kith/interface'
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
  readonly damage: readonly StoreDamage[]
}

export function readTail(files: SegmentFiles, stamp: Stamp, digests: Digests): Recovered {
  const salt = saltOf(stamp)
  const frames: Frame[] = []
  let end = stamp.place
  const size = files.size(end.segment)
  if (size < end.byteAt) {
    const reason = `it has ${size} bytes, the index knows of ${end.byteAt}`
    return { frames, end, damage: [fileDamage(end, reason)] }
  }
  for (;;) {
    const read = readFrame(files, end, salt, digests)
    if (read.kind !== 'frame') break
    frames.push(read.frame)
    end = read.frame.next
  }
  const flushed = flushedBehind(files, end, salt, digests)
  if (flushed <= end.number) return { frames, end, damage: [] }
  const reason = `the frame ${end.number} at ${end.byteAt} was written and is broken`
  return { frames, end, damage: [fileDamage(end, reason)] }
}

function fileDamage({ segment }: FramePlace, reason: string): StoreDamage {
  return { table: 'file', key: segmentPath('', segment), reason }
}

/** Makes sure of what is there, and takes away what is behind it. */
export function settleTail(files: SegmentFiles, { frames, end }: Recovered): WritableSegment {
  const { directory } = files
  const touched = new Map<number, WritableSegment>()
  const open = (segment: number): WritableSegment => {
    const known = touched.get(segment) ?? WritableSegment.open(directory, segment)
    touched.set(segment, known)
    return known
  }
  try {
    for (const { place, header } of frames) {
      const bytes = files.read(place.segment, place.byteAt, frameLength(header))
      if (bytes !== undefined) open(place.segment).write([bytes], place.byteAt)
    }
    const last = open(end.segment)
    if (!onlyZeros(files, end)) last.cut(end.byteAt)
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
const zeros = new Uint8Array(chunkBytes + FRAME_HEADER_BYTES)

/** Runs over what a segment has from a place on. */
function* chunks(
  files: SegmentFiles,
  segment: number,
  from: number,
): Generator<{ readonly byteAt: number; readonly bytes: Uint8Array }> {
  const size = files.size(segment)
  for (let byteAt = from; byteAt < size; byteAt += chunkBytes) {
    // A little of the next one, so that a header on the border is seen whole.
    const length = Math.min(chunkBytes + FRAME_HEADER_BYTES, size - byteAt)
    const bytes = files.read(segment, byteAt, length)
    if (bytes === undefined || bytes.length === 0) return
    yield { byteAt, bytes }
  }
}

function onlyZeros(files: SegmentFiles, { segment, byteAt }: FramePlace): boolean {
  for (const { bytes } of chunks(files, segment, byteAt)) {
    if (Buffer.compare(bytes, zeros.subarray(0, bytes.length)) !== 0) return false
  }
  return true
}

/** What whole frames behind a broken one say was on the medium before them; 0 for none. */
function flushedBehind(
  files: SegmentFiles,
  end: FramePlace,
  salt: number,
  digests: Digests,
): number {
  const behind = listSegments(files.directory).filter((segment) => segment >= end.number)
  const places = [
    { segment: end.segment, from: end.byteAt },
    ...behind.filter((segment) => segment !== end.segment).map((segment) => ({ segment, from: 0 })),
  ]
  let flushed = 0
  for (const { segment, from } of places) {
    for (const { byteAt, bytes } of chunks(files, segment, from)) {
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
  return flushed
}

/** Where a frame may begin. */
function* candidates(bytes: Uint8Array): Generator<number> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let at = buffer.indexOf('KFRM'); at >= 0; at = buffer.indexOf('KFRM', at + 1)) yield at
}
