// The label and the encryption around packets and streams, and what is refused before its tag.
import { createCipheriv } from 'node:crypto'
import { createRandom } from '@kith/interface'
import { nodeDigests } from '@kith/interface/node'
import { describe, expect, it } from 'vitest'
import { createAead } from '../../src/runtime/aead.ts'
import {
  createSealedDecoder,
  decodePacket,
  encodeMessage,
  encodeStream,
  openPacket,
  packetOverhead,
  sealPacket,
  sealStream,
} from '../../src/wire/codec.ts'
import type { AnyStreamMessage, Envelope, StreamStep } from '../../src/wire/codec.ts'
import { wrapCompress } from '../../src/wire/packet.ts'
import { alive, envelopeOf, fixedNonce, hex, pushPull, utf8, vector } from './support.ts'

const lab1 = utf8('lab1')
const keys = {
  128: hex('000102030405060708090a0b0c0d0e0f'),
  192: Uint8Array.from({ length: 24 }, (_, at) => at + 1),
  256: Uint8Array.from({ length: 32 }, (_, at) => 255 - at),
}
const message = encodeMessage(alive)
const ping: AnyStreamMessage = {
  kind: 'ping',
  sequenceNumber: 7,
  node: 'a',
  sourceAddress: hex(''),
  sourcePort: 0,
  sourceNode: '',
}

/** Written here a second time, by the book: version, nonce, ciphertext, tag. */
function sealedBy(
  key: Uint8Array,
  version: number,
  plain: Uint8Array,
  associated: Uint8Array,
): Uint8Array {
  const size = key.length * 8
  const cipher = createCipheriv(`aes-${size as 128 | 192 | 256}-gcm`, key, fixedNonce)
  cipher.setAAD(associated)
  const sealed = Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()])
  return Uint8Array.of(version, ...fixedNonce, ...sealed)
}

function padded(plain: Uint8Array, by = 16 - (plain.length % 16), last = by): Uint8Array {
  return Uint8Array.of(...plain, ...new Uint8Array(Math.max(0, by - 1)).fill(by), last)
}

function frameOf(payload: Uint8Array, length = payload.length): Uint8Array {
  const header = new Uint8Array(5)
  header[0] = 10
  new DataView(header.buffer).setUint32(1, length)
  return Uint8Array.of(...header, ...payload)
}

/** A frame by the book around any bytes. */
function sealedFrame(key: Uint8Array, version: number, plain: Uint8Array): Uint8Array {
  const length = 1 + 12 + plain.length + 16
  const header = frameOf(new Uint8Array(0), length)
  return Uint8Array.of(...header, ...sealedBy(key, version, plain, header))
}

function read(
  envelope: Envelope,
  bytes: Uint8Array,
  side: 'opener' | 'answerer' = 'opener',
): StreamStep {
  const decoder = createSealedDecoder(envelope, side)
  const step = decoder.push(bytes)
  return step.kind === 'more' ? decoder.end() : step
}

