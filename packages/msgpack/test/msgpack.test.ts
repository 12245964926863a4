// The dialect: what go-msgpack accepts is accepted, what it refuses is refused, and no count is
// believed.
import { fromHex, toHex } from '@kith/interface'
import { assert, bigInt, property, uint8Array } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MsgpackReader, MsgpackWriter } from '../src/index.ts'

function hex(text: string): Uint8Array {
  const bytes = fromHex(text.replaceAll(' ', ''))
  if (bytes === undefined) throw new Error(`not hex: ${text}`)
  return bytes
}

interface Fields {
  count: number
  name: string
  data: Uint8Array
  flag: boolean
}

/** Reads {N u32, S str, B bytes, F bool}; undefined where the reader refused. */
function read(text: string): Fields | undefined {
  const reader = new MsgpackReader(hex(text))
  const fields: Fields = { count: 0, name: '', data: new Uint8Array(0), flag: false }
  reader.struct(['N', 'S', 'B', 'F'], (field) => {
    if (field === 'N') fields.count = reader.uint(0xffff_ffff)
    else if (field === 'S') fields.name = reader.text()
    else if (field === 'B') fields.data = reader.bytes()
    else if (field === 'F') fields.flag = reader.bool()
    else reader.skip()
  })
  return reader.failure === undefined && !reader.textInvalid ? fields : undefined
}

const accepted: readonly (readonly [string, string, Partial<Fields>])[] = [
  ['u64 for u32', '81 a14e cf0000000000000007', { count: 7 }],
  ['i64 for u32', '81 a14e d30000000000000007', { count: 7 }],
  ['i8 for u32', '81 a14e d007', { count: 7 }],
  ['nil for an int', '81 a14e c0', { count: 0 }],
  ['nil for the struct', 'c0', { count: 0 }],
  ['an empty map', '80', { count: 0 }],
  ['str8 as key', '81 d9014e 05', { count: 5 }],
  ['str8 as text', '81 a153 d90178', { name: 'x' }],
  ['bin8 as text', '81 a153 c40178', { name: 'x' }],
  ['bin8 as key', '81 c4014e 05', { count: 5 }],
  ['str8 as bytes', '81 a142 d90178', { data: hex('78') }],
  ['bin8 as bytes', '81 a142 c40178', { data: hex('78') }],
  ['ints as bytes', '81 a142 93 01 02 ccff', { data: hex('0102ff') }],
  ['a nil key', '82 c0 05 a14e 06', { count: 6 }],
  ['a key twice', '82 a14e 05 a14e 06', { count: 6 }],
  ['ext under an unknown key', '82 a158 d60000000001 a14e 06', { count: 6 }],
  ['ext8 under an unknown key', '82 a158 c7020501ff a14e 06', { count: 6 }],
  ['an array in declaration order', '94 07 a178 c40101 c3', { count: 7, name: 'x', flag: true }],
  ['a short array', '91 07', { count: 7, name: '' }],
  ['a long array', '95 07 a178 c0 c2 93010203', { count: 7 }],
  ['map16 for one entry', 'de0001 a14e 05', { count: 5 }],
  ['map32 for one entry', 'df00000001 a14e 05', { count: 5 }],
  ['unknown keys', '82 a158 81a17993c0c3cb3ff0000000000000 a14e 05', { count: 5 }],
  ['a key in the wrong case', '81 a16e 05', { count: 0 }],
  ['bytes behind the value', '81 a14e 05 ffff', { count: 5 }],
  ['1 for a bool', '81 a146 01', { flag: true }],
  ['0 for a bool', '81 a146 00', { flag: false }],
  ['nil for a bool', '81 a146 c0', { flag: false }],
  ['NaN under an unknown key', '81 a158 cb7ff8000000000001', {}],
  ['__proto__ as a key', '81 a95f5f70726f746f5f5f 05', {}],
]

