/**
 * The few fields of a stored batch's header that replication reads to know what it received. The
 * log checks the batch; nothing here is believed beyond "this is what was asked for".
 */
import { toHex } from '@kith/interface'
import type { OriginId } from '@kith/interface'

export interface BatchHead {
  readonly origin: OriginId
  readonly first: number
  /** One past the last sequence. */
  readonly next: number
}

const headBytes = 64
const countAt = 16
const firstAt = 20
const originAt = 28

/** Undefined for bytes that cannot be a batch. */
export function readBatchHead(bytes: Uint8Array): BatchHead | undefined {
  if (bytes.length < headBytes || bytes[0] !== 0x4b || bytes[1] !== 0x42) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, headBytes)
  const first = view.getUint32(firstAt, true) + view.getUint16(firstAt + 4, true) * 2 ** 32
  const count = view.getUint32(countAt, true)
  if (first < 1 || count < 1) return undefined
  const origin = toHex(bytes.subarray(originAt, originAt + 16))
  return { origin, first, next: first + count }
}
