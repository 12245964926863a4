/**
 * A group: what one commit will write under the own origin. Records are packed where they are
 * appended, straight into one growing buffer in batch layout; sealing fills in the headers
 * (LOG-7).
 */
import { invariant, releaseBytes } from '@kith/interface'
import type { AppendRecord, Chain, Digests, OriginId } from '@kith/interface'
import {
  BATCH_PAYLOAD_BYTES_MAX,
  BATCH_RECORDS_MAX,
  HEADER_BYTES,
  sealBatch,
} from '../wire/batch.ts'
import { writeU32 } from '../wire/bytes.ts'
import { recordLength, writeRecord } from '../wire/record.ts'

export interface SealedBatch {
  /** Where the batch lies in the group's buffer. */
  readonly start: number
  readonly length: number
  readonly first: number
  readonly count: number
  readonly previousChain: Chain
  readonly chain: Chain
}

interface OpenBatch {
  readonly start: number
  readonly timeMin: number
  timeLast: number
  count: number
  length: number
}

export interface Group {
  readonly buffer: ArrayBuffer
  /** Bytes used of `buffer`. */
  readonly length: number
  readonly count: number
  /**
   * Packs validated records that take about `bytes`; returns the place of the first within the
   * group.
   */
  add(records: readonly AppendRecord[], now: number, bytes?: number): number
  seal(origin: OriginId, first: number, chain: Chain, digests: Digests): readonly SealedBatch[]
}

/** A group that grows takes as much again, up to this much at a time. */
const growthBytesMax = 1024 * 1024

class PackedGroup implements Group {
  buffer: ArrayBuffer
  length = 0
  count = 0
  private view: Uint8Array
  private readonly batches: OpenBatch[] = []
  private current: OpenBatch | undefined
  /** Ends of the current batch's records, relative to its body. */
  private readonly ends: number[] = []

  constructor(buffer: ArrayBuffer) {
    this.buffer = buffer
    this.view = new Uint8Array(this.buffer)
  }

  add(records: readonly AppendRecord[], now: number, bytes = 0): number {
    const place = this.count
    // Growing step by step would move what is there again and again. Two batches that follow each
    // other are fuller than one.
    const batches = 1 + 2 * Math.ceil(bytes / BATCH_PAYLOAD_BYTES_MAX)
    this.reserve(this.length + bytes + records.length * 4 + batches * HEADER_BYTES)
    for (const record of records) this.pack(record, now)
    return place
  }

  private pack(record: AppendRecord, now: number): void {
    let batch = this.current
    // Within a batch time never runs backwards, so that deltas stay unsigned.
    let delta = batch === undefined ? 0 : Math.max(now, batch.timeLast) - batch.timeMin
    let size = recordLength(record, delta)
    if (batch === undefined || !this.fits(batch, size, delta)) {
      this.finish()
      delta = 0
      size = recordLength(record, delta)
      batch = { start: this.length, timeMin: now, timeLast: now, count: 0, length: 0 }
      this.current = batch
      this.batches.push(batch)
      this.length += HEADER_BYTES
    }
    // Room for the ends as well, so that `finish` never has to grow.
    this.reserve(this.length + size + (batch.count + 1) * 4)
    this.length = writeRecord(this.view, this.length, record, delta)
    this.ends[batch.count] = this.length - batch.start - HEADER_BYTES
    batch.timeLast = batch.timeMin + delta
    batch.count += 1
    this.count += 1
  }

  private fits(batch: OpenBatch, size: number, delta: number): boolean {
    const used = this.length - batch.start - HEADER_BYTES
    return (
      batch.count < BATCH_RECORDS_MAX && used + size <= BATCH_PAYLOAD_BYTES_MAX && delta < 2 ** 32
    )
  }

  /** Writes the table of ends behind the current batch's records. */
  private finish(): void {
    const batch = this.current
    if (batch === undefined) return
    for (let index = 0; index < batch.count; index += 1) {
      writeU32(this.view, this.length, this.ends[index] ?? 0)
      this.length += 4
    }
    batch.length = this.length - batch.start
    this.current = undefined
  }

  private reserve(bytes: number): void {
    if (bytes <= this.view.length) return
    const step = Math.min(this.view.length, growthBytesMax)
    const grown = new ArrayBuffer(Math.max(bytes, this.view.length + step))
    const view = new Uint8Array(grown)
    view.set(this.view.subarray(0, this.length))
    releaseBytes(this.view)
    this.buffer = grown
    this.view = view
  }

  seal(origin: OriginId, first: number, chain: Chain, digests: Digests): readonly SealedBatch[] {
    this.finish()
    let sequence = first
    let previousChain = chain
    return this.batches.map(({ start, length, count, timeMin, timeLast }) => {
      invariant(count > 0, 'no batch is empty')
      const header = { origin, first: sequence, count, timeMin, timeMaxDelta: timeLast - timeMin }
      const bytes = this.view.subarray(start, start + length)
      const after = sealBatch(bytes, header, previousChain, digests)
      const sealed = { start, length, first: sequence, count, previousChain, chain: after }
      sequence += count
      previousChain = after
      return sealed
    })
  }
}

/**
 * A group that packs into `buffer` until it has to grow. What the buffer held before does not
 * matter.
 */
export function createGroup(buffer: ArrayBuffer): Group {
  return new PackedGroup(buffer)
}
