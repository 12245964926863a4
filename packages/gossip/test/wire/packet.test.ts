// The layers of a datagram, what is refused in which of them, and what is written.
import { nodeDigests } from '@kith/interface/node'
import { describe, expect, it } from 'vitest'
import {
  addLabel,
  broadcastCost,
  decodePacket,
  encodeMessage,
  encodePacket,
  encodeSerf,
  packetBytesTarget,
  piggybackBudget,
  stripLabel,
  understandsCrc,
  userMessage,
} from '../../src/wire/codec.ts'
import { compressLzw } from '../../src/wire/lzw.ts'
import type { PacketMessage } from '../../src/wire/message.ts'
import { MsgpackWriter } from '../../src/wire/msgpack.ts'
import { alive, hex, utf8, vector } from './support.ts'

const nack: PacketMessage = { kind: 'nack', sequenceNumber: 7 }
const nackBytes = encodeMessage(nack)

function decode(bytes: Uint8Array): { kinds: string[]; problems: string[] } {
  const { messages, problems } = decodePacket(bytes, nodeDigests)
  return { kinds: messages.map(({ kind }) => kind), problems: problems.map(({ kind }) => kind) }
}

function compound(...parts: readonly Uint8Array[]): Uint8Array {
  const lengths = parts.flatMap((part) => [part.length >> 8, part.length & 0xff])
  return Uint8Array.from([7, parts.length, ...lengths, ...parts.flatMap((part) => [...part])])
}

function compressed(plain: Uint8Array, algorithm = 0): Uint8Array {
  const writer = new MsgpackWriter().byte(9).map(2).text('Algo').uint(algorithm)
  return writer.text('Buf').bytes(compressLzw(plain)).finish()
}

function checked(plain: Uint8Array): Uint8Array {
  const crc = new DataView(new ArrayBuffer(4))
  crc.setUint32(0, nodeDigests.crc32(plain))
  return Uint8Array.from([12, ...new Uint8Array(crc.buffer), ...plain])
}

function nested(depth: number, wrap: (bytes: Uint8Array) => Uint8Array): Uint8Array {
  let bytes = nackBytes
  for (let level = 0; level < depth; level += 1) bytes = wrap(bytes)
  return bytes
}

const table: readonly (readonly [string, Uint8Array, readonly string[], readonly string[]])[] = [
  ['a bare message', nackBytes, ['nack'], []],
  ['a compound of one', compound(nackBytes), ['nack'], []],
  ['an empty compound', hex('0700'), [], []],
  ['a compound in a compound', compound(nackBytes, compound(nackBytes)), ['nack', 'nack'], []],
  ['compression in a compound', compound(compressed(nackBytes)), ['nack'], []],
  ['compression twice', compressed(compressed(nackBytes)), ['nack'], []],
  ['a checksum around compression', checked(compressed(nackBytes)), ['nack'], []],
  ['nothing', hex(''), [], ['emptyMessage']],
  ['a checksum over nothing', checked(hex('')), [], ['emptyMessage']],
  ['an empty part', compound(hex(''), nackBytes), ['nack'], ['emptyMessage']],
  ['an empty decompression', compressed(hex('')), [], ['compressEmpty']],
  ['a user message of nothing', hex('08'), [], ['emptyMessage']],
  ['a wrong checksum', hex('0c 00000000 0b81a55365714e6f07'), [], ['crcMismatch']],
  ['a checksum cut off', hex('0c 0000'), [], ['typeMisplaced']],
  ['a checksum in compression', compressed(checked(nackBytes)), [], ['typeMisplaced']],
  ['a checksum in a compound', compound(checked(nackBytes)), [], ['typeMisplaced']],
  ['a push/pull', hex('06 80'), [], ['typeMisplaced']],
  ['an encrypted frame', hex('0a 00000000'), [], ['typeMisplaced']],
  ['an error', hex('0d 81a54572726f72a178'), [], ['typeMisplaced']],
  ['an unknown type', hex('0e 80'), [], ['typeUnknown']],
  ['a label nobody expects', hex('f4 01 61 0b80'), [], ['typeUnknown']],
  ['a compound without its count', hex('07'), [], ['compoundShort']],
  ['a compound without its lengths', hex('07 02 0001'), [], ['compoundShort']],
  [
    'a compound that lies about a length',
    Uint8Array.from([7, 2, 0, nackBytes.length, 0, 99, ...nackBytes, 1]),
    ['nack'],
    ['compoundTruncated'],
  ],
  ['an unknown algorithm', compressed(nackBytes, 7), [], ['compressAlgorithm']],
  ['compression of garbage', hex('09 82a4416c676f00a3427566a3ffffff'), [], ['compressMalformed']],
  ['compression cut off', hex('09 82a4416c676f00a3427566a9ff'), [], ['compressMalformed']],
  ['a bomb', compressed(new Uint8Array(70_000)), [], ['compressTooLarge']],
  ['compound 1,000 deep', nested(1000, compound), [], ['nestingTooDeep']],
  ['a packet beyond 64 KiB', new Uint8Array(65_537), [], ['packetTooLarge']],
  [
    'an alive without versions',
    hex('04 82a44164647 2a47f000001a44e6f6465a161'),
    [],
    ['versionsShort'],
  ],
  [
    'an alive of 5 version bytes',
    hex('04 83a441646472a47f000001a44e6f6465a161a356736ea50105020205'),
    [],
    ['versionsShort'],
  ],
  [
    'an alive at an address of 3 bytes',
    hex('04 83a441646472a37f0000a44e6f6465a161a356736ea6010502020505'),
    [],
    ['addressInvalid'],
  ],
  [
    'a ping from an address of 3 bytes',
    hex('00 81aa536f7572636541646472a37f0000'),
    [],
    ['addressInvalid'],
  ],
  ['an indirect ping of nowhere', hex('01 81a55365714e6f01'), [], ['addressInvalid']],
  ['a name that is not UTF-8', hex('03 81a44e6f6465a2c328'), [], ['textInvalid']],
  ['a body cut off', nackBytes.subarray(0, -1), [], ['messageMalformed']],
]

