/** IP addresses as the wire has them: bytes decide, text is for humans. */
export { addressBytes, addressText } from '@kith/interface'

const mappedPrefix = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]

/**
 * Whether one member can be reached at these 4 or 16 bytes: neither nobody's address (all zero) nor
 * that of many (multicast, broadcast).
 */
export function isUnicast(bytes: Uint8Array): boolean {
  const mapped = mappedPrefix.every((byte, index) => bytes[index] === byte)
  const plain = bytes.length === 16 && mapped ? bytes.subarray(12) : bytes
  if (plain.every((byte) => byte === 0)) return false
  const first = plain[0] ?? 0
  if (plain.length === 16) return first !== 0xff
  return (first < 224 || first > 239) && !plain.every((byte) => byte === 255)
}

/** Whether these 4 or 16 bytes mean the machine itself, to whoever reads them. */
export function isLoopback(bytes: Uint8Array): boolean {
  const mapped = mappedPrefix.every((byte, index) => bytes[index] === byte)
  const plain = bytes.length === 16 && mapped ? bytes.subarray(12) : bytes
  if (plain.length === 4) return plain[0] === 127
  return plain.every((byte, index) => byte === (index === 15 ? 1 : 0))
}

/** Whether other machines than those on the same wire could reach these 4 or 16 bytes. */
export function isRoutable(bytes: Uint8Array): boolean {
  if (!isUnicast(bytes) || isLoopback(bytes)) return false
  const [first = 0, second = 0] = bytes
  if (bytes.length === 4) return first !== 169 || second !== 254
  return first !== 0xfe || (second & 0xc0) !== 0x80
}

/** Whether these bytes are of a private network: RFC 1918, and RFC 4193. */
export function isPrivate(bytes: Uint8Array): boolean {
  const [first = 0, second = 0] = bytes
  if (bytes.length === 16) return (first & 0xfe) === 0xfc
  if (first === 172) return second >= 16 && second < 32
  return first === 10 || (first === 192 && second === 168)
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let at = 0; at < a.length; at += 1) if (a[at] !== b[at]) return false
  return true
}
