/**
 * How far a file was flushed, in a small file beside it (LOG-84). What is damaged at the end of a
 * log that was killed looks like what was never written: only from outside of it can that be told.
 * Written after each flush and not flushed itself, so that after a power cut it says less than what
 * is there, never more. `KEND`, 8 bytes of whose end it is, a count of 6 bytes, CRC-32 of both.
 */
import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Digests } from '@kith/interface'
import { readU32, readU48, writeU32, writeU48 } from '../wire/bytes.ts'

export const END_ID_BYTES = 8

/** Where the mark of a log's database is; `path` is that of the database. */
export function databaseEndPath(path: string): string {
  return `${path}-end`
}

export function segmentsEndPath(directory: string): string {
  return join(directory, 'segments-end')
}

const magic = 0x444e454b
const at = { magic: 0, id: 4, count: 12, crc: 18 }
const markBytes = 22

export interface FlushedEnd {
  /** Of one life of the file: where it differs, the count says nothing. */
  readonly id: Uint8Array
  /** Pages or frames of it that were flushed. */
  readonly count: number
}

export class EndMark {
  private readonly path: string
  private readonly digests: Digests
  private readonly bytes = new Uint8Array(markBytes)
  private descriptor: number | undefined

  constructor(path: string, digests: Digests) {
    this.path = path
    this.digests = digests
    writeU32(this.bytes, at.magic, magic)
  }

  /** Of the life before; undefined where there is none, or none that can be believed. */
  read(): FlushedEnd | undefined {
    let bytes: Uint8Array
    try {
      bytes = readFileSync(this.path)
    } catch {
      return undefined
    }
    if (bytes.length < markBytes || readU32(bytes, at.magic) !== magic) return undefined
    if (this.crcOf(bytes) !== readU32(bytes, at.crc)) return undefined
    return { id: bytes.slice(at.id, at.count), count: readU48(bytes, at.count) }
  }

  /** Where it cannot be written, the one before says less, and that is all. */
  write({ id, count }: FlushedEnd): void {
    const { bytes } = this
    bytes.set(id.subarray(0, END_ID_BYTES), at.id)
    writeU48(bytes, at.count, count)
    writeU32(bytes, at.crc, this.crcOf(bytes))
    try {
      this.descriptor ??= openSync(this.path, constants.O_RDWR | constants.O_CREAT)
      writeSync(this.descriptor, bytes, 0, markBytes, 0)
    } catch {
      this.close()
    }
  }

  /** Throws nothing: what was written is written. */
  close(): void {
    const { descriptor } = this
    this.descriptor = undefined
    if (descriptor !== undefined) closeQuietly(descriptor)
  }

  private crcOf(bytes: Uint8Array): number {
    return this.digests.crc32(bytes.subarray(at.id, at.crc))
  }
}

export function closeQuietly(descriptor: number): void {
  try {
    closeSync(descriptor)
  } catch {
    // Nothing rests on it.
  }
}
