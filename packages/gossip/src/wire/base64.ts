/** Base64 with padding, as Go's standard encoding: how keys are written down. */

const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const values: ReadonlyMap<string, number> = new Map(
  Array.from(digits, (digit, value) => [digit, value]),
)

export function toBase64(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += 3) {
    const [first = 0, second = 0, third = 0] = bytes.subarray(at, at + 3)
    const group = (first << 16) | (second << 8) | third
    const given = Math.min(3, bytes.length - at)
    for (let digit = 0; digit < 4; digit += 1) {
      text += digit <= given ? (digits[(group >> (18 - digit * 6)) & 63] ?? '') : '='
    }
  }
  return text
}

/** Undefined for what is not base64; line breaks are passed over, as Go does. */
export function fromBase64(text: string): Uint8Array | undefined {
  const dense = text.replaceAll(/[\r\n]/g, '')
  if (dense.length % 4 !== 0) return undefined
  const padding = dense.endsWith('==') ? 2 : dense.endsWith('=') ? 1 : 0
  const bytes = new Uint8Array((dense.length / 4) * 3 - padding)
  let group = 0
  let at = 0
  for (let index = 0; index < dense.length; index += 1) {
    const value = index >= dense.length - padding ? 0 : values.get(dense.charAt(index))
    if (value === undefined) return undefined
    group = (group << 6) | value
    if (index % 4 !== 3) continue
    for (const shift of [16, 8, 0]) {
      if (at < bytes.length) bytes[at] = (group >> shift) & 0xff
      at += 1
    }
    group = 0
  }
  return bytes
}
