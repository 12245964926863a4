// Compression: equal to Go's byte for byte, and no input makes it hang or grow.
import { createRandom, fromHex, toHex } from '@kith/interface'
import { array, assert, constantFrom, oneof, property, uint8Array } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compressLzw, decompressLzw, LzwReader } from '../../src/wire/lzw.ts'

const samples: readonly (readonly [string, string])[] = [
  ['', '000302'],
  ['41', '00830404'],
  ['4141414141414141', '0083081c283020'],
  ['616263616263616263616263', '00c388192390e0c0820101'],
]

function bytesOf(hex: string): Uint8Array {
  return fromHex(hex) ?? new Uint8Array(0)
}

describe('LZW', () => {
  it.each(samples)('GOS-5 compresses %s as Go does', (plain, compressed) => {
    expect(toHex(compressLzw(bytesOf(plain)))).toBe(compressed)
    expect(decompressLzw(bytesOf(compressed), 100)).toEqual(bytesOf(plain))
  })

  it('GOS-5 gives back what it was given, through many table resets too', () => {
    const random = createRandom(7)
    const noise = Uint8Array.from({ length: 300_000 }, () => random.below(256))
    const prose = new TextEncoder().encode('all see all; every service resolves; '.repeat(9000))
    for (const plain of [noise, prose, new Uint8Array(400_000)]) {
      const compressed = compressLzw(plain)
      const again = decompressLzw(compressed, plain.length)
      expect(typeof again !== 'string' && Buffer.compare(again, plain)).toBe(0)
    }
  })

  it('GOS-5 gives back any bytes', () => {
    const repetitive = array(constantFrom(0, 1, 2), { maxLength: 5000 }).map((list) =>
      Uint8Array.from(list),
    )
    const plains = oneof(uint8Array({ maxLength: 5000 }), repetitive)
    assert(
      property(plains, (plain) => {
        expect(decompressLzw(compressLzw(plain), plain.length)).toEqual(plain)
      }),
      { numRuns: 300 },
    )
  })

  it('GOS-5 reads on in a full table whose writer never clears it', () => {
    // Codes for single bytes only: the table fills, learns nothing more, and stays readable.
    const writer: number[] = []
    let [bits, count] = [0, 0]
    const put = (code: number, width: number): void => {
      bits |= code << count
      count += width
      for (; count >= 8; count -= 8, bits >>>= 8) writer.push(bits & 0xff)
    }
    let [width, high] = [9, 257]
    for (let index = 0; index < 5000; index += 1) {
      put(index % 256, width)
      if (high < 4095 && (high += 1) === 1 << width && width < 12) width += 1
    }
    put(4095, 12)
    put(257, 12)
    put(0, 8)
    const plain = decompressLzw(Uint8Array.from(writer), 10_000)
    if (typeof plain === 'string') throw new Error(plain)
    expect(plain.subarray(0, 5000)).toEqual(Uint8Array.from({ length: 5000 }, (_, at) => at % 256))
    // The last entry that was learnt stands for two bytes.
    expect(plain.length).toBe(5002)
  })

  it('GOS-5 calls a missing end, a code from the future and a cut malformed', () => {
    const whole = compressLzw(new TextEncoder().encode('abcabcabcabcabc'))
    for (let end = 0; end < whole.length - 1; end += 1) {
      expect(decompressLzw(whole.subarray(0, end), 1000)).toBe('malformed')
    }
    expect(decompressLzw(bytesOf('00ffff'), 1000)).toBe('malformed')
  })

  it('GOS-5 stops at the bound, not behind it', () => {
    const bomb = compressLzw(new Uint8Array(1_000_000))
    expect(bomb.length).toBeLessThan(2_000)
    expect(decompressLzw(bomb, 65_536)).toBe('tooLarge')
    expect(decompressLzw(bomb, 999_999)).toBe('tooLarge')
    expect(decompressLzw(bomb, 1_000_000)).toHaveLength(1_000_000)
  })

  it('GOS-5 ends on any bytes within the bound', () => {
    assert(
      property(uint8Array({ maxLength: 3000 }), (bytes) => {
        const plain = decompressLzw(bytes, 65_536)
        expect(typeof plain === 'string' || plain.length <= 65_536).toBe(true)
        const reader = new LzwReader(bytes)
        const block = new Uint8Array(7)
        let total = 0
        while (reader.state === 'more' && total < 70_000) total += reader.read(block)
      }),
      { numRuns: 500 },
    )
  })
})