const refused: readonly (readonly [string, string])[] = [
  ['a negative int', '81 a14e ff'],
  ['a negative i64', '81 a14e d3ffffffffffffffff'],
  ['a u32 that overflows', '81 a14e cf0000000100000000'],
  ['a float for an int', '81 a14e cb3ff0000000000000'],
  ['a bool for an int', '81 a14e c3'],
  ['text for an int', '81 a14e a137'],
  ['an int for text', '81 a153 07'],
  ['an element above 255 as bytes', '81 a142 91 cd0100'],
  ['an int instead of the struct', '05'],
  ['text instead of the struct', 'a14e'],
  ['an int as a key', '81 05 05'],
  ['cc 01 for a bool', '81 a146 cc01'],
  ['text for a bool', '81 a146 a131'],
  ['text that is not UTF-8', '81 a153 a2c328'],
  ['a map with a count beyond the data', 'df7fffffff a14e 05'],
  ['an array with a count beyond the data', 'ddffffffff'],
  ['raw32 of 4 GiB with nothing behind', '81 a142 dbffffffff'],
  ['bin32 of 4 GiB with nothing behind', '81 a142 c6ffffffff'],
  ['ext32 of 4 GiB with nothing behind', '81 a158 c9ffffffff00'],
  ['the byte that is never used', '81 a158 c1'],
  ['nothing', ''],
]

describe('msgpack, reading', () => {
  it.each(accepted)('GOS-3 accepts %s', (_title, text, fields) => {
    expect(read(text)).toMatchObject(fields)
  })

  it.each(refused)('GOS-4 refuses %s', (_title, text) => {
    expect(read(text)).toBeUndefined()
  })

  it('GOS-4 refuses every value that is cut off', () => {
    const whole = '84 a14e cd0102 a153 da00026162 a142 c403010203 a146 c3'.replaceAll(' ', '')
    expect(read(whole)).toBeDefined()
    for (let end = 0; end < whole.length; end += 2)
      expect(read(whole.slice(0, end))).toBeUndefined()
  })

  it('GOS-4 refuses nesting beyond 16 and does not recurse into it', () => {
    expect(read(`81a158${'91'.repeat(15)}c0`)).toBeDefined()
    expect(read(`81a158${'91'.repeat(16)}c0`)).toBeUndefined()
    const deep = new Uint8Array(100_000).fill(0x91)
    deep.set(hex('81a158'))
    expect(read(toHex(deep))).toBeUndefined()
  })

  it('GOS-3 keeps 64 bits of a Lamport time', () => {
    const value = 0xffff_ffff_ffff_fffen
    const bytes = new MsgpackWriter().uint(value).finish()
    expect(new MsgpackReader(bytes).u64()).toBe(value)
  })

  it('GOS-8 says of a value cut off how many bytes another try needs at the least', () => {
    const reader = new MsgpackReader(hex('82 a14e da0010 6162'))
    reader.struct(['N'], () => void reader.text())
    // 16 bytes of text behind 6 bytes of heads, then at least one key and one value.
    expect([reader.failure, reader.needed]).toEqual(['short', 6 + 16 + 2])
  })
})

