/** UTF-8, declared by hand because this layer is compiled without ambient types. */

interface Encoder {
  encode(text: string): Uint8Array
  encodeInto(text: string, target: Uint8Array): { read: number; written: number }
}
interface Decoder {
  decode(bytes: Uint8Array): string
}

declare const TextEncoder: { new (): Encoder }
declare const TextDecoder: {
  new (label: string, options: { fatal: boolean; ignoreBOM: boolean }): Decoder
}

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export function utf8Bytes(text: string): Uint8Array {
  return encoder.encode(text)
}

/** Bytes `text` takes in UTF-8. */
export function utf8Length(text: string): number {
  let length = 0
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index)
    if (unit < 0x80) length += 1
    else if (unit < 0x800) length += 2
    else if (unit >= 0xd800 && unit < 0xdc00 && isLow(text.charCodeAt(index + 1))) {
      length += 4
      index += 1
    } else length += 3
  }
  return length
}

function isLow(unit: number): boolean {
  return unit >= 0xdc00 && unit < 0xe000
}

/** Writes `text` at `at` and returns the end. The caller made room. */
export function writeUtf8(target: Uint8Array, at: number, text: string): number {
  return at + encoder.encodeInto(text, target.subarray(at)).written
}

/** Undefined where the bytes are not UTF-8. */
export function readUtf8(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}
