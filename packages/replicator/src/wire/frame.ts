/**
 * One message: `u32 header length | header | parts`, a part being `u8 kind | u32 length | bytes`,
 * integers little-endian. Batches travel as parts, untouched; so do the rows of vectors, so that
 * the header stays small however many origins there are.
 */
import { wireLimits } from './limits.ts'

/** What a part holds. Rows are msgpack arrays; a batch is the stored bytes. */
export const partKind: {
  readonly state: 1
  readonly want: 2
  readonly ack: 3
  readonly gap: 4
  readonly fork: 5
  readonly ackChain: 6
  readonly ackFrom: 7
  readonly batch: 9
} = Object.freeze({ state: 1, want: 2, ack: 3, gap: 4, fork: 5, ackChain: 6, ackFrom: 7, batch: 9 })

export interface Part {
  readonly kind: number
  readonly bytes: Uint8Array
}

export interface Frame {
  readonly header: Uint8Array
  readonly parts: readonly Part[]
}

const partHeadBytes = 5

/** Memory for a message. Need not be zeroed: all of it is written. */
export type Allocate = (bytes: number) => Uint8Array

export function encodeFrame(
  frame: Frame,
  allocate: Allocate = (bytes) => new Uint8Array(bytes),
): Uint8Array {
  let total = 4 + frame.header.length
  for (const part of frame.parts) total += partHeadBytes + part.bytes.length
  const bytes = allocate(total)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  view.setUint32(0, frame.header.length, true)
  bytes.set(frame.header, 4)
  let at = 4 + frame.header.length
  for (const part of frame.parts) {
    view.setUint8(at, part.kind)
    view.setUint32(at + 1, part.bytes.length, true)
    bytes.set(part.bytes, at + partHeadBytes)
    at += partHeadBytes + part.bytes.length
  }
  return bytes
}

/** The frame, its parts being views of `bytes`, or what is wrong. */
export function decodeFrame(bytes: Uint8Array): Frame | string {
  if (bytes.length < 4) return 'cut short'
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const headerBytes = view.getUint32(0, true)
  if (headerBytes > wireLimits.headerBytesMax) return 'header too large'
  let at = 4 + headerBytes
  if (at > bytes.length) return 'header cut short'
  const header = bytes.subarray(4, at)
  const parts: Part[] = []
  while (at < bytes.length) {
    if (parts.length === wireLimits.partsMax) return 'too many parts'
    if (at + partHeadBytes > bytes.length) return 'part cut short'
    const kind = view.getUint8(at)
    const length = view.getUint32(at + 1, true)
    at += partHeadBytes
    const max = kind === partKind.batch ? wireLimits.batchBytesMax : wireLimits.rowsBytesMax
    if (length > max) return 'part too large'
    if (at + length > bytes.length) return 'part cut short'
    parts.push({ kind, bytes: bytes.subarray(at, at + length) })
    at += length
  }
  return { header, parts }
}