describe('msgpack, writing', () => {
  const widths: readonly (readonly [number | bigint, string, string])[] = [
    [0, '00', '00'],
    [127, '7f', '7f'],
    [128, 'cc80', 'd10080'],
    [151, 'cc97', 'd10097'],
    [585, 'cd0249', 'd10249'],
    [32_767, 'cd7fff', 'd17fff'],
    [32_768, 'cd8000', 'd200008000'],
    [27_001, 'cd6979', 'd16979'],
    [2 ** 31 - 1, 'ce7fffffff', 'd27fffffff'],
    [3_200_000_000n, 'cebebc2000', 'd300000000bebc2000'],
    [2n ** 40n, 'cf0000010000000000', 'd30000010000000000'],
  ]

  it.each(widths)('GOS-7 writes a signed %s as each dialect has it', (value, old, young) => {
    expect(toHex(new MsgpackWriter('old').int(value).finish())).toBe(old)
    expect(toHex(new MsgpackWriter('new').int(value).finish())).toBe(young)
    expect(toHex(new MsgpackWriter('new').uint(value).finish())).toBe(old)
  })

  it('GOS-7 uses raw lengths of the old dialect only', () => {
    const head = (length: number): string =>
      toHex(new MsgpackWriter().bytes(new Uint8Array(length)).finish().subarray(0, 5))
    expect(toHex(new MsgpackWriter().bytes(new Uint8Array(0)).finish())).toBe('a0')
    expect(head(31).slice(0, 2)).toBe('bf')
    expect(head(32).slice(0, 6)).toBe('da0020')
    expect(head(255).slice(0, 6)).toBe('da00ff')
    expect(head(65_535).slice(0, 6)).toBe('daffff')
    expect(head(65_536)).toBe('db00010000')
  })

  it('GOS-7 tells text from bytes in the dialect of the RPC port', () => {
    const text = (length: number): string =>
      toHex(new MsgpackWriter('ext').text('x'.repeat(length)).finish().subarray(0, 3))
    const bytes = (length: number): string =>
      toHex(new MsgpackWriter('ext').bytes(new Uint8Array(length)).finish().subarray(0, 5))
    expect([0, 31, 32, 255, 256].map(text)).toEqual(['a0', 'bf7878', 'd92078', 'd9ff78', 'da0100'])
    expect(text(65_536)).toBe('db0001')
    expect([bytes(0), bytes(4).slice(0, 4), bytes(255).slice(0, 4)]).toEqual([
      'c400',
      'c404',
      'c4ff',
    ])
    expect([bytes(256).slice(0, 6), bytes(65_536)]).toEqual(['c50100', 'c600010000'])
    expect(toHex(new MsgpackWriter('ext').int(3_200_000_000n).finish())).toBe('cebebc2000')
    expect(toHex(new MsgpackWriter('ext').bytesOrNil(new Uint8Array(0)).finish())).toBe('c0')
  })

  it('GOS-3 reads floats of both widths, and integers where a float is wanted', () => {
    const float = (text: string): number | undefined => {
      const reader = new MsgpackReader(hex(`93 01 ${text} 02`))
      let value = 0
      reader.array((index) => (index === 1 ? (value = reader.float()) : reader.skip()))
      return reader.failure === undefined ? value : undefined
    }
    expect(float('cb3ff8000000000000')).toBe(1.5)
    expect(float('ca3fc00000')).toBe(1.5)
    expect([float('07'), float('ff'), float('cf0000000000000100')]).toEqual([7, -1, 256])
    expect(float('c0')).toBe(0)
    expect([float('a131'), float('c3')]).toEqual([undefined, undefined])
    for (const value of [0, -0, 1e-5, 1.5, Number.MAX_VALUE, Number.NEGATIVE_INFINITY]) {
      const bytes = new MsgpackWriter('ext').text('x'.repeat(250)).float(value).finish()
      const reader = new MsgpackReader(bytes)
      reader.skip()
      expect([reader.float(), reader.failure]).toEqual([value, undefined])
    }
  })

  it('GOS-3 reads back every integer and every byte string', () => {
    assert(
      property(
        bigInt({ min: 0n, max: 2n ** 63n - 1n }),
        uint8Array({ maxLength: 70_000 }),
        (n, b) => {
          for (const dialect of ['old', 'new', 'ext'] as const) {
            const writer = new MsgpackWriter(dialect).int(n).uint(n).bytes(b)
            const reader = new MsgpackReader(writer.finish())
            expect([reader.i64(), reader.u64()]).toEqual([n, n])
            expect(Buffer.compare(reader.bytes(), b)).toBe(0)
            expect(reader.failure).toBeUndefined()
          }
        },
      ),
      { numRuns: 60 },
    )
  })
})
