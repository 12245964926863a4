import { createRandom, toHex } from '@kith/interface'
import type { HelloMessage, OriginState, PullRequest, PullResponse } from '@kith/interface'
import { decode, DecodeError, encode } from '@msgpack/msgpack'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createCodec } from '../src/wire/codec.ts'
import type { Decoded } from '../src/wire/codec.ts'
import { decodeFrame, encodeFrame, partKind } from '../src/wire/frame.ts'
import type { Frame, Part } from '../src/wire/frame.ts'
import { wireLimits } from '../src/wire/limits.ts'
import { scan } from '../src/wire/scan.ts'

const hex = (bytes: number): fc.Arbitrary<string> =>
  fc
    .uint8Array({ minLength: bytes, maxLength: bytes })
    .map((value) => Buffer.from(value).toString('hex'))

const sequence = fc.integer({ min: 1, max: 2 ** 48 })

const stateArbitrary: fc.Arbitrary<OriginState> = fc
  .record({
    origin: hex(16),
    member: fc.string({ maxLength: 30, unit: 'grapheme-ascii' }),
    points: fc.uniqueArray(sequence, { minLength: 2, maxLength: 10 }),
    chain: hex(32),
    status: fc.constantFrom('live', 'sealed', 'retired', 'quarantined'),
    own: fc.boolean(),
  })
  .map(({ points, ...rest }) => {
    const sorted = points.toSorted((a, b) => a - b)
    const next = sorted.at(-1) ?? 1
    const holes = []
    for (let index = 0; index + 1 < sorted.length; index += 2) {
      holes.push({ from: sorted[index] ?? 1, to: sorted[index + 1] ?? 1 })
    }
    return { ...rest, floor: sorted[0] ?? 1, next, holes }
  })

const vector = fc.uniqueArray(stateArbitrary, {
  maxLength: 20,
  selector: (state) => state.origin,
})

const helloArbitrary: fc.Arbitrary<HelloMessage> = fc.record({
  versions: fc.array(fc.integer({ min: 1, max: 255 }), { maxLength: 5 }),
  clusterId: fc.string({ maxLength: 30 }),
  logId: hex(16),
  member: fc.string({ maxLength: 30 }),
  origin: hex(16),
  durable: fc.boolean(),
  vector,
  vectorVersion: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
})

const plainArbitrary: fc.Arbitrary<PullRequest> = fc.record({
  logId: hex(16),
  want: fc.array(
    fc.record({ origin: hex(16), next: sequence, chain: fc.option(hex(32), { nil: null }) }),
  ),
  bytesMax: fc.integer({ min: 1, max: wireLimits.pullBytesMax }),
  maxWaitMs: fc.integer({ min: 0, max: 30_000 }),
  ack: fc.array(fc.tuple(hex(16), sequence)).map((entries) => new Map(entries)),
  ackChains: fc.array(fc.tuple(hex(16), hex(32))).map((entries) => new Map(entries)),
  vectorVersion: fc.nat(),
})

/** With the ranges that this version says, and without, as earlier ones ask. */
const requestArbitrary: fc.Arbitrary<PullRequest> = fc
  .tuple(plainArbitrary, fc.array(fc.tuple(hex(16), sequence, sequence)))
  .map(([request, ranges]) => {
    if (ranges.length === 0) return request
    const ack = new Map(ranges.map(([origin, a, b]) => [origin, Math.max(a, b)]))
    const ackFrom = new Map(ranges.map(([origin, a, b]) => [origin, Math.min(a, b)]))
    return { ...request, ack, ackFrom }
  })

const responseArbitrary: fc.Arbitrary<PullResponse> = fc.record({
  logId: hex(16),
  batches: fc.array(fc.uint8Array({ minLength: 1, maxLength: 400 })),
  gaps: fc.array(
    fc
      .record({ origin: hex(16), asked: sequence, more: sequence, chainBefore: hex(32) })
      .map(({ more, ...rest }) => ({ ...rest, resume: rest.asked + more })),
  ),
  forks: fc.array(fc.record({ origin: hex(16), sequence, chain: hex(32) })),
  more: fc.boolean(),
  vector,
  vectorVersion: fc.nat(),
})

const codec = createCodec()

function value<Value>(decoded: Decoded<Value>): Value {
  if (!decoded.ok) throw new Error(decoded.problem)
  return decoded.value
}