describe('packets', () => {
  it.each(Object.entries(keys))(
    'GOS-100 are sealed as version 1 by AES-%s, with the label as associated data',
    (_size, key) => {
      for (const label of [hex(''), lab1]) {
        const envelope = envelopeOf({ label, keys: [key] })
        const header = label.length === 0 ? hex('') : Uint8Array.of(0xf4, 4, ...lab1)
        const expected = Uint8Array.of(...header, ...sealedBy(key, 1, message, label))
        expect(sealPacket(envelope, message)).toEqual(expected)
        expect(openPacket(envelope, expected)).toEqual({ bytes: message })
        expect(expected.length - message.length).toBe(packetOverhead(envelope))
      }
    },
  )

  it.each(Object.entries(keys))('GOS-100 of version 0 are read with AES-%s', (_size, key) => {
    const envelope = envelopeOf({ label: lab1, keys: [key] })
    for (let length = 1; length <= 33; length += 1) {
      const plain = Uint8Array.from({ length }, (_, at) => at + 60)
      const sealed = sealedBy(key, 0, padded(plain), lab1)
      const opened = openPacket(envelope, Uint8Array.of(0xf4, 4, ...lab1, ...sealed))
      expect(opened).toEqual({ bytes: plain })
    }
  })

  it('GOS-100 get another nonce each time', () => {
    const envelope = envelopeOf({ keys: [keys[256]], nonce: createAead().nonce })
    const sealed = Array.from({ length: 1000 }, () => sealPacket(envelope, message))
    expect(new Set(sealed.map((bytes) => bytes.subarray(1, 13).toString())).size).toBe(1000)
  })

  it('GOS-101 are sealed by the primary and opened by any key, tried in order', () => {
    const tried: Uint8Array[] = []
    const envelope = envelopeOf({ keys: [keys[256], keys[192], keys[128]] })
    const { aead } = envelope
    const watched: Envelope = {
      ...envelope,
      aead: {
        ...aead,
        open(key, ...rest) {
          tried.push(key)
          return aead.open(key, ...rest)
        },
      },
    }
    const sealed = sealPacket(envelope, message)
    expect(openPacket(envelopeOf({ keys: [keys[256]] }), sealed).bytes).toEqual(message)
    const old = sealPacket(envelopeOf({ keys: [keys[192]] }), message)
    expect(openPacket(watched, old).bytes).toEqual(message)
    expect(tried).toEqual([keys[256], keys[192]])
  })

  const envelope = envelopeOf({ label: lab1, keys: [keys[256]] })
  const sealed = sealPacket(envelope, message)
  const inside = sealed.subarray(6)
  const labelled = (...bytes: readonly number[]): Uint8Array =>
    Uint8Array.of(0xf4, 4, ...lab1, ...bytes)
  const flipped = (at: number): Uint8Array => {
    const bytes = Uint8Array.from(sealed)
    bytes[at] = (bytes[at] ?? 0) ^ 1
    return bytes
  }
  const refused: readonly (readonly [string, Uint8Array, string])[] = [
    [
      'of another key',
      sealPacket(envelopeOf({ label: lab1, keys: [keys[128]] }), message),
      'keyUnknown',
    ],
    ['with one bit changed', flipped(40), 'keyUnknown'],
    ['with a changed tag', flipped(sealed.length - 1), 'keyUnknown'],
    ['cut short', sealed.subarray(0, -1), 'keyUnknown'],
    [
      'sealed for no label',
      labelled(...sealPacket(envelopeOf({ keys: [keys[256]] }), message)),
      'keyUnknown',
    ],
    [
      'sealed for the whole label header',
      labelled(...sealedBy(keys[256], 1, message, labelled())),
      'keyUnknown',
    ],
    ['of version 2', labelled(2, ...inside.subarray(1)), 'plaintextRefused'],
    ['of version 14', labelled(14, ...inside.subarray(1)), 'encryptionVersion'],
    ['of version 1 in 28 bytes', labelled(...inside.subarray(0, 28)), 'encryptionTruncated'],
    ['of version 0 in 44 bytes', labelled(0, ...inside.subarray(1, 44)), 'encryptionTruncated'],
    ['without its label', inside, 'labelMissing'],
    ['of another label', Uint8Array.of(0xf4, 1, 0x78, ...inside), 'labelForeign'],
    ['with a label cut off', sealed.subarray(0, 4), 'labelMalformed'],
    ['of nothing behind the label', labelled(), 'emptyMessage'],
    ['in plaintext, an alive', labelled(...message), 'plaintextRefused'],
    ['in plaintext, a ping', labelled(...vector('udp-ping')), 'plaintextRefused'],
    [
      'in plaintext, an indirect ping',
      labelled(...vector('udp-indirect-ping')),
      'plaintextRefused',
    ],
    [
      'padded with nothing',
      labelled(...sealedBy(keys[256], 0, padded(message, 16, 0), lab1)),
      'encryptionPadding',
    ],
    [
      'padded with 17',
      labelled(...sealedBy(keys[256], 0, padded(message, 17, 17), lab1)),
      'encryptionPadding',
    ],
    [
      'padded with other bytes than the last',
      labelled(...sealedBy(keys[256], 0, Uint8Array.of(...new Uint8Array(14), 1, 2), lab1)),
      'encryptionPadding',
    ],
    [
      'of version 1, changed to 0 on the way, whose end looks like padding',
      labelled(...sealedBy(keys[256], 0, Uint8Array.of(...message, 1), lab1)),
      'encryptionPadding',
    ],
    [
      'padded with 255',
      labelled(...sealedBy(keys[256], 0, padded(message, 16, 255), lab1)),
      'encryptionPadding',
    ],
  ]

  it.each(refused)('GOS-104 %s are refused by name', (_what, bytes, problem) => {
    expect(openPacket(envelope, bytes)).toEqual({ problem })
  })

  it('GOS-104 sealed around nothing are an empty message', () => {
    const open = envelopeOf({ keys: [keys[128]] })
    const { bytes } = openPacket(open, sealPacket(open, hex('')))
    const { problems } = decodePacket(bytes ?? message, nodeDigests)
    expect(problems).toEqual([{ kind: 'emptyMessage' }])
  })

  it('GOS-103 in plaintext are taken, and remarked on, where incoming is not verified', () => {
    const lax = envelopeOf({ keys: [keys[256]], verifyIncoming: false })
    for (const bytes of [message, vector('udp-ping'), vector('udp-crc-compound-alive-join')]) {
      expect(openPacket(lax, bytes)).toEqual({ bytes, problem: 'plaintextTaken' })
    }
    expect(openPacket(lax, sealPacket(lax, message))).toEqual({ bytes: message })
    const foreign = sealPacket(envelopeOf({ keys: [keys[128]] }), message)
    expect(openPacket(lax, foreign)).toEqual({ problem: 'keyUnknown' })
  })

  it('GOS-103 go out in plaintext where outgoing is not encrypted', () => {
    const silent = envelopeOf({ label: lab1, keys: [keys[256]], verifyOutgoing: false })
    expect(sealPacket(silent, message)).toEqual(labelled(...message))
    expect(packetOverhead(silent)).toBe(6)
    expect(openPacket(silent, sealed)).toEqual({ bytes: message })
  })
})

