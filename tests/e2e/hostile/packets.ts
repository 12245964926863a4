/** Hostile datagrams, by the groups of the bad-input catalogue. */
import {
  compound,
  compressed,
  deepArrays,
  join,
  lzw,
  message,
  pack,
  serf,
  withCrc,
} from './wire.ts'
import type { Value } from './wire.ts'

export interface Attack {
  readonly title: string
  readonly packets: readonly Uint8Array[]
  /** Well-formed as far as a member can tell: nothing has to be counted. */
  readonly uncounted?: boolean
}

const loopback = Uint8Array.of(127, 0, 0, 1)
const versions = [1, 5, 2, 2, 5, 4]

function alive(fields: { readonly [field: string]: Value }): Uint8Array {
  const base = { Addr: loopback, Incarnation: 1, Meta: Uint8Array.of(0xff, 0x80), Node: 'ghost' }
  return message(4, { ...base, Port: 7946, Vsn: versions, ...fields })
}

const ping = message(0, { SeqNo: 1, Node: 'target' })

function everyTruncation(whole: Uint8Array): Uint8Array[] {
  return Array.from({ length: whole.length }, (_, length) => whole.slice(0, length))
}

export const framing: readonly Attack[] = [
  { title: 'an empty datagram', packets: [new Uint8Array(0)] },
  {
    title: 'every type byte alone',
    packets: Array.from({ length: 256 }, (_, type) => Uint8Array.of(type)),
  },
  {
    title: 'a good message cut off at every offset',
    packets: everyTruncation(alive({})).slice(1),
  },
  { title: '64 KiB of zeros', packets: [new Uint8Array(65_507)] },
  { title: '64 KiB of ones', packets: [new Uint8Array(65_507).fill(0xff)] },
  {
    title: 'compounds that lie about counts and lengths',
    packets: [
      compound([], 0),
      compound([ping], 255),
      join([7, 200], new Uint8Array(20).fill(0xff)),
      join([7, 1, 0xff, 0xff], ping),
      join([7, 2, 0, 0, 0, 0]),
    ],
  },
  {
    title: 'compounds nested a thousand deep',
    packets: [Array.from({ length: 1_000 }).reduce<Uint8Array>((inner) => compound([inner]), ping)],
  },
  {
    title: 'checksums missing, short, wrong and nested',
    packets: [
      Uint8Array.of(12),
      Uint8Array.of(12, 0, 0),
      withCrc(ping, 1),
      withCrc(new Uint8Array(0)),
      withCrc(withCrc(ping)),
    ],
  },
  {
    title: 'labels missing, foreign, too long',
    packets: [
      Uint8Array.of(244),
      join([244, 5], new TextEncoder().encode('other'), ping),
      join([244, 255], new Uint8Array(300)),
      join([244, 0], ping),
    ],
  },
  { title: 'types of the future', packets: [message(14, {}), message(99, {}), message(200, {})] },
]

export const msgpack: readonly Attack[] = [
  {
    title: 'headers with nothing behind',
    packets: [0xdd, 0xdf, 0xdb, 0xc9, 0xc6].map((header) =>
      join([4, header, 0xff, 0xff, 0xff, 0xff]),
    ),
  },
  {
    title: 'arrays nested deep in a field nobody asked for',
    packets: [join([4, 0x81], pack('Extra'), deepArrays(60_000))],
  },
  {
    title: 'wrong types for every field',
    packets: ['Addr', 'Incarnation', 'Node', 'Port', 'Vsn'].flatMap((field) => [
      alive({ [field]: { a: 1 } }),
      alive({ [field]: -1 }),
    ]),
  },
  {
    title: 'numbers that are floats, extensions, and far too large',
    packets: [
      join([0, 0x81], pack('SeqNo'), [0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0]),
      join([0, 0x81], pack('SeqNo'), [0xd4, 0x70, 0]),
      message(0, { SeqNo: 2n ** 63n, Node: 'target' }),
    ],
  },
  {
    title: 'maps with a million announced keys, duplicates and prototype names',
    packets: [
      join([0, 0xdf, 0, 0x0f, 0xff, 0xff], pack('SeqNo'), pack(1)),
      join([0, 0x83], pack('SeqNo'), pack(1), pack('SeqNo'), pack('x'), pack('SeqNo'), pack(-1)),
      message(0, { constructor: null, toString: [], SeqNo: 1n << 40n }),
    ],
  },
]

/** 10 kB that become 8 MiB; making it is slow, so it is made once. */
const bomb = compressed(lzw(new Uint8Array(8 * 1024 * 1024)))

export const compression: readonly Attack[] = [
  {
    title: 'an unknown algorithm, nonsense, nothing at all',
    packets: [
      compressed(lzw(ping), 1),
      compressed(Uint8Array.of(0xff, 0xff, 0xff, 0xff)),
      compressed(new Uint8Array(0)),
      compressed(lzw(new Uint8Array(0))),
      compressed(lzw(ping).slice(0, -2)),
    ],
  },
  {
    title: 'bombs: kilobytes that become megabytes',
    packets: Array.from({ length: 30 }, () => bomb),
  },
  {
    title: 'compressed ten times over',
    packets: [
      Array.from({ length: 10 }).reduce<Uint8Array>((inner) => compressed(lzw(inner)), ping),
    ],
  },
]

