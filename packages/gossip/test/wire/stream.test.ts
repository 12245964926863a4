// One direction of one stream: found whole whatever the pieces, bounded whatever it claims.
import { releaseBytes } from '@kith/interface'
import { pieces } from '@kith/testkit'
import { assert, property } from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  createStreamDecoder,
  decodePacket,
  defaultStreamLimits,
  encodeStream,
} from '../../src/wire/codec.ts'
import type { AnyStreamMessage, StreamDecoder, StreamStep } from '../../src/wire/codec.ts'
import { compressLzw } from '../../src/wire/lzw.ts'
import { MsgpackWriter } from '../../src/wire/msgpack.ts'
import { wrapCompress } from '../../src/wire/packet.ts'
import { hex, pushPull, row, utf8, vector } from './support.ts'

const fetch: AnyStreamMessage = {
  kind: 'fetch',
  extension: 'registry',
  from: 'a',
  node: 'b',
  request: utf8('what?'),
}
const reply: AnyStreamMessage = {
  kind: 'fetchReply',
  refused: false,
  text: '',
  body: new Uint8Array(70_000).fill(7),
}

function decode(bytes: Uint8Array): StreamStep {
  const decoder = createStreamDecoder()
  const step = decoder.push(bytes)
  return step.kind === 'more' ? decoder.end() : step
}

/** With the rows of a push/pull as a list. */
function shown(step: StreamStep | undefined): unknown {
  if (step?.kind !== 'message' || step.message.kind !== 'pushPull') return step
  return { ...step, message: { ...step.message, rows: [...step.message.rows] } }
}

function header(fields: Readonly<Record<string, number | bigint | boolean>>): Uint8Array {
  const writer = new MsgpackWriter('new').byte(6).map(Object.keys(fields).length)
  for (const [key, value] of Object.entries(fields)) {
    writer.text(key)
    if (typeof value === 'boolean') writer.bool(value)
    else writer.int(value)
  }
  return writer.finish()
}

function compress(plain: Uint8Array, algorithm = 0): Uint8Array {
  const writer = new MsgpackWriter().byte(9).map(2).text('Algo').uint(algorithm)
  return writer.text('Buf').bytes(compressLzw(plain)).finish()
}

const messages: readonly AnyStreamMessage[] = [
  pushPull([]),
  pushPull(['a', 'b', '__proto__']),
  pushPull(['a'], new Uint8Array(0)),
  {
    kind: 'ping',
    sequenceNumber: 9,
    node: 'x',
    sourceAddress: hex(''),
    sourcePort: 0,
    sourceNode: '',
  },
  { kind: 'ack', sequenceNumber: 9, payload: hex('') },
  { kind: 'error', text: 'no' },
  { kind: 'user', message: undefined, bytes: utf8('?opaque') },
  fetch,
  reply,
]

describe('streams', () => {
  it.each(messages.map((message) => [message.kind, message] as const))(
    'GOS-8 %s is found whole in pieces of any size, compressed or not',
    (_kind, message) => {
      for (const dialect of ['old', 'new'] as const) {
        const bytes = encodeStream(message, { compress: dialect === 'new', dialect })
        const check = property(pieces(bytes), (parts) => {
          const decoder = createStreamDecoder()
          const steps = parts.map((part) => decoder.push(part))
          expect(steps.slice(0, -1).every(({ kind }) => kind === 'more')).toBe(true)
          expect(shown(steps.at(-1))).toEqual({ kind: 'message', message, problems: [] })
        })
        assert(check, { numRuns: 15 })
      }
    },
  )

  it('GOS-8 bytes behind the message are ignored, and the answer stays the same', () => {
    const bytes = encodeStream(pushPull(['a']))
    const decoder = createStreamDecoder()
    const step = decoder.push(Uint8Array.from([...bytes, 1, 2, 3]))
    expect(step.kind).toBe('message')
    expect(decoder.push(bytes)).toBe(step)
    expect(decoder.end()).toBe(step)
  })

  it('GOS-7 a stream is compressed even where that is larger', () => {
    const message = { kind: 'ack', sequenceNumber: 1, payload: hex('') } as const
    const plain = encodeStream(message)
    expect(encodeStream(message, { compress: true }).length).toBeGreaterThan(plain.length)
  })

  it('GOS-8 reads the compress wrapper with its keys in either order', () => {
    const writer = new MsgpackWriter().byte(9).map(2).text('Buf')
    writer
      .bytes(compressLzw(encodeStream(fetch)))
      .text('Algo')
      .uint(0)
    expect(decode(writer.finish())).toMatchObject({ kind: 'message', message: fetch })
  })

  it('GOS-11 a row with an unusable name or state is left out and counted, the others stay', () => {
    const good = row('good')
    const bad = new MsgpackWriter().map(1).text('Name').bytes(hex('c328')).finish()
    const odd = new MsgpackWriter().map(2).text('Name').text('x').text('State').int(4).finish()
    const rest = encodeStream(pushPull(['good'], hex(''))).subarray(
      header({ Join: true, Nodes: 1, UserStateLen: 0 }).length,
    )
    const bytes = Uint8Array.from([
      ...header({ Join: true, Nodes: 5, UserStateLen: 0 }),
      ...bad,
      ...odd,
      0x80,
      0xc0,
      ...rest,
    ])
    expect(shown(decode(bytes))).toEqual({
      kind: 'message',
      message: { kind: 'pushPull', join: true, rows: [good], userState: hex('') },
      problems: [{ kind: 'rowSkipped', count: 4 }],
    })
  })

  it('GOS-12 a row with fewer than six version bytes has none', () => {
    const bytes = encodeStream({ ...pushPull([]), rows: [{ ...row('a'), versions: undefined }] })
    const step = decode(bytes)
    if (step.kind !== 'message' || step.message.kind !== 'pushPull') throw new Error(step.kind)
    expect([...step.message.rows][0]?.versions).toBeUndefined()
  })
})