describe('streams', () => {
  it.each(Object.entries(keys))(
    'GOS-100 carry one frame by AES-%s, either version',
    (_size, key) => {
      const plain = encodeStream(ping)
      const envelope = envelopeOf({ keys: [key] })
      expect(sealStream(envelope, plain, 'opener')).toEqual(sealedFrame(key, 1, plain))
      for (const frame of [sealedFrame(key, 1, plain), sealedFrame(key, 0, padded(plain))]) {
        expect(read(envelope, frame)).toMatchObject({
          kind: 'message',
          message: ping,
          problems: [],
        })
      }
    },
  )

  it('GOS-100 have the label in front of the question only, and in the data of both', () => {
    const envelope = envelopeOf({ label: lab1, keys: [keys[256]] })
    const plain = encodeStream(ping)
    const question = sealStream(envelope, plain, 'opener')
    const answer = sealStream(envelope, plain, 'answerer')
    expect(question.subarray(0, 6)).toEqual(Uint8Array.of(0xf4, 4, ...lab1))
    expect(answer[0]).toBe(10)
    expect(question.length - answer.length).toBe(6)
    expect(read(envelope, question).kind).toBe('message')
    expect(read(envelope, answer, 'answerer').kind).toBe('message')
    const unlabelled = envelopeOf({ keys: [keys[256]] })
    expect(read(unlabelled, answer)).toMatchObject({ problem: { kind: 'keyUnknown' } })
  })

  const envelope = envelopeOf({ label: lab1, keys: [keys[256]] })
  const good = sealStream(envelope, encodeStream(ping), 'opener')
  const labelled = (bytes: Uint8Array): Uint8Array => Uint8Array.of(0xf4, 4, ...lab1, ...bytes)
  const other = sealStream(
    envelopeOf({ label: lab1, keys: [keys[128]] }),
    encodeStream(ping),
    'opener',
  )
  const refused: readonly (readonly [string, Uint8Array, string, boolean])[] = [
    ['of another key', other, 'keyUnknown', true],
    ['in plaintext', labelled(encodeStream(ping)), 'plaintextRefused', true],
    [
      'of version 2',
      labelled(frameOf(Uint8Array.of(2, ...new Uint8Array(60)))),
      'encryptionVersion',
      true,
    ],
    [
      'in a frame of 28 bytes',
      labelled(frameOf(Uint8Array.of(1, ...new Uint8Array(27)))),
      'encryptionTruncated',
      true,
    ],
    ['in a frame of nothing', labelled(frameOf(hex(''))), 'emptyMessage', false],
    ['in a frame of 4 GiB', labelled(frameOf(hex('01'), 0xffff_ffff)), 'streamTooLarge', true],
    [
      'in a frame one byte beyond the limit',
      labelled(frameOf(hex('01'), 8_454_145)),
      'streamTooLarge',
      true,
    ],
    ['without a label', good.subarray(6), 'labelMissing', false],
    ['of another label', Uint8Array.of(0xf4, 1, 0x78, ...good.subarray(6)), 'labelForeign', false],
    ['of a label without length', hex('f400'), 'labelMalformed', false],
    ['that never came', hex(''), 'streamEmpty', false],
    ['cut off in the label', good.subarray(0, 3), 'streamTruncated', false],
    ['cut off in the frame', good.subarray(0, -1), 'streamTruncated', false],
  ]

  it.each(refused)(
    'GOS-104 %s are refused by name, and told where it helps',
    (_w, bytes, kind, told) => {
      const step = read(envelope, bytes)
      expect(step).toMatchObject({ kind: 'failed', problem: { kind } })
      expect(step.kind === 'failed' && step.reply !== undefined).toBe(told)
    },
  )

  it('GOS-104 with nothing in the frame, or half a message, are refused by name', () => {
    const open = envelopeOf({ keys: [keys[256]] })
    expect(read(open, sealedFrame(keys[256], 1, hex('')))).toMatchObject({
      problem: { kind: 'emptyMessage' },
    })
    const half = sealedFrame(keys[256], 1, encodeStream(ping).subarray(0, -1))
    expect(read(open, half)).toMatchObject({ problem: { kind: 'streamTruncated' } })
  })

  it('GOS-103 in plaintext are taken, and remarked on, where incoming is not verified', () => {
    const lax = envelopeOf({ keys: [keys[256]], verifyIncoming: false })
    const problems = [{ kind: 'plaintextTaken' }]
    expect(read(lax, encodeStream(ping))).toMatchObject({ kind: 'message', problems })
    expect(read(lax, sealStream(lax, encodeStream(ping), 'opener'))).toMatchObject({ problems: [] })
  })

  it('GOS-106 hold of a frame what arrived, not what it announces', () => {
    const decoder = createSealedDecoder(envelope, 'opener')
    expect(decoder.push(labelled(frameOf(hex('01'), 8_454_144))).kind).toBe('more')
    expect(decoder.heldBytes).toBeLessThan(32)
  })

  it('GOS-106 of the largest frame are read, whole and in pieces', () => {
    const open = envelopeOf({ keys: [keys[256]] })
    const state = pushPull(['a'], new Uint8Array(8_380_000).fill(2))
    const sealed = sealStream(open, encodeStream(state), 'opener')
    expect(read(open, sealed)).toMatchObject({ kind: 'message', message: { kind: 'pushPull' } })
    const decoder = createSealedDecoder(open, 'opener')
    let step: StreamStep = { kind: 'more' }
    for (let at = 0; at < sealed.length; at += 65_536) {
      expect(step.kind).toBe('more')
      step = decoder.push(sealed.subarray(at, at + 65_536))
    }
    expect(step.kind).toBe('message')
  })

  it('GOS-106 with a bomb in the frame meet the bounds of one outside', () => {
    const open = envelopeOf({ keys: [keys[256]] })
    const bomb = wrapCompress(encodeStream(pushPull([], new Uint8Array(8_388_609))))
    const outside = read(envelopeOf(), bomb)
    expect(outside).toMatchObject({ kind: 'failed', problem: { kind: 'headerOutOfRange' } })
    expect(read(open, sealStream(open, bomb, 'opener'))).toEqual(outside)
  })

  it('GOS-106 of nobody who has a key take few trials when they are large', () => {
    const many = Array.from({ length: 32 }, (_, at) => new Uint8Array(32).fill(at + 1))
    const envelopeOfMany = envelopeOf({ keys: many })
    let work = 0
    const counted: Envelope = {
      ...envelopeOfMany,
      aead: {
        ...envelopeOfMany.aead,
        open: (_key, _nonce, sealed) => {
          work += sealed.length
          return undefined
        },
      },
    }
    for (const [size, kind] of [
      [8_454_144, 'keyTrialsExceeded'],
      [524_288, 'keyUnknown'],
    ] as const) {
      work = 0
      const frame = frameOf(Uint8Array.of(1), size)
      const decoder = createSealedDecoder(counted, 'opener')
      decoder.push(frame)
      const step = decoder.push(new Uint8Array(size - 1))
      expect(step).toMatchObject({ kind: 'failed', problem: { kind } })
      expect(work).toBeLessThanOrEqual(16_777_216)
    }
    expect(work).toBe(32 * (524_288 - 13))
  })
})

describe('hostile bytes', () => {
  it('GOS-106 around and inside of the encryption never throw and never pass', () => {
    const random = createRandom(5)
    const envelope = envelopeOf({ label: lab1, keys: [keys[256], keys[128]] })
    const packet = sealPacket(envelope, vector('udp-crc-compress-compound'))
    const stream = sealStream(envelope, vector('tcp-pushpull-events-request'), 'opener')
    for (let round = 0; round < 4000; round += 1) {
      const [bytes, isPacket] = round % 2 === 0 ? [packet, true] : [stream, false]
      const mutant = Uint8Array.from(bytes)
      for (let flips = 1 + random.below(3); flips > 0; flips -= 1) {
        mutant[random.below(mutant.length)] = random.below(256)
      }
      const same = mutant.every((byte, at) => byte === bytes[at])
      if (isPacket) expect(openPacket(envelope, mutant).bytes === undefined).toBe(!same)
      else expect(read(envelope, mutant).kind === 'message').toBe(same)
    }
    for (let length = 0; length < packet.length; length += 1) {
      expect(openPacket(envelope, packet.subarray(0, length)).bytes).toBeUndefined()
    }
  })
})
