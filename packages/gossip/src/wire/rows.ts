/**
 * The rows of a push/pull that somebody sent, held as the bytes they came in and read one at a
 * time. A row in memory costs several times what it costs on the wire, and whoever sends a large
 * state decides how many there are.
 */
import { releaseBytes } from '@kith/interface'
import type { PushPullRow, Rows } from './message.ts'
import { MsgpackReader } from './msgpack.ts'
import { readRow } from './push-pull.ts'

const blockBytesMin = 4_096
const blockBytesMax = 262_144

interface Block {
  readonly bytes: Uint8Array
  end: number
}

export class PackedRows implements Rows {
  #blocks: Block[] = []
  #length = 0
  #heldBytes = 0

  get length(): number {
    return this.#length
  }

  /** What the rows hold, room that is not used yet included. */
  get heldBytes(): number {
    return this.#heldBytes
  }

  /** Keeps a copy of a row that `readRow` found usable. */
  push(row: Uint8Array): void {
    const block = this.#room(row.length)
    block.bytes.set(row, block.end)
    block.end += row.length
    this.#length += 1
  }

  *[Symbol.iterator](): Generator<PushPullRow> {
    for (const { bytes, end } of this.#blocks) {
      const reader = new MsgpackReader(bytes.subarray(0, end))
      while (reader.position < end) {
        const row = readRow(reader)
        if (row === undefined) return
        yield row
      }
    }
  }

  release(): void {
    for (const { bytes } of this.#blocks.splice(0)) releaseBytes(bytes)
    this.#length = 0
    this.#heldBytes = 0
  }

  #room(length: number): Block {
    const last = this.#blocks.at(-1)
    if (last !== undefined && last.end + length <= last.bytes.length) return last
    const size = Math.min(blockBytesMax, Math.max(blockBytesMin, this.#heldBytes))
    const block = { bytes: new Uint8Array(Math.max(size, length)), end: 0 }
    this.#blocks.push(block)
    this.#heldBytes += block.bytes.length
    return block
  }
}
