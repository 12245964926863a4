// Serf's messages, state and tags; addresses as text.
import { addresses, byteArrays, hostileNames } from '@kith/testkit'
import {
  array,
  assert,
  bigInt,
  boolean,
  constant,
  constantFrom,
  integer,
  oneof,
  option,
  property,
  record,
  uint8Array,
  uniqueArray,
} from 'fast-check'
import type { Arbitrary } from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  addressBytes,
  addressText,
  decodeSerf,
  decodeTags,
  encodeSerf,
  encodeState,
  encodeTags,
  isUnicast,
  tagsRecord,
} from '../../src/wire/codec.ts'
import type { QueryFilter, SerfMessage, SerfState } from '../../src/wire/message.ts'
import { MsgpackWriter } from '../../src/wire/msgpack.ts'
import { decodeState, hex, utf8 } from './support.ts'

// Half of a surrogate pair has no UTF-8.
const names = hostileNames().filter((name) => !/\p{Surrogate}/u.test(name))
const lamport = bigInt({ min: 0n, max: 2n ** 64n - 1n })
const uint32 = integer({ min: 0, max: 2 ** 32 - 1 })
const ports = integer({ min: 0, max: 65_535 })
const ips = uint8Array({ minLength: 4, maxLength: 4 })

const filters: Arbitrary<QueryFilter> = oneof(
  record({ kind: constant('names' as const), names: array(names, { maxLength: 4 }) }),
  record({ kind: constant('tag' as const), tag: names, expression: names }),
)

const messages: Arbitrary<SerfMessage> = oneof(
  record({
    kind: constant('leaveIntent' as const),
    lamportTime: lamport,
    node: names,
    prune: boolean(),
  }),
  record({ kind: constant('joinIntent' as const), lamportTime: lamport, node: names }),
  record({
    kind: constant('userEvent' as const),
    lamportTime: lamport,
    name: names,
    payload: byteArrays(),
    coalesce: boolean(),
  }),
  record({
    kind: constant('query' as const),
    lamportTime: lamport,
    id: uint32,
    address: ips,
    port: ports,
    sourceNode: names,
    filters: array(filters, { maxLength: 3 }),
    flags: uint32,
    relayFactor: integer({ min: 0, max: 255 }),
    timeoutNs: bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    name: names,
    payload: byteArrays(),
  }),
  record({
    kind: constant('queryResponse' as const),
    lamportTime: lamport,
    id: uint32,
    from: names,
    flags: uint32,
    payload: byteArrays(),
  }),
  record({
    kind: constant('relay' as const),
    address: ips,
    port: ports,
    zone: names,
    node: names,
    body: byteArrays(),
  }),
)

const slots = record({
  lamportTime: lamport,
  events: array(record({ name: names, payload: byteArrays(40) }), { maxLength: 3 }),
})

const states: Arbitrary<SerfState> = record({
  lamportTime: lamport,
  eventLamportTime: lamport,
  queryLamportTime: lamport,
  statusTimes: uniqueArray(names, { maxLength: 20 }).map(
    (list) => new Map(list.map((name) => [name, 7n])),
  ),
  leftMembers: array(names, { maxLength: 5 }),
  events: array(option(slots, { nil: undefined }), { maxLength: 520 }),
  extensions: uniqueArray(names, { maxLength: 3 }).map(
    (list) => new Map(list.map((name) => [name, utf8(name)])),
  ),
})

describe('Serf messages', () => {
  it('GOS-14 every message reads back as it was written, in either dialect', () => {
    assert(
      property(messages, constantFrom('old' as const, 'new' as const), (message, dialect) => {
        expect(decodeSerf(encodeSerf(message, dialect))).toEqual(message)
      }),
      { numRuns: 400 },
    )
  })

  it('GOS-18 a relay keeps its body byte for byte', () => {
    const body = hex('05 85 a5466c61677301')
    const relay = {
      kind: 'relay',
      address: hex('7f000001'),
      port: 9,
      zone: '',
      node: 'a',
      body,
    } as const
    expect(encodeSerf(relay).subarray(-body.length)).toEqual(body)
    expect(decodeSerf(encodeSerf(relay))).toEqual(relay)
  })

  it('GOS-14 a filter that is not understood stays as it came', () => {
    const odd = hex('07 c0')
    const query = new MsgpackWriter()
      .byte(4)
      .map(1)
      .text('Filters')
      .array(2)
      .bytes(odd)
      .bytes(hex('01 a1'))
    expect(decodeSerf(query.finish())).toMatchObject({
      filters: [
        { kind: 'unknown', bytes: odd },
        { kind: 'unknown', bytes: hex('01 a1') },
      ],
    })
  })
})

