import { describe, expect, it } from 'vitest'
import { fromHex, toHex } from '../src/index.ts'

describe('hex', () => {
  it('writes and reads every byte', () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, index) => index)
    const text = toHex(bytes)
    expect(text).toHaveLength(512)
    expect(text.slice(0, 8)).toBe('00010203')
    expect(fromHex(text)).toEqual(bytes)
    expect(fromHex(text.toUpperCase())).toEqual(bytes)
    expect(fromHex('')).toEqual(new Uint8Array(0))
  })

  it.each(['0', '0g', 'g0', '0x00', ' 00', '0/', '0:', '@0', '`0', '00 '])('refuses %j', (text) => {
    expect(fromHex(text)).toBeUndefined()
  })
})
