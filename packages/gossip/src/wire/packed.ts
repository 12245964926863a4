/**
 * Bytes kept as text, one character each. A short Uint8Array is ten times as large as what is in
 * it, which counts where there are several for each of thousands of members. For up to some hundred
 * bytes: they are passed as arguments.
 */
export function packBytes(bytes: Uint8Array): string {
  // Spreading bytes goes through an iterator, at several times the cost.
  return Reflect.apply(String.fromCharCode, undefined, bytes)
}

export function unpackBytes(packed: string): Uint8Array {
  const bytes = new Uint8Array(packed.length)
  for (let at = 0; at < packed.length; at += 1) bytes[at] = packed.charCodeAt(at)
  return bytes
}

/** Whether `bytes` are those that were packed. */
export function isPacked(packed: string, bytes: Uint8Array): boolean {
  if (packed.length !== bytes.length) return false
  for (let at = 0; at < bytes.length; at += 1) {
    if (packed.charCodeAt(at) !== bytes[at]) return false
  }
  return true
}