const refused: readonly (readonly [string, Uint8Array, string, boolean])[] = [
  ['nothing', hex(''), 'streamTruncated', false],
  ['an end inside of the header', header({ Nodes: 1 }).subarray(0, -1), 'streamTruncated', false],
  ['an end inside of the rows', header({ Nodes: 2 }), 'streamTruncated', false],
  ['an end inside of the user state', header({ UserStateLen: 9 }), 'streamTruncated', false],
  ['a negative row count', header({ Nodes: -1 }), 'headerOutOfRange', false],
  ['2^31 rows', header({ Nodes: 2 ** 31 }), 'headerOutOfRange', false],
  ['1,048,577 rows', header({ Nodes: 1_048_577 }), 'headerOutOfRange', false],
  ['a negative user state', header({ UserStateLen: -1 }), 'headerOutOfRange', false],
  ['a user state of 8 MiB and 1', header({ UserStateLen: 8_388_609 }), 'headerOutOfRange', false],
  [
    'a user message of 1 GiB',
    hex('08 81 aa557365724d73674c656e ce40000000'),
    'headerOutOfRange',
    false,
  ],
  ['a user message of nothing', hex('08 80'), 'emptyMessage', false],
  ['an encrypted frame', hex('0a 00000010'), 'encryptionMissing', true],
  ['an unknown type', hex('0e'), 'typeUnknown', false],
  ['a label nobody expects', hex('f4 01 61'), 'typeUnknown', false],
  ['a compound', hex('07 00'), 'typeMisplaced', false],
  ['a checksum', hex('0c 00000000'), 'typeMisplaced', false],
  ['a suspect', hex('03 80'), 'typeMisplaced', false],
  ['compression in compression', compress(compress(hex('0d80'))), 'typeMisplaced', false],
  ['an unknown algorithm', compress(hex('0d80'), 7), 'compressAlgorithm', true],
  ['compression of nothing', compress(hex('')), 'compressEmpty', true],
  ['compression of garbage', hex('09 82a4416c676f00a3427566a3ffffff'), 'compressMalformed', true],
  ['compression that ends early', compress(header({ Nodes: 2 })), 'streamTruncated', false],
  ['a body that is no struct', hex('00 05'), 'messageMalformed', false],
  ['a ping of a name that is not UTF-8', hex('00 81a44e6f6465a2c328'), 'textInvalid', false],
  ['a raw of 4 GiB', hex('0d 81a54572726f72dbffffffff'), 'streamTooLarge', false],
  ['a compressed body of 4 GiB', hex('09 81a3427566dbffffffff'), 'streamTooLarge', false],
  ['a fetch of 5 MiB', hex('4b 81a4426f6479db00500000'), 'streamTooLarge', false],
]

describe('what streams hold', () => {
  const bytesHeld = (): number => process.memoryUsage().arrayBuffers

  it('GOS-91 rows are held as what they weigh on the wire, read anew, and freed', () => {
    const names = Array.from({ length: 16_384 }, (_, index) => `member-${index}.somewhere`)
    const bytes = encodeStream(pushPull(names))
    const step = decode(bytes)
    if (step.kind !== 'message' || step.message.kind !== 'pushPull') throw new Error(step.kind)
    const { rows } = step.message
    expect(rows.length).toBe(16_384)
    for (const round of [1, 2]) {
      expect(
        [...rows].map(({ name }) => name),
        `round ${round}`,
      ).toEqual(names)
    }
    const before = bytesHeld()
    rows.release?.()
    expect(before - bytesHeld()).toBeGreaterThan(bytes.length * 0.9)
    expect([rows.length, [...rows]]).toEqual([0, []])
  })

  it('GOS-91 whatever a stream was, nothing of it is held when it is over', () => {
    const state = encodeStream(pushPull(['a'], new Uint8Array(4_000_000)))
    const cut = state.subarray(0, -1)
    const [cutCompressed, stateCompressed] = [wrapCompress(cut), wrapCompress(state)]
    const over: readonly ((decoder: StreamDecoder) => void)[] = [
      (decoder) => void decoder.push(cut),
      (decoder) => void decoder.push(cutCompressed),
      (decoder) => {
        const step = decoder.push(stateCompressed)
        if (step.kind !== 'message' || step.message.kind !== 'pushPull') throw new Error(step.kind)
        step.message.rows.release?.()
        releaseBytes(step.message.userState)
      },
    ]
    for (const use of over) {
      const before = bytesHeld()
      const decoder = createStreamDecoder()
      use(decoder)
      decoder.close()
      expect(decoder.heldBytes).toBe(0)
      expect(bytesHeld() - before).toBeLessThan(100_000)
    }
  })
})

