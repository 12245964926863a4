/**
 * The files of the segments: their names, their first page, and plain reads and writes at a
 * place. A segment is filled with zeros ahead of what is written, so that a flush need not have
 * the file system note a new length.
 */
import {
  closeSync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeSync,
  writevSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Digests } from '@kith/interface'
import { LogError } from '../../errors.ts'
import { readU32, readU48, sameBytes, writeU32, writeU48 } from '../../wire/bytes.ts'
import { sparePath } from './spare.ts'

/** Where frames begin. */
export const SEGMENT_HEADER_BYTES = 4_096
export const SEGMENT_FORMAT = 1

/** "KITHSEG1" */
const magic = Uint8Array.of(0x4b, 0x49, 0x54, 0x48, 0x53, 0x45, 0x47, 0x31)
const at = { format: 8, crc: 12, store: 16, base: 32, end: 38 } as const

const zeros = new Uint8Array(1024 * 1024)

export function segmentPath(directory: string, segment: number): string {
  return join(directory, `${String(segment).padStart(15, '0')}.seg`)
}

/** In order. */
export function listSegments(directory: string): readonly number[] {
  return readdirSync(directory)
    .map((name) => /^(\d{15})\.seg$/.exec(name)?.[1])
    .filter((digits) => digits !== undefined)
    .map(Number)
    .toSorted((a, b) => a - b)
}

export function removeSegment(directory: string, segment: number): void {
  unlinkSync(segmentPath(directory, segment))
}

/** Makes what was created and removed in a directory outlive a power cut. */
export function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

function segmentHeader(segment: number, storeId: Uint8Array, digests: Digests): Uint8Array {
  const page = new Uint8Array(SEGMENT_HEADER_BYTES)
  page.set(magic)
  writeU32(page, at.format, SEGMENT_FORMAT)
  page.set(storeId, at.store)
  writeU48(page, at.base, segment)
  writeU32(page, at.crc, digests.crc32(page.subarray(at.store, at.end)))
  return page
}

export type HeaderProblem = 'missing' | 'damaged' | 'foreign'

/** What is wrong with the first page of a segment; undefined for nothing. */
export function headerProblem(
  page: Uint8Array | undefined,
  segment: number,
  storeId: Uint8Array,
  digests: Digests,
): HeaderProblem | undefined {
  if (page === undefined || page.length < at.end) return 'missing'
  const whole =
    sameBytes(page.subarray(0, magic.length), magic) &&
    readU32(page, at.format) === SEGMENT_FORMAT &&
    digests.crc32(page.subarray(at.store, at.end)) === readU32(page, at.crc)
  if (!whole) return 'damaged'
  const own = sameBytes(page.subarray(at.store, at.store + storeId.length), storeId)
  return own && readU48(page, at.base) === segment ? undefined : 'foreign'
}

export const headerReasons: Readonly<Record<HeaderProblem, string>> = {
  missing: 'it has no first page',
  damaged: 'its first page is damaged',
  foreign: 'it is a segment of another log',
}

/** No room for it: nothing else failed. */
export function isFull(cause: unknown): boolean {
  const { code } = cause as { code?: string }
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG'
}

export function fullError(cause: unknown): LogError {
  const text = cause instanceof Error ? cause.message : String(cause)
  return new LogError('ERR_LOG_STORE_FULL', `no space for the transaction: ${text}`, { cause })
}

/** So much is filled at once ahead of what is written; a larger piece makes a commit wait long. */
const aheadBytesMax = 1024 * 1024
const aheadBytesMin = 64 * 1024

/** A segment open for writing. */
export class WritableSegment {
  readonly segment: number
  private readonly descriptor: number
  /** Bytes the file has: up to here it is filled. */
  private filled: number

  private constructor(segment: number, descriptor: number) {
    this.segment = segment
    this.descriptor = descriptor
    this.filled = fstatSync(descriptor).size
  }

  static open(directory: string, segment: number): WritableSegment {
    return new WritableSegment(segment, openSync(segmentPath(directory, segment), 'r+'))
  }

  /** A new one, on the medium when this returns. `spare`: the descriptor of one that is filled. */
  static create(
    directory: string,
    segment: number,
    storeId: Uint8Array,
    digests: Digests,
    spare?: number,
  ): WritableSegment {
    const path = segmentPath(directory, segment)
    const from = spare === undefined ? path : sparePath(directory)
    const descriptor = spare ?? openSync(path, 'w+')
    try {
      writeAll(descriptor, [segmentHeader(segment, storeId, digests)], 0)
      fdatasyncSync(descriptor)
      if (from !== path) renameSync(from, path)
      syncDirectory(directory)
      return new WritableSegment(segment, descriptor)
    } catch (cause) {
      closeSync(descriptor)
      rmSync(from, { force: true })
      rmSync(path, { force: true })
      throw cause
    }
  }

