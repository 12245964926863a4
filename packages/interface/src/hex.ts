/** Both directions by table: vectors of many thousand origins are written and read as hex. */
const pairs: readonly string[] = Object.freeze(
  Array.from({ length: 256 }, (_, byte) => (byte < 16 ? '0' : '') + byte.toString(16)),
)

/** Bytes as lower-case hex. */
export function toHex(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += pairs[byte]
  return text
}

/** The bytes of an even run of hex digits; undefined for anything else. */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0) return undefined
  const bytes = new Uint8Array(text.length / 2)
  for (let index = 0; index < bytes.length; index += 1) {
    const value = digit(text.charCodeAt(index * 2)) * 16 + digit(text.charCodeAt(index * 2 + 1))
    if (!(value >= 0)) return undefined
    bytes[index] = value
  }
  return bytes
}

/** NaN for anything that is no hex digit, so that it poisons the sum. */
function digit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48
  if (code >= 97 && code <= 102) return code - 87
  return code >= 65 && code <= 70 ? code - 55 : Number.NaN
}