describe('replication messages', () => {
  it('REP-23 hello, pull and answer come back as they were sent', () => {
    fc.assert(
      fc.property(helloArbitrary, requestArbitrary, responseArbitrary, (hello, pull, data) => {
        expect(value(codec.hello.decode(codec.hello.encode(hello)))).toEqual(hello)
        expect(value(codec.pullRequest.decode(codec.pullRequest.encode(pull)))).toEqual(pull)
        const answer = value(codec.pullResponse.decode(codec.pullResponse.encode(data)))
        expect(answer).toEqual(data)
      }),
      { numRuns: 200 },
    )
  })

  it('REP-23 chain and fetch come back as they were sent', () => {
    const origin = 'ab'.repeat(16)
    const sequences = [1, 2, 2 ** 40]
    expect(codec.chainRequest.decode(codec.chainRequest.encode({ origin, sequences }))).toEqual({
      ok: true,
      value: { origin, sequences },
    })
    const chains = ['cd'.repeat(32), null]
    expect(value(codec.chainResponse.decode(codec.chainResponse.encode(chains)))).toEqual(chains)
    const fetch = { origin, first: 7 }
    expect(value(codec.fetchRequest.decode(codec.fetchRequest.encode(fetch)))).toEqual(fetch)
    const bytes = Uint8Array.of(1, 2, 3)
    expect(value(codec.fetchResponse.decode(codec.fetchResponse.encode(bytes)))).toEqual(bytes)
    expect(value(codec.fetchResponse.decode(codec.fetchResponse.encode(undefined)))).toBe(undefined)
  })

  it('REP-24 refuses acknowledgements that begin behind their end, or do not all say where', () => {
    const part = (kind: number, rows: readonly unknown[]): Part => ({ kind, bytes: encode(rows) })
    const message = (
      acks: readonly (readonly unknown[])[],
      froms: readonly unknown[],
    ): Uint8Array => {
      const parts = [part(partKind.ack, acks), part(partKind.ackFrom, froms)]
      const log = new Uint8Array(16)
      const header = { t: 'pull', n: 2, log, bytesMax: 9, maxWaitMs: 0, vectorVersion: 0 }
      return encodeFrame({ header: encode(header), parts })
    }
    const origin = new Uint8Array(16)
    const other = new Uint8Array(16).fill(1)
    expect(codec.pullRequest.decode(message([[origin, 7]], [7]))).toMatchObject({ ok: true })
    const [one, two] = [
      [[origin, 7]],
      [
        [origin, 7],
        [other, 9],
      ],
    ]
    for (const [acks, froms] of [
      ...[8, 0, -1, 1.5, 2 ** 60, '1', null, [1]].map((from) => [one, [from]] as const),
      [two, [1]] as const,
      [one, [1, 1]] as const,
      [[], [1]] as const,
    ]) {
      expect(codec.pullRequest.decode(message(acks, froms))).toMatchObject({ ok: false })
    }
  })

  it('REP-6 says from where on in a byte or a few for each acknowledgement', () => {
    const origins = Array.from({ length: 5 }, (_, at) => toHex(new Uint8Array(16).fill(at)))
    const request: PullRequest = {
      ...{ logId: 'ab'.repeat(16), want: [], bytesMax: 9, maxWaitMs: 0, vectorVersion: 0 },
      ack: new Map(origins.map((origin) => [origin, 100_000])),
    }
    const bytes = (froms: number | undefined): number => {
      const ackFrom = froms && new Map(origins.map((origin) => [origin, froms]))
      return codec.pullRequest.encode({ ...request, ...(ackFrom && { ackFrom }) }).length
    }
    expect(bytes(1) - bytes(undefined)).toBe(11)
    expect(bytes(90_000) - bytes(undefined)).toBe(31)
    const idle = { ...request, ack: new Map() }
    const said = codec.pullRequest.encode({ ...idle, ackFrom: new Map() }).length
    expect(said).toBe(codec.pullRequest.encode(idle).length)
  })

  it('REP-24 random and damaged bytes never throw past the codec', () => {
    const formats = Object.values(codec)
    const samples = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc
        .tuple(helloArbitrary, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 }))
        .map(([hello, flips]) => {
          const bytes = codec.hello.encode(hello)
          for (const [at, byte] of flips) bytes[at % bytes.length] = byte
          return bytes
        }),
      fc.tuple(responseArbitrary, fc.nat(), fc.nat(255)).map(([response, cut, byte]) => {
        const bytes = codec.pullResponse.encode(response)
        bytes[cut % bytes.length] = byte
        return bytes.subarray(0, bytes.length - (cut % 7))
      }),
    )
    fc.assert(
      fc.property(samples, (bytes) => {
        for (const format of formats) expect(typeof format.decode(bytes).ok).toBe('boolean')
      }),
      { numRuns: 600 },
    )
  })

  it('REP-24 every message cut anywhere is refused', () => {
    const hello: HelloMessage = {
      versions: [1],
      clusterId: 'kith',
      logId: '11'.repeat(16),
      member: 'a',
      origin: '22'.repeat(16),
      durable: true,
      vector: [emptyState(1), emptyState(2)],
      vectorVersion: 0,
    }
    const bytes = codec.hello.encode(hello)
    for (let length = 0; length < bytes.length; length += 1) {
      expect(codec.hello.decode(bytes.subarray(0, length)).ok).toBe(false)
    }
  })

  // About a second of a processor: of a loaded machine it may get a thirtieth.
  it('REP-24 a vector may have 65,536 origins and not one more', { timeout: 120_000 }, () => {
    const helloOf = (vector: readonly OriginState[]): Uint8Array =>
      codec.hello.encode({
        versions: [1],
        clusterId: 'kith',
        logId: '11'.repeat(16),
        member: 'a',
        origin: '22'.repeat(16),
        durable: true,
        vector,
        vectorVersion: 0,
      })
    const max = wireLimits.vectorEntriesMax
    const full = helloOf(Array.from({ length: max }, (_, at) => emptyState(at)))
    expect(full.length).toBeLessThan(wireLimits.requestBytesMax)
    expect(value(codec.hello.decode(full)).vector.length).toBe(max)
    const [most, one] = [frameOf(full), frameOf(helloOf([emptyState(max)]))]
    const parts = [...most.parts, ...one.parts]
    const header = { ...(decode(most.header) as object), n: parts.length }
    const over = codec.hello.decode(encodeFrame({ header: encode(header), parts }))
    expect(over).toEqual({ ok: false, problem: 'rows has more than 0 entries' })
  })

  it('REP-24 more holes than a row takes are widened, never lost', () => {
    const holes = Array.from({ length: 3_000 }, (_, at) => ({ from: at * 4 + 2, to: at * 4 + 3 }))
    const state = { ...emptyState(1), next: 20_000, holes }
    const hello: HelloMessage = {
      versions: [1],
      clusterId: 'kith',
      logId: '11'.repeat(16),
      member: 'a',
      origin: '22'.repeat(16),
      durable: true,
      vector: [state],
      vectorVersion: 0,
    }
    const got = value(codec.hello.decode(codec.hello.encode(hello))).vector[0]
    expect(got?.holes.length).toBe(wireLimits.holesMax)
    for (const hole of holes) {
      expect(got?.holes.some(({ from, to }) => from <= hole.from && hole.to <= to)).toBe(true)
    }
  })
})