describe('the state of a push/pull', () => {
  it('GOS-15 reads back as it was written, in either dialect', () => {
    assert(
      property(states, constantFrom('old' as const, 'new' as const), (state, dialect) => {
        expect(decodeState(encodeState(state, dialect))).toEqual(state)
      }),
      { numRuns: 100 },
    )
  })

  it("GOS-15 Kith's key is written only with something under it", () => {
    const empty: SerfState = {
      lamportTime: 1n,
      eventLamportTime: 1n,
      queryLamportTime: 1n,
      statusTimes: new Map(),
      leftMembers: [],
      events: [],
      extensions: new Map(),
    }
    const plain = encodeState(empty)
    const extended = encodeState({ ...empty, extensions: new Map([['registry', hex('0102')]]) })
    expect([plain[1], extended[1]]).toEqual([0x86, 0x87])
    expect(extended.subarray(2, plain.length)).toEqual(plain.subarray(2))
    expect(extended.subarray(plain.length)).toEqual(hex('a46b697468 81 a87265676973747279 a20102'))
  })

  it('GOS-11 entries with names that are not UTF-8 are left out, the others stay', () => {
    const bad = hex('c328')
    const writer = new MsgpackWriter()
      .byte(2)
      .map(3)
      .text('LeftMembers')
      .array(2)
      .bytes(bad)
      .text('b')
    writer.text('StatusLTimes').map(2).bytes(bad).uint(1).text('c').uint(2)
    writer.text('Events').array(1).map(2).text('LTime').uint(1).text('Events').array(2)
    writer.map(1).text('Name').bytes(bad).map(1).text('Name').text('e')
    expect(decodeState(writer.finish())).toMatchObject({
      leftMembers: ['b'],
      statusTimes: new Map([['c', 2n]]),
      events: [{ lamportTime: 1n, events: [{ name: 'e', payload: hex('') }] }],
    })
  })

  it.each([
    ['empty', hex('')],
    ['of another type', hex('03 80')],
    ['cut off', hex('02 81')],
    ['no struct', hex('02 05')],
    ['with a status time below zero', hex('02 81 ac5374617475734c54696d6573 81 a161 ff')],
  ])('GOS-15 is refused when %s', (_title, bytes) => {
    expect(decodeState(bytes)).toBeUndefined()
  })

  it('GOS-2 is refused when its parts would take far more memory than bytes', () => {
    const nils = (length: number): Uint8Array => new Uint8Array(length).fill(0xc0)
    const list = (key: string, count: number): Uint8Array =>
      new MsgpackWriter().byte(2).map(1).text(key).array(count).append(nils(count)).finish()
    expect(decodeState(list('Events', 512))?.events).toHaveLength(512)
    expect(decodeState(list('Events', 100_000))).toBeUndefined()
    expect(decodeState(list('LeftMembers', 200_000))).toBeUndefined()
    const slot = new MsgpackWriter().byte(2).map(1).text('Events').array(2)
    for (const count of [10_000, 10_000]) {
      slot.map(1).text('Events').array(count).append(nils(count))
    }
    expect(decodeState(slot.finish())).toBeUndefined()
  })
})

