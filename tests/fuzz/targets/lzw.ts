/** LZW against a slow reader that was written from the format alone. */
import { compressLzw, decompressLzw, LzwReader } from '../../../packages/gossip/src/wire/lzw.ts'
import type { LzwResult } from '../../../packages/gossip/src/wire/lzw.ts'
import { ascii, holds, sameBytes, sizeOfBomb } from '../target.ts'
import type { FuzzTarget, Mutator } from '../target.ts'

const plainBytesMax = 65_536

/** Codes as they stand in the bytes, of the widths that a reader expects after each. */
function slowly(input: Uint8Array, limit: number): LzwResult {
  let table: (readonly number[])[] = []
  let last: readonly number[] | undefined
  let [bit, width, length] = [0, 9, 0]
  const parts: (readonly number[])[] = []
  const clear = (): void => {
    table = Array.from({ length: 258 }, (_, code) => (code < 256 ? [code] : []))
    ;[last, width] = [undefined, 9]
  }
  clear()
  // The highest code known is one ahead of the table: it may be met before it is complete.
  let high = 257
  for (;;) {
    if (bit + width > input.length * 8) return 'malformed'
    let code = 0
    for (let index = 0; index < width; index += 1, bit += 1) {
      code |= (((input[bit >> 3] ?? 0) >> (bit & 7)) & 1) << index
    }
    if (code === 257) return Uint8Array.from(parts.flat())
    if (code === 256) {
      clear()
      high = 257
      continue
    }
    if (code > high) return 'malformed'
    const known = code === high && last !== undefined ? undefined : table[code]
    const text: readonly number[] = known ?? [...(last ?? []), last?.[0] ?? 0]
    parts.push(text)
    length += text.length
    if (length > limit) return 'tooLarge'
    if (last !== undefined) table[high] = [...last, text[0] ?? 0]
    last = text
    high += 1
    if (high < 1 << width) continue
    if (width < 12) width += 1
    else [last, high] = [undefined, high - 1]
  }
}

/** The codes themselves are bent, not the bits between them. */
const bentCode: Mutator = (bytes, random) => {
  const codes = Math.floor((bytes.length * 8) / 9)
  if (codes === 0) return bytes
  const copy = bytes.slice()
  const from = random.below(codes) * 9
  const value = [256, 257, 258, 259, 511, random.below(512)][random.below(6)] ?? 0
  for (let index = 0; index < 9; index += 1) {
    const at = from + index
    const mask = 1 << (at & 7)
    const old = copy[at >> 3] ?? 0
    copy[at >> 3] = (value >> index) & 1 ? old | mask : old & ~mask
  }
  return copy
}

const compressed: Mutator = (bytes) => compressLzw(bytes)

const bomb: Mutator = (bytes, random) =>
  compressLzw(new Uint8Array(sizeOfBomb(random, 120_000)).fill(bytes[0] ?? 0))

/** Enough of different codes that the table fills up. */
const filled: Mutator = (bytes, random) => {
  const plain = new Uint8Array(sizeOfBomb(random, 16_000))
  for (let at = 0; at < plain.length; at += 1) plain[at] = random.below(1 + (bytes[0] ?? 0))
  return compressLzw(plain)
}

export const lzw: FuzzTarget = {
  bytesMax: 8_192,
  seeds: () => [
    compressLzw(new Uint8Array(0)),
    compressLzw(ascii('a')),
    compressLzw(ascii('abababababababababab')),
    compressLzw(ascii('the cat sat on the mat and the cat sat again')),
    compressLzw(new Uint8Array(10_000)),
  ],
  words: [],
  mutators: [...Array.from({ length: 27 }, () => bentCode), compressed, bomb, filled],
  ends: ['whole', 'malformed', 'tooLarge', 'empty'],
  check(bytes, random) {
    const limit = random.below(4) === 0 ? random.below(2_000) : plainBytesMax
    const result = decompressLzw(bytes, limit)
    if (typeof result !== 'string') holds(result.length <= limit, 'more than it may')
    if (typeof result !== 'string' && random.below(4) === 0) {
      const again = decompressLzw(compressLzw(result), limit)
      holds(typeof again !== 'string' && sameBytes(again, result), 'it does not come back')
    }
    // As a plain text, too, where that is short.
    if (bytes.length < 2_000 && random.below(4) === 0) {
      const back = decompressLzw(compressLzw(bytes), bytes.length)
      holds(typeof back !== 'string' && sameBytes(back, bytes), 'compressing loses something')
    }
    if (random.below(4) === 0) checkPieces(bytes, result, limit, 1 + random.below(300))
    if (random.below(32) === 0 && bytes.length < 600) {
      const expected = slowly(bytes, limit)
      const same =
        typeof result === 'string' || typeof expected === 'string'
          ? result === expected
          : sameBytes(result, expected)
      holds(same, 'two readers do not agree')
    }
    if (typeof result === 'string') return result
    return result.length === 0 ? 'empty' : 'whole'
  },
}

function checkPieces(bytes: Uint8Array, result: LzwResult, limit: number, size: number): void {
  if (bytes.length > 4_000) return
  const reader = new LzwReader(bytes)
  const block = new Uint8Array(size)
  let length = 0
  let same = true
  while (reader.state === 'more' && length <= limit) {
    const filled = reader.read(block)
    if (typeof result !== 'string') {
      same &&= sameBytes(block.subarray(0, filled), result.subarray(length, length + filled))
    }
    length += filled
  }
  // What waits in the last string comes once the state has left `more`.
  for (let filled = 1; filled > 0 && length <= limit; length += filled) {
    filled = reader.read(block)
    if (typeof result !== 'string') {
      same &&= sameBytes(block.subarray(0, filled), result.subarray(length, length + filled))
    }
  }
  reader.close()
  const whole = typeof result === 'string' ? true : same && length === result.length
  holds(whole, 'in blocks it is something else')
}
