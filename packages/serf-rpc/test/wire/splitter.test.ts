// Where values end is found in pieces of any size, within limits, whatever the bytes are.
import { array, assert, constantFrom, integer, property, tuple, uint8Array } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MsgpackReader } from '@kith/msgpack'
import { type FrameLimits, FrameSplitter } from '../../src/wire/splitter.ts'
import { hex } from '../support/vectors.ts'

const limits: FrameLimits = { bytesMax: 4_096, valuesMax: 64, nestingMax: 4 }

function frames(splitter: FrameSplitter, allowed = limits): number[] {
  const lengths: number[] = []
  for (let frame = splitter.next(allowed); frame; frame = splitter.next(allowed)) {
    lengths.push(frame.length)
  }
  return lengths
}

function push(bytes: Uint8Array, allowed = limits): FrameSplitter {
  const splitter = new FrameSplitter()
  splitter.push(bytes)
  splitter.next(allowed)
  return splitter
}

/** A value of each head there is, whole. */
const values = [
  ...['00', '7f', 'e0', 'ff', 'c0', 'c2', 'c3', '80', '90', 'a0'],
  ...['a3616263', 'd903616263', 'da0003616263', 'db00000003616263'],
  ...['c403616263', 'c50003616263', 'c600000003616263'],
  ...['cc01', 'cd0001', 'ce00000001', 'cf0000000000000001'],
  ...['d001', 'd10001', 'd200000001', 'd30000000000000001', 'ca00000000', 'cb0000000000000000'],
  ...['d40100', 'd5010000', 'd60100000000', `d701${'00'.repeat(8)}`, `d801${'00'.repeat(16)}`],
  ...['c7020100ff', 'c800020100ff', 'c9000000020100ff', 'c70001'],
  ...['920102', 'dc00020102', 'dd000000020102', '81a16b01', 'de0001a16b01', 'df00000001a16b01'],
  ...['929190c0', '81a16b82a1780190c0', 'dc0000', 'de0000'],
].map(hex)

describe('frames', () => {
  it('RPC-2 every kind of value ends where the reader says', () => {
    for (const value of values) {
      const reader = new MsgpackReader(value)
      reader.skip()
      expect([reader.failure, reader.position]).toEqual([undefined, value.length])
      for (let piece = 1; piece <= value.length; piece += 1) {
        const splitter = new FrameSplitter()
        for (let at = 0; at < value.length; at += piece) {
          expect(splitter.next(limits)).toBeUndefined()
          splitter.push(value.slice(at, at + piece))
        }
        expect(splitter.next(limits)).toEqual(value)
        expect([splitter.heldBytes, splitter.failure]).toEqual([0, undefined])
      }
    }
  })

  it('RPC-2 values in any row and any pieces come out one by one', () => {
    const rows = array(tuple(constantFrom(...values), integer({ min: 1, max: 20 })), {
      maxLength: 40,
    })
    assert(
      property(rows, (row) => {
        const splitter = new FrameSplitter()
        const all = Buffer.concat(row.map(([value]) => value))
        const found: number[] = []
        let at = 0
        for (const [, piece] of row) {
          splitter.push(new Uint8Array(all.subarray(at, at + piece)))
          at += piece
          found.push(...frames(splitter))
        }
        splitter.push(new Uint8Array(all.subarray(at)))
        found.push(...frames(splitter))
        expect(found).toEqual(row.map(([value]) => value.length))
      }),
      { numRuns: 200 },
    )
  })

  const beyond: readonly (readonly [string, string, string])[] = [
    ['text of 4 GiB', 'dbffffffff', 'bytesMax'],
    ['bytes of 4 GiB', 'c6ffffffff', 'bytesMax'],
    ['an extension of 4 GiB', 'c9ffffffff', 'bytesMax'],
    ['one byte more than there may be', 'da0ffe', 'bytesMax'],
    ['an array of 4 billion', 'ddffffffff', 'bytesMax'],
    ['a map of 4 billion', 'dfffffffff', 'bytesMax'],
    ['65 values in one', 'dc0041', 'valuesMax'],
    ['33 pairs in one', 'de0021', 'valuesMax'],
    ['five lists in each other', '9191919191', 'nestingMax'],
    ['five maps in each other', '81a081a081a081a081', 'nestingMax'],
    ['the byte that is never used', 'c1', 'malformed'],
  ]
  it.each(beyond)('RPC-3 refuses %s by its announcement', (_title, bytes, failure) => {
    expect(push(hex(bytes)).failure).toBe(failure)
  })

  it('RPC-3 lets the most there may be pass', () => {
    const largest = new Uint8Array(4_096)
    largest.set(hex('da0ffd'))
    for (const bytes of [largest, hex(`dc003f${'c0'.repeat(63)}`), hex('91919190')]) {
      const splitter = new FrameSplitter()
      splitter.push(bytes)
      expect(splitter.next(limits)?.length).toBe(bytes.length)
    }
  })

  it('RPC-3 gives nothing more after a failure', () => {
    const splitter = push(hex('c1'))
    splitter.push(hex('00'))
    expect([splitter.next(limits), splitter.failure]).toEqual([undefined, 'malformed'])
  })

  it('RPC-3 holds what came and at most as much again', () => {
    const splitter = new FrameSplitter()
    splitter.push(hex('da0ffd'))
    for (let count = 0; count < 4_092; count += 1) {
      splitter.push(new Uint8Array(1))
      expect(splitter.next(limits)).toBeUndefined()
      expect(splitter.heldBytes).toBe(count + 4)
    }
    splitter.push(new Uint8Array(1))
    expect(splitter.next(limits)?.length).toBe(4_096)
    expect(splitter.heldBytes).toBe(0)
  })

  it('RPC-3 no bytes make it throw, and what it passes is msgpack to the reader', () => {
    assert(
      property(uint8Array({ maxLength: 300 }), integer({ min: 1, max: 50 }), (bytes, piece) => {
        const splitter = new FrameSplitter()
        for (let at = 0; at < bytes.length; at += piece) {
          splitter.push(bytes.slice(at, at + piece))
          for (let frame = splitter.next(limits); frame; frame = splitter.next(limits)) {
            const reader = new MsgpackReader(frame)
            reader.skip()
            expect([reader.failure, reader.position]).toEqual([undefined, frame.length])
          }
          if (splitter.failure !== undefined) return
        }
      }),
      { numRuns: 2_000 },
    )
  })
})
