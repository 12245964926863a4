/** The label header `f4 length label` in front of packets and of requests on streams. */
import { messageType } from './memberlist.ts'
import { concatBytes } from './packet.ts'

const labelBytesMax = 255

/** `label` of 1 to 255 bytes in front of `bytes`; the empty label adds nothing. */
export function addLabel(label: Uint8Array, bytes: Uint8Array): Uint8Array {
  if (label.length === 0) return bytes
  return concatBytes([Uint8Array.of(messageType.label, label.length), label, bytes])
}

/** What follows the header; undefined where the label is absent, foreign, empty or cut off. */
export function stripLabel(label: Uint8Array, bytes: Uint8Array): Uint8Array | undefined {
  if (bytes[0] !== messageType.label) return label.length === 0 ? bytes : undefined
  const length = bytes[1] ?? 0
  const rest = 2 + length
  if (length === 0 || length > labelBytesMax || length !== label.length) return undefined
  if (bytes.length < rest) return undefined
  return label.every((byte, index) => bytes[2 + index] === byte) ? bytes.subarray(rest) : undefined
}