function frameOf(bytes: Uint8Array): Frame {
  const frame = decodeFrame(bytes)
  if (typeof frame === 'string') throw new Error(frame)
  return frame
}

function emptyState(at: number): OriginState {
  return {
    origin: at.toString(16).padStart(32, '0'),
    member: 'm',
    floor: 1,
    next: 1,
    chain: 'ee'.repeat(32),
    status: 'live',
    holes: [],
    own: false,
  }
}

describe('the scan before msgpack', () => {
  it('REP-24 passes what we write', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (json) => {
        expect(scan(encode(json))).toBe(undefined)
      }),
      { numRuns: 300 },
    )
  })

  it('REP-24 refuses extensions, lying lengths, depth, and bytes behind the value', () => {
    const cases: readonly (readonly [string, number[]])[] = [
      ['timestamp', [0xd6, 0xff, 0, 0, 0, 0]],
      ['record definition', [0xd4, 0x72, 0x40]],
      ['ext 8', [0xc7, 1, 5, 0]],
      ['ext 32', [0xc9, 0, 0, 0, 1, 5, 0]],
      ['the unused tag', [0xc1]],
      ['a string past the end', [0xdb, 0xff, 0xff, 0xff, 0xff]],
      ['a binary past the end', [0xc6, 0x7f, 0xff, 0xff, 0xff, 1]],
      ['an array of four billion', [0xdd, 0xff, 0xff, 0xff, 0xff]],
      ['a map of four billion', [0xdf, 0xff, 0xff, 0xff, 0xff]],
      ['a cut length', [0xda, 1]],
      ['nothing', []],
      ['two values', [0xc0, 0xc0]],
      ['nine deep', [0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0xc0]],
    ]
    for (const [name, bytes] of cases)
      expect([name, scan(Uint8Array.from(bytes))]).not.toEqual([name, undefined])
    expect(scan(Uint8Array.from([0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0xc0]))).toBe(
      undefined,
    )
  })

  it('REP-24 counts items, however many bytes there are', () => {
    const many = new Uint8Array(wireLimits.itemsMax + 10).fill(0xc0)
    many.set([0xdc, 0x80, 0x04])
    expect(scan(many)).toBe('too many items')
  })

  it('REP-24 what it passes the library decodes, or refuses for a key of a map', () => {
    const random = createRandom(7)
    let passed = 0
    let refused = 0
    for (let round = 0; round < 20_000; round += 1) {
      const bytes = Uint8Array.from({ length: 1 + random.below(12) }, () => random.below(256))
      if (scan(bytes) !== undefined) continue
      passed += 1
      try {
        decode(bytes)
      } catch (cause) {
        expect(cause).toBeInstanceOf(DecodeError)
        expect(String(cause)).toMatch(/key/)
        refused += 1
      }
    }
    expect(passed).toBeGreaterThan(100)
    expect(refused).toBeLessThan(passed / 2)
  })
})
