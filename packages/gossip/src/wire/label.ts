/** The label header `f4 length label` in front of packets and of requests on streams. */
import { messageType } from './memberlist.ts'
import { concatBytes } from './packet.ts'
import type { DecodeProblemKind } from './problem.ts'

export const labelBytesMax = 255
const labelHeaderBytes = 2

/** `label` of 1 to 255 bytes in front of `bytes`; the empty label adds nothing. */
export function addLabel(label: Uint8Array, bytes: Uint8Array): Uint8Array {
  if (label.length === 0) return bytes
  return concatBytes([Uint8Array.of(messageType.label, label.length), label, bytes])
}

/** What `addLabel` adds. */
export function labelOverhead(label: Uint8Array): number {
  return label.length === 0 ? 0 : labelHeaderBytes + label.length
}

/** What follows the header, or what is wrong with it; the empty label wants none. */
export function stripLabel(label: Uint8Array, bytes: Uint8Array): Uint8Array | DecodeProblemKind {
  if (bytes[0] !== messageType.label) return label.length === 0 ? bytes : 'labelMissing'
  const length = bytes[1] ?? 0
  const rest = labelHeaderBytes + length
  if (length === 0 || bytes.length < rest) return 'labelMalformed'
  if (length !== label.length) return 'labelForeign'
  const same = label.every((byte, index) => bytes[labelHeaderBytes + index] === byte)
  return same ? bytes.subarray(rest) : 'labelForeign'
}

/** Bytes of a stream that `stripLabel` needs before it can tell; `bytes` is what is there. */
export function labelBytesNeeded(bytes: Uint8Array): number {
  if (bytes[0] !== messageType.label) return 1
  return labelHeaderBytes + (bytes[1] ?? 0)
}