describe('packets', () => {
  it.each(table)('GOS-6 %s', (_title, bytes, kinds, problems) => {
    expect(decode(bytes)).toEqual({ kinds, problems })
  })

  it('GOS-2 nested bombs share one allowance', () => {
    const bomb = compressed(new Uint8Array(60_000))
    const { problems } = decode(compound(...Array<Uint8Array>(100).fill(bomb)))
    expect(problems.filter((kind) => kind === 'compressTooLarge')).toHaveLength(99)
  })

  it('GOS-2 a packet of more parts than any honest one is cut', () => {
    const inner = compound(...Array<Uint8Array>(255).fill(Uint8Array.of(11)))
    const { problems } = decode(compound(...Array<Uint8Array>(60).fill(inner)))
    expect(problems.filter((kind) => kind === 'messageMalformed').length).toBeLessThan(1024)
    expect(problems).toContain('tooManyParts')
  })

  it('GOS-12 only the first six of more version bytes count', () => {
    const longer = hex('04 83a441646472a47f000001a44e6f6465a161a356736ea701050202050509')
    const [message] = decodePacket(longer, nodeDigests).messages
    expect(message).toMatchObject({ kind: 'alive', versions: [1, 5, 2, 2, 5, 5], node: 'a' })
  })

  it('GOS-13 addresses of 4 and of 16 bytes stay as they came', () => {
    const mapped = Uint8Array.from([...new Uint8Array(10), 255, 255, 10, 0, 0, 1])
    for (const address of [mapped, alive.address]) {
      const [message] = decodePacket(encodeMessage({ ...alive, address }), nodeDigests).messages
      expect(message).toEqual({ ...alive, address })
    }
  })

  it('GOS-2 small fields do not keep the packet alive', () => {
    const bytes = encodeMessage(alive)
    const [message] = decodePacket(bytes, nodeDigests).messages
    if (message?.kind !== 'alive') throw new Error('no alive')
    expect(message.meta.buffer.byteLength).toBe(message.meta.length)
    expect(message.address.buffer).not.toBe(bytes.buffer)
  })
})

