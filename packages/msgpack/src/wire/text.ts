/** UTF-8, strictly: what is not valid is not a name. Only what is shown to people is repaired. */

// The wire compiles without the platform's types; these two exist on every platform it runs on.
declare class TextEncoder {
  encode(text: string): Uint8Array
}
declare class TextDecoder {
  constructor(label: string, options: { fatal: boolean; ignoreBOM: boolean })
  decode(bytes: Uint8Array): string
}

const replacing = new TextDecoder('utf-8', { fatal: false, ignoreBOM: true })
const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const asciiFastMax = 24

export function encodeText(text: string): Uint8Array {
  return encoder.encode(text)
}

/** The text of bytes[start, end), or undefined where that is not UTF-8. */
export function decodeText(bytes: Uint8Array, start: number, end: number): string | undefined {
  return asciiText(bytes, start, end) ?? strictText(bytes.subarray(start, end))
}

/** The text of bytes[start, end) with U+FFFD where it is not UTF-8: to be shown, not compared. */
export function repairText(bytes: Uint8Array, start: number, end: number): string {
  return asciiText(bytes, start, end) ?? replacing.decode(bytes.subarray(start, end))
}

// Names and keys are short ASCII nearly always, and a decoder call costs more than this loop.
function asciiText(bytes: Uint8Array, start: number, end: number): string | undefined {
  if (end - start > asciiFastMax) return undefined
  let text = ''
  for (let index = start; index < end; index += 1) {
    const byte = bytes[index] ?? 0x80
    if (byte >= 0x80) return undefined
    text += String.fromCharCode(byte)
  }
  return text
}

function strictText(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}