describe('streams that are refused', () => {
  it.each(refused)('GOS-9 %s', (_title, bytes, kind, replies) => {
    const step = decode(bytes)
    expect(step).toMatchObject({ kind: 'failed', problem: { kind } })
    expect(step.kind === 'failed' && step.reply !== undefined).toBe(replies)
  })

  it('GOS-9 exactly 8 MiB of user state and 1,048,576 rows may be announced', () => {
    const decoder = createStreamDecoder()
    const bytes = header({ Nodes: 1_048_576, UserStateLen: 8_388_608 })
    expect(decoder.push(bytes).kind).toBe('more')
    expect(decoder.heldBytes).toBeLessThan(64)
  })

  it('GOS-9 a whole user state of 8 MiB is taken', () => {
    const step = decode(encodeStream(pushPull([], new Uint8Array(8_388_608))))
    expect(step.kind).toBe('message')
  })

  it('GOS-10 the real request for an unknown algorithm gets a reply that real members read', () => {
    const step = decode(hex('09 82a4416c676f07a3427566a178'))
    if (step.kind !== 'failed' || step.reply === undefined) throw new Error('no reply')
    expect(step.reply).toBe('cannot decompress unknown algorithm 7')
    const error = encodeStream({ kind: 'error', text: step.reply }, { compress: true })
    expect(error).toEqual(vector('label-tcp-err'))
  })

  it('GOS-9 a bomb of empty rows, of real rows and of zeros is stopped in bounded memory', () => {
    const count = 1_048_576
    const rows = header({ Join: true, Nodes: count, UserStateLen: 0 })
    const small = new MsgpackWriter().map(1).text('Name').text('x').finish()
    const empty = new Uint8Array(rows.length + count).fill(0xc0)
    const real = new Uint8Array(rows.length + count * small.length)
    empty.set(rows)
    real.set(rows)
    for (let at = rows.length; at < real.length; at += small.length) real.set(small, at)
    expect(decode(wrapCompress(empty))).toMatchObject({ problem: { kind: 'messageMalformed' } })
    expect(decode(wrapCompress(real))).toMatchObject({ problem: { kind: 'streamTooLarge' } })
    const zeros = wrapCompress(new Uint8Array(4_000_000))
    expect(decode(zeros)).toMatchObject({ problem: { kind: 'messageMalformed' } })
  })

  it('GOS-9 what decompresses beyond the limit is refused with a reply', () => {
    const limits = { ...defaultStreamLimits, decompressedBytesMax: 65_536 }
    const state = encodeStream(pushPull([], new Uint8Array(200_000)), { compress: true })
    expect(createStreamDecoder(limits).push(state)).toMatchObject({
      kind: 'failed',
      problem: { kind: 'compressTooLarge' },
      reply: 'cannot decompress: the result is too large',
    })
  })

  it('GOS-9 one byte at a time costs no more tries than it must', () => {
    // A struct of 4,000 unknown keys: each try reads all keys before the one that is cut off.
    const writer = new MsgpackWriter().byte(0).map(4000)
    for (let key = 0; key < 4000; key += 1) writer.text(`k${key}`).uint(key)
    const bytes = writer.finish()
    const decoder = createStreamDecoder()
    const started = performance.now()
    for (const byte of bytes) decoder.push(Uint8Array.of(byte))
    expect(decoder.push(hex('')).kind).toBe('message')
    expect(performance.now() - started).toBeLessThan(2_000)
  })
})

it('GOS-20 a fetch begins with a type that a Serf does not know, in packets nothing', () => {
  const digests = { crc32: () => 0, sha256: () => hex('') }
  for (const message of [fetch, reply]) {
    const bytes = encodeStream(message, { compress: true })
    expect([0x4b, 0x6b]).toContain(bytes[0])
    const problem = bytes.length > 65_536 ? 'packetTooLarge' : 'typeUnknown'
    expect(decodePacket(bytes, digests).problems).toMatchObject([{ kind: problem }])
  }
})