describe('packets, written', () => {
  it('GOS-7 compresses only where that is smaller, and a compound as one', () => {
    expect(encodePacket([nackBytes], { compress: true })).toEqual(nackBytes)
    const parts = Array<Uint8Array>(20).fill(encodeMessage(alive))
    const packet = encodePacket(parts, { compress: true, crc: nodeDigests })
    expect(packet.length).toBeLessThan(encodePacket(parts).length)
    expect(decode(packet).kinds).toHaveLength(20)
    expect(packet[0]).toBe(12)
    expect(packet[5]).toBe(9)
  })

  it('GOS-7 refuses to write what crashes old members or does not fit', () => {
    expect(() => encodePacket([])).toThrow('1 to 255 parts')
    expect(() => encodePacket(Array<Uint8Array>(256).fill(nackBytes))).toThrow('1 to 255 parts')
    expect(() => encodePacket([nackBytes, new Uint8Array(0)])).toThrow('crash')
    const empty = { kind: 'user', message: undefined, bytes: new Uint8Array(0) } as const
    expect(() => encodeMessage(empty)).toThrow('crash')
  })

  it('GOS-7 leaves out what a ping does not say', () => {
    const ping = {
      kind: 'ping',
      sequenceNumber: 1,
      node: 'b',
      sourcePort: 0,
      sourceNode: '',
    } as const
    const bytes = encodeMessage({ ...ping, sourceAddress: new Uint8Array(0) })
    expect(bytes).toEqual(hex('00 82 a44e6f6465 a162 a55365714e6f 01'))
  })

  it('GOS-7 a packet filled to its budget is within 1,402 bytes, with a checksum 1,407', () => {
    const message = encodeMessage({ kind: 'ack', sequenceNumber: 1, payload: new Uint8Array(130) })
    const parts = [message]
    for (let left = piggybackBudget(message.length, 0); ; left -= broadcastCost(60)) {
      if (left < broadcastCost(60)) {
        parts.push(new Uint8Array(left - 2).fill(8))
        break
      }
      parts.push(new Uint8Array(60).fill(8))
    }
    expect(encodePacket(parts).length).toBe(packetBytesTarget + 2)
    expect(encodePacket(parts, { crc: nodeDigests }).length).toBe(packetBytesTarget + 7)
  })

  it('GOS-7 only members of protocol 5 are sent checksums', () => {
    expect([4, 5, 6].map(understandsCrc)).toEqual([false, true, true])
  })
})

describe('labels', () => {
  const label = utf8('lab1')

  it('GOS-19 puts the header outermost and takes only the right one off', () => {
    expect(addLabel(label, nackBytes)).toEqual(hex('f4 04 6c616231 0b81a55365714e6f07'))
    expect(stripLabel(label, addLabel(label, nackBytes))).toEqual(nackBytes)
    expect(addLabel(hex(''), nackBytes)).toBe(nackBytes)
    expect(stripLabel(hex(''), nackBytes)).toEqual(nackBytes)
  })

  it.each([
    ['absent', nackBytes, 'labelMissing'],
    ['foreign', addLabel(utf8('lab2'), nackBytes), 'labelForeign'],
    ['longer', addLabel(utf8('lab12'), nackBytes), 'labelForeign'],
    ['of no length', hex('f4 00 0b'), 'labelMalformed'],
    ['cut off', hex('f4 04 6c61'), 'labelMalformed'],
    ['without a length', hex('f4'), 'labelMalformed'],
  ])('GOS-19 refuses a label that is %s', (_title, bytes, problem) => {
    expect(stripLabel(label, bytes)).toBe(problem)
  })

  it('GOS-19 refuses any label where none is configured', () => {
    expect(stripLabel(hex(''), vector('label-udp-ping'))).toBe('labelForeign')
  })
})

describe('user messages', () => {
  it('GOS-14 keeps the received bytes beside the meaning, byte for byte', () => {
    // A query with unsorted keys, an unknown one, and a timeout in the newer dialect.
    const odd = hex(
      '04 83 a74c54696d65 02 a15a c0 a754696d656f7574 d300000000bebc2000'.replace('a74c', 'a54c'),
    )
    const [message] = decodePacket(Uint8Array.from([8, ...odd]), nodeDigests).messages
    expect(message).toMatchObject({ kind: 'user', bytes: odd })
    expect(message?.kind === 'user' && message.message).toMatchObject({
      kind: 'query',
      lamportTime: 2n,
      timeoutNs: 3_200_000_000n,
    })
  })

  it.each([
    ['an unknown Serf type', hex('63 80')],
    ['a malformed body', hex('00 05')],
    ['a name that is not UTF-8', hex('01 81a44e6f6465a2c328')],
  ])('GOS-14 delivers %s as bytes without meaning', (_title, body) => {
    const { messages, problems } = decodePacket(Uint8Array.from([8, ...body]), nodeDigests)
    expect(problems).toEqual([])
    expect(messages).toEqual([{ kind: 'user', message: undefined, bytes: body }])
  })

  it('GOS-14 writes its own messages so that they read back equal', () => {
    const message = { kind: 'leaveIntent', lamportTime: 2n ** 60n, node: 'é', prune: true } as const
    const user = userMessage(message)
    expect(user.bytes).toEqual(encodeSerf(message))
    expect(decodePacket(encodeMessage(user), nodeDigests).messages).toEqual([user])
  })
})
