import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { AppendRecord } from '@kith/interface'
import { nodeDigests } from '@kith/interface/node'
import {
  assert,
  property,
  array,
  option,
  record,
  uint8Array,
  string,
  dictionary,
  integer,
} from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  BATCH_PAYLOAD_BYTES_MAX,
  BATCH_RECORDS_MAX,
  chainAfter,
  checkBatch,
  checkForeign,
  createGroup,
  HEADER_BYTES,
  originChain,
  readEnds,
  readRecord,
} from '../src/core/index.ts'
import { bytes, makeBatch } from './support.ts'

const origin = '00112233445566778899aabbccddeeff'

/** Packs and seals; returns each batch's bytes and chains. */
function pack(content: readonly AppendRecord[], now = 1_700_000_000_000) {
  const group = createGroup(new ArrayBuffer(256))
  group.add(content, now)
  const chain = originChain(origin, nodeDigests)
  return group.seal(origin, 1, chain, nodeDigests).map((sealed) => ({
    ...sealed,
    bytes: Uint8Array.from(new Uint8Array(group.buffer, sealed.start, sealed.length)),
  }))
}

function unpack(batch: Uint8Array) {
  const checked = checkBatch(batch, nodeDigests)
  if (!checked.ok) throw new Error(checked.failure)
  const body = batch.subarray(HEADER_BYTES)
  const ends = readEnds(body, checked.header.count)
  if (ends === undefined) throw new Error('ends')
  return Array.from({ length: checked.header.count }, (_, index) =>
    readRecord(body, ends[index] ?? 0, ends[index + 1] ?? 0),
  )
}

const arbitraryRecord = record(
  {
    value: uint8Array({ maxLength: 300 }),
    key: option(uint8Array({ maxLength: 40 }), { nil: undefined }),
    headers: option(
      dictionary(
        string({ minLength: 1, maxLength: 20, unit: 'grapheme' }),
        string({ unit: 'grapheme' }),
        {
          maxKeys: 5,
        },
      ),
      { nil: undefined },
    ),
  },
  { noNullPrototype: true } as never,
)