  /** Fills ahead so that `end` is in the file; throws as the system does where it has no room. */
  reserve(end: number, bytesMax: number): void {
    if (end <= this.filled) return
    const ahead = Math.min(Math.max(this.filled, aheadBytesMin), aheadBytesMax)
    const wanted = Math.max(end, Math.min(this.filled + ahead, bytesMax))
    try {
      this.fill(wanted)
    } catch (cause) {
      if (!isFull(cause) || wanted === end) throw cause
      this.fill(end)
    }
  }

  private fill(end: number): void {
    const before = this.filled
    try {
      for (let from = before; from < end; from += zeros.length) {
        writeAll(this.descriptor, [zeros.subarray(0, Math.min(zeros.length, end - from))], from)
      }
      this.filled = end
    } catch (cause) {
      ftruncateSync(this.descriptor, before)
      throw cause
    }
  }

  write(parts: readonly Uint8Array[], byteAt: number): void {
    writeAll(this.descriptor, parts, byteAt)
  }

  sync(): void {
    fdatasyncSync(this.descriptor)
  }

  /** Nothing is left behind `end`. */
  cut(end: number): void {
    if (end >= this.filled) return
    ftruncateSync(this.descriptor, end)
    this.filled = end
  }

  close(): void {
    closeSync(this.descriptor)
  }
}

function writeAll(descriptor: number, parts: readonly Uint8Array[], byteAt: number): void {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  // The system takes at most 1024 parts at a time.
  const whole = parts.length > 1024 ? [Buffer.concat(parts, length)] : parts
  let written = writevSync(descriptor, whole, byteAt)
  if (written === length) return
  const rest = Buffer.concat(whole, length)
  while (written < length) {
    const more = writeSync(descriptor, rest, written, length - written, byteAt + written)
    if (more === 0) throw new Error(`nothing of ${length - written} bytes could be written`)
    written += more
  }
}

function readAll(descriptor: number, byteAt: number, bytes: Uint8Array): number {
  let got = 0
  while (got < bytes.length) {
    const more = readSync(descriptor, bytes, got, bytes.length - got, byteAt + got)
    if (more === 0) break
    got += more
  }
  return got
}

/** Descriptors kept open for reading. */
const openMax = 16

/** Reads of all segments. */
export class SegmentFiles {
  readonly directory: string
  /** The one used last is the last. */
  private readonly descriptors = new Map<number, number>()

  constructor(directory: string) {
    this.directory = directory
  }

  private descriptorOf(segment: number): number | undefined {
    const known = this.descriptors.get(segment)
    if (known !== undefined) {
      this.descriptors.delete(segment)
      this.descriptors.set(segment, known)
      return known
    }
    const opened = this.open(segment)
    if (opened === undefined) return undefined
    const [oldest] = this.descriptors.keys()
    if (this.descriptors.size >= openMax && oldest !== undefined) this.forget(oldest)
    this.descriptors.set(segment, opened)
    return opened
  }

  private open(segment: number): number | undefined {
    try {
      return openSync(segmentPath(this.directory, segment), 'r')
    } catch (cause) {
      if ((cause as { code?: string }).code === 'ENOENT') return undefined
      throw cause
    }
  }

  has(segment: number): boolean {
    if (this.descriptors.has(segment)) return true
    const path = segmentPath(this.directory, segment)
    return statSync(path, { throwIfNoEntry: false }) !== undefined
  }

  /** Lets go of files that are gone by name: one made anew is opened anew. */
  forgetRemoved(): void {
    for (const [segment, descriptor] of [...this.descriptors]) {
      if (fstatSync(descriptor).nlink === 0) this.forget(segment)
    }
  }

  /** Bytes the file has; 0 where there is none. */
  size(segment: number): number {
    const descriptor = this.descriptorOf(segment)
    return descriptor === undefined ? 0 : fstatSync(descriptor).size
  }

  /** What is there, which is less where the file ends; undefined where there is no file. */
  read(segment: number, byteAt: number, length: number): Uint8Array | undefined {
    const descriptor = this.descriptorOf(segment)
    if (descriptor === undefined) return undefined
    const bytes = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer)
    const got = readAll(descriptor, byteAt, bytes)
    return got === length ? bytes : bytes.subarray(0, got)
  }

  /** Fills `bytes` as far as the file goes; says how far. */
  readInto(segment: number, byteAt: number, bytes: Uint8Array): number {
    const descriptor = this.descriptorOf(segment)
    return descriptor === undefined ? 0 : readAll(descriptor, byteAt, bytes)
  }

  sync(segment: number): void {
    const descriptor = this.descriptorOf(segment)
    if (descriptor !== undefined) fdatasyncSync(descriptor)
  }

  forget(segment: number): void {
    const descriptor = this.descriptors.get(segment)
    if (descriptor === undefined) return
    this.descriptors.delete(segment)
    closeSync(descriptor)
  }

  close(): void {
    for (const segment of [...this.descriptors.keys()]) this.forget(segment)
  }
}