const badNames = ['', 'x'.repeat(129), 'x'.repeat(60_000), 'a\0b', 'a\nb', '\u001b[2J', '\u007f']

export const values: readonly Attack[] = [
  {
    title: 'names that are empty, endless or control the terminal',
    packets: badNames.map((name) => alive({ Node: name })),
  },
  {
    title: 'a name that is no text',
    packets: [alive({ Node: Uint8Array.of(0xc3, 0x28, 0xff) })],
  },
  {
    title: 'addresses of odd lengths, of nobody and of everybody',
    packets: [
      new Uint8Array(0),
      new Uint8Array(3),
      new Uint8Array(5),
      new Uint8Array(17),
      new Uint8Array(4),
      Uint8Array.of(224, 0, 0, 1),
      Uint8Array.of(255, 255, 255, 255),
    ].map((Addr) => alive({ Addr })),
  },
  {
    title: 'version lists that are short, absent or of no use',
    packets: [
      ...[0, 1, 2, 3, 4, 5].map((length) => alive({ Vsn: versions.slice(0, length) })),
      alive({ Vsn: null }),
      alive({ Vsn: [99, 99, 99, 99, 99, 99] }),
    ],
  },
  {
    title: 'tags beyond all measure',
    packets: [alive({ Meta: new Uint8Array(40_000) }), alive({ Meta: new Uint8Array(513) })],
  },
  {
    title: 'incarnations near the end of numbers',
    packets: [
      message(3, { Incarnation: 2 ** 32 - 1, Node: 'witness', From: 'mallory' }),
      message(5, { Incarnation: 2 ** 32 - 1, Node: 'witness', From: 'mallory' }),
      message(3, { Incarnation: 2 ** 32 - 1, Node: 'target', From: 'mallory' }),
      alive({ Node: 'witness', Incarnation: 2 ** 32 - 1 }),
    ],
  },
  {
    title: 'Lamport times near the end of numbers',
    packets: [2n ** 53n, 2n ** 63n, 2n ** 64n - 1n].flatMap((LTime) => [
      serf(3, { LTime, Name: 'deploy', Payload: new Uint8Array(0), CC: false }),
      serf(0, { LTime, Node: 'witness', Prune: false }),
      serf(1, { LTime, Node: 'witness' }),
    ]),
  },
]

export const abuse: readonly Attack[] = [
  {
    title: 'acks and nacks nobody asked for',
    packets: Array.from({ length: 200 }, (_, index) => [
      message(2, { SeqNo: index, Payload: new Uint8Array(600) }),
      message(11, { SeqNo: index }),
    ]).flat(),
  },
  {
    title: 'accusations of members that do not exist',
    packets: [
      message(3, { Incarnation: 1, Node: 'nobody', From: 'mallory' }),
      message(5, { Incarnation: 1, Node: 'nobody', From: 'mallory' }),
    ],
    uncounted: true,
  },
  {
    title: 'the target is dead, suspect and elsewhere',
    packets: [
      message(3, { Incarnation: 1, Node: 'target', From: 'mallory' }),
      message(5, { Incarnation: 1, Node: 'target', From: 'mallory' }),
      alive({ Node: 'target', Addr: Uint8Array.of(127, 0, 0, 9), Incarnation: 2 }),
    ],
    uncounted: true,
  },
  {
    title: 'pings for somebody else',
    packets: [message(0, { SeqNo: 9, Node: 'somebody-else' })],
  },
  {
    title: 'answers to questions never asked, and conflicts never had',
    packets: [
      serf(5, { LTime: 1, ID: 7, From: 'mallory', Flags: 0, Payload: new Uint8Array(900) }),
      join([8, 6], pack({ Name: 'target' })),
      join([8, 42], pack({})),
    ],
  },
  {
    title: 'relays to nowhere',
    packets: [
      join([8, 9], pack({ DestAddr: { IP: loopback, Port: 0, Zone: '' } }), [5, 0x80]),
      join([8, 9], pack({ DestAddr: { IP: new Uint8Array(3), Port: 1, Zone: '' } }), [5]),
    ],
  },
  {
    title: 'indirect pings to third parties, two hundred times',
    packets: Array.from({ length: 200 }, (_, index) =>
      message(1, { SeqNo: index, Target: loopback, Port: 9, Node: 'victim', Nack: false }),
    ),
    uncounted: true,
  },
  {
    title: 'queries with filters that cannot be read and answers to third parties',
    packets: Array.from({ length: 50 }, (_, index) =>
      serf(4, {
        LTime: 2,
        ID: index,
        Addr: loopback,
        Port: 9,
        SourceNode: 'mallory',
        Filters: [Uint8Array.of(9, 9), Uint8Array.of(1, 0xff)],
        Flags: 3,
        RelayFactor: 255,
        Timeout: -1n,
        Name: 'load',
        Payload: new Uint8Array(100),
      }),
    ),
    uncounted: true,
  },
]