describe('the batch', () => {
  it('LOG-1 LOG-4 has the bytes that the specification shows', () => {
    const [batch] = pack([
      { value: bytes('one'), key: bytes('k') },
      { value: bytes('two'), headers: { h: 'v' } },
    ])
    expect(Buffer.from(batch?.bytes ?? []).toString('hex')).toBe(
      [
        '4b42' + '01' + '00', // magic, version, flags
        'd1bab7e0', // header checksum
        '9880edd9', // body checksum
        '19000000' + '02000000', // body length, count
        '010000000000' + '0000', // first, key id
        origin,
        '0068e5cf8b01' + '00000000', // time of the first record, largest delta
        '3968fbc1e9fdb1f1' + '0000', // chain, reserved
        '01' + '00' + '01' + '6b' + '6f6e65',
        '02' + '00' + '01' + '01' + '68' + '01' + '76' + '74776f',
        '07000000' + '11000000', // ends
      ].join(''),
    )
  })

  it('LOG-1 LOG-2 LOG-4 round-trips any records', () => {
    assert(
      property(array(arbitraryRecord, { minLength: 1, maxLength: 40 }), (content) => {
        const decoded = pack(content as AppendRecord[]).flatMap(({ bytes: batch }) => unpack(batch))
        expect(decoded.map((one) => one && { ...one, timeDelta: 0 })).toEqual(
          content.map(({ value, key, headers }) => ({
            timeDelta: 0,
            value,
            ...(key === undefined ? {} : { key }),
            ...(headers === undefined ? {} : { headers: { ...headers } }),
          })),
        )
      }),
      { numRuns: 200 },
    )
  })

  it('LOG-2 any flipped bit fails a check', () => {
    const [batch] = pack([{ value: bytes('some value'), key: bytes('key'), headers: { a: 'b' } }])
    const whole = batch?.bytes ?? new Uint8Array()
    for (let bit = 0; bit < whole.length * 8; bit += 1) {
      const flipped = Uint8Array.from(whole)
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(checkBatch(flipped, nodeDigests).ok, `bit ${bit}`).toBe(false)
    }
  })

  it('LOG-3 an unknown version or flag is said to be so, and nothing else is', () => {
    for (const [at, value, failure] of [
      [2, 2, 'version'],
      [3, 1, 'flags'],
      [3, 2, 'flags'],
      [3, 128, 'flags'],
      [26, 1, 'field'],
      [62, 1, 'field'],
    ] as const) {
      const { bytes: batch } = makeBatch(origin)
      batch[at] = value
      resealHeader(batch)
      expect(checkBatch(batch, nodeDigests)).toEqual({ ok: false, failure })
      const unsupported = failure === 'version' || failure === 'flags'
      expect(checkForeign(batch, nodeDigests).outcome).toBe(unsupported ? 'unsupported' : 'corrupt')
    }
  })

  it('LOG-1 LOG-4 hostile bytes never throw, whatever their checksums say', () => {
    const { bytes: good } = makeBatch(origin)
    assert(
      property(
        uint8Array({ maxLength: 400 }),
        array(record({ at: integer({ min: 0, max: 127 }), value: integer({ min: 0, max: 255 }) })),
        (noise, edits) => {
          checkForeign(noise, nodeDigests)
          const edited = Uint8Array.from(good)
          for (const { at, value } of edits) edited[at % edited.length] = value
          resealBody(edited)
          resealHeader(edited)
          checkForeign(edited, nodeDigests)
          const body = edited.subarray(HEADER_BYTES)
          readEnds(body, 3)
          readRecord(noise, 0, noise.length)
        },
      ),
      { numRuns: 2_000 },
    )
  })

  it('LOG-5 the chain is what the specification says, computed another way', () => {
    const sha = (...parts: Uint8Array[]): Buffer => {
      const hash = createHash('sha256')
      for (const part of parts) hash.update(part)
      return hash.digest()
    }
    const zero = sha(bytes('origin'), Buffer.from(origin, 'hex'))
    expect(originChain(origin, nodeDigests)).toBe(zero.toString('hex'))
    let chain: Uint8Array = zero
    const big = { value: new Uint8Array(120_000).fill(1) }
    const batches = pack([big, big, big])
    expect(batches.length).toBe(3)
    for (const batch of batches) {
      const header = Buffer.from(batch.bytes.subarray(0, 64))
      const stated = Buffer.from(header.subarray(54, 62))
      header.fill(0, 4, 8).fill(0, 54, 62)
      const before = Buffer.from(chain).toString('hex')
      chain = sha(chain, header, sha(batch.bytes.subarray(64)))
      expect(batch.previousChain).toBe(before)
      expect(batch.chain).toBe(Buffer.from(chain).toString('hex'))
      expect(stated).toEqual(Buffer.from(chain.subarray(0, 8)))
      expect(chainAfter(batch.bytes, before, nodeDigests)).toBe(batch.chain)
      expect(chainAfter(batch.bytes, 'ff'.repeat(32), nodeDigests)).toBe(undefined)
    }
  })

  it('LOG-6 a batch ends at 160 KiB of records or 1,024 of them; a larger record has its own', () => {
    const kilobyte = { value: new Uint8Array(1022) }
    const counts = (content: AppendRecord[]): number[] => pack(content).map(({ count }) => count)
    const small = { value: new Uint8Array(1) }
    expect(counts(Array.from({ length: 322 }, () => kilobyte))).toEqual([160, 160, 2])
    expect(counts(Array.from({ length: 2_050 }, () => small))).toEqual([
      BATCH_RECORDS_MAX,
      BATCH_RECORDS_MAX,
      2,
    ])
    const large = { value: new Uint8Array(BATCH_PAYLOAD_BYTES_MAX + 1) }
    expect(counts([small, large, small])).toEqual([1, 1, 1])
  })

  it('LOG-4 within a batch time never runs backwards', () => {
    const group = createGroup(new ArrayBuffer(64))
    for (const now of [5_000, 4_000, 9_000]) group.add([{ value: bytes('x') }], now)
    const [sealed] = group.seal(origin, 1, originChain(origin, nodeDigests), nodeDigests)
    const batch = new Uint8Array(group.buffer, 0, sealed?.length)
    expect(unpack(batch).map((one) => one?.timeDelta)).toEqual([0, 0, 4_000])
  })
})

function resealHeader(batch: Uint8Array): void {
  const view = new DataView(batch.buffer, batch.byteOffset)
  view.setUint32(4, 0, true)
  view.setUint32(4, crc32(batch.subarray(0, 64)), true)
}

function resealBody(batch: Uint8Array): void {
  new DataView(batch.buffer, batch.byteOffset).setUint32(8, crc32(batch.subarray(64)), true)
}
