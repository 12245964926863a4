/** IP addresses between their bytes on a wire and their text. Bytes decide; text is for humans. */

const mappedPrefix = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]

/** Dotted for 4 bytes and for v4-mapped 16, IPv6 text for other 16; undefined for other lengths. */
export function addressText(bytes: Uint8Array): string | undefined {
  if (bytes.length === 4) return bytes.join('.')
  if (bytes.length !== 16) return undefined
  if (mappedPrefix.every((byte, index) => bytes[index] === byte)) {
    return bytes.subarray(12).join('.')
  }
  return v6Text(bytes)
}

function v6Text(bytes: Uint8Array): string {
  const groups: string[] = []
  for (let at = 0; at < 16; at += 2) {
    groups.push((((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)).toString(16))
  }
  // The longest run of zero groups, of at least two, is written as two colons.
  let [best, bestLength] = [-1, 1]
  for (let start = 0; start < 8; start += 1) {
    let length = 0
    while (groups[start + length] === '0') length += 1
    if (length > bestLength) [best, bestLength] = [start, length]
  }
  if (best < 0) return groups.join(':')
  return `${groups.slice(0, best).join(':')}::${groups.slice(best + bestLength).join(':')}`
}

/** The 4 or 16 bytes of an IP literal without brackets or zone; undefined for anything else. */
export function addressBytes(text: string): Uint8Array | undefined {
  return text.includes(':') ? v6Bytes(text) : v4Bytes(text)
}

function v4Bytes(text: string): Uint8Array | undefined {
  const parts = text.split('.')
  const valid = parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)
  return parts.length === 4 && valid ? Uint8Array.from(parts, Number) : undefined
}

function v6Bytes(text: string): Uint8Array | undefined {
  const halves = text.split('::')
  const left = groupBytes(halves[0] ?? '')
  const right = groupBytes(halves[1] ?? '')
  if (halves.length > 2 || left === undefined || right === undefined) return undefined
  const missing = 16 - left.length - right.length
  if (halves.length === 1 ? missing !== 0 : missing < 2) return undefined
  return Uint8Array.from([...left, ...Array<number>(missing).fill(0), ...right])
}

function groupBytes(text: string): number[] | undefined {
  if (text === '') return []
  const bytes: number[] = []
  const groups = text.split(':')
  for (const [index, group] of groups.entries()) {
    const dotted = index === groups.length - 1 ? v4Bytes(group) : undefined
    if (dotted !== undefined) bytes.push(...dotted)
    else if (/^[0-9A-Fa-f]{1,4}$/.test(group)) {
      const value = Number.parseInt(group, 16)
      bytes.push(value >> 8, value & 0xff)
    } else return undefined
  }
  return bytes
}