describe('tags', () => {
  it('GOS-16 read back in their order, whatever they are called', () => {
    const pairs = uniqueArray(names, { maxLength: 12 })
    assert(
      property(pairs, (list) => {
        const tags = new Map(list.map((name, index) => [name, `v${index}`]))
        const decoded = decodeTags(encodeTags(tags))
        expect([...(decoded ?? [])]).toEqual([...tags])
      }),
    )
  })

  it('GOS-16 meta without ff is the role', () => {
    expect(decodeTags(utf8('web'))).toEqual(new Map([['role', 'web']]))
    expect(decodeTags(hex(''))).toEqual(new Map([['role', '']]))
    expect(encodeTags(new Map())).toEqual(hex('ff80'))
  })

  it.each([
    ['cut off', hex('ff 81 a161')],
    ['no map', hex('ff 05')],
    ['a value that is no text', hex('ff 81 a161 05')],
    ['a value that is not UTF-8', hex('ff 81 a161 a2c328')],
    ['a key that is not UTF-8', hex('ff 81 a2c328 a161')],
    ['a role that is not UTF-8', hex('c328')],
  ])('GOS-16 malformed meta has no tags: %s', (_title, meta) => {
    expect(decodeTags(meta)).toBeUndefined()
  })

  it('GOS-16 a record of tags has no prototype to reach', () => {
    const tags = tagsRecord(
      new Map([
        ['__proto__', 'x'],
        ['constructor', 'y'],
      ]),
    )
    expect(Object.keys(tags)).toEqual(['__proto__', 'constructor'])
    expect(Object.getPrototypeOf(tags)).toBeNull()
    expect(({} as Record<string, unknown>)['x']).toBeUndefined()
    expect(Object.isFrozen(tags)).toBe(true)
  })
})

describe('addresses', () => {
  it('GOS-75 tell one member from nobody and from many', () => {
    const unicast = (text: string): boolean => isUnicast(addressBytes(text) ?? hex(''))
    const good = ['10.0.0.1', '127.0.0.1', '223.255.255.255', '240.0.0.1', '::1', 'fe80::1']
    const bad = ['0.0.0.0', '224.0.0.1', '239.255.255.255', '255.255.255.255', '::', 'ff02::1']
    expect(good.filter((text) => !unicast(text))).toEqual([])
    expect(bad.filter(unicast)).toEqual([])
    const mapped = hex('00000000000000000000ffff')
    expect(isUnicast(Uint8Array.from([...mapped, 224, 0, 0, 1]))).toBe(false)
    expect(isUnicast(Uint8Array.from([...mapped, 10, 0, 0, 1]))).toBe(true)
  })

  it.each([
    ['127.0.0.1', '7f000001'],
    ['::', '00000000000000000000000000000000'],
    ['::1', '00000000000000000000000000000001'],
    ['fe80::1:0:0:2', 'fe800000000000000001000000000002'],
    ['2001:db8::', '20010db8000000000000000000000000'],
    ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
    ['1:0:3:4:5:6:7:8', '00010000000300040005000600070008'],
  ])('GOS-13 %s', (text, bytes) => {
    expect(addressBytes(text)).toEqual(hex(bytes))
    expect(addressText(hex(bytes))).toBe(text)
  })

  it('GOS-13 a mapped address is shown as the IPv4 it means, its bytes stay different', () => {
    const mapped = hex('00000000000000000000ffff0a4d0001')
    expect(addressText(mapped)).toBe('10.77.0.1')
    expect(addressBytes('::ffff:10.77.0.1')).toEqual(mapped)
    expect(addressBytes('10.77.0.1')).toEqual(hex('0a4d0001'))
  })

  it('GOS-13 other lengths have no text, other texts no bytes', () => {
    for (const length of [0, 3, 5, 15, 17])
      expect(addressText(new Uint8Array(length))).toBeUndefined()
    const wrong = [
      '',
      'a',
      '1.2.3',
      '1.2.3.4.5',
      '256.1.1.1',
      '01.2.3.4',
      '1::2::3',
      '1:2:3',
      ':1',
      '12345::',
    ]
    for (const text of [...wrong, '1:2:3:4:5:6:7::8', 'fe80::1%eth0']) {
      expect(addressBytes(text)).toBeUndefined()
    }
  })

  it('GOS-13 any literal survives the way through bytes', () => {
    assert(
      property(addresses(), ({ host }) => {
        const bytes = addressBytes(host)
        const text = bytes === undefined ? undefined : addressText(bytes)
        expect(text === undefined ? undefined : addressBytes(text)?.length).toBeDefined()
        const again = text === undefined ? undefined : addressText(addressBytes(text) ?? hex(''))
        expect(again).toBe(text)
      }),
    )
  })
})
