/** Hostile streams: what is said on one connection, in pieces, and whether it is ever ended. */
import { compressed, join, lzw, message, pack } from './wire.ts'
import type { Value } from './wire.ts'

export interface StreamAttack {
  readonly title: string
  readonly pieces: readonly Uint8Array[]
}

const loopback = Uint8Array.of(127, 0, 0, 1)

function row(fields: { readonly [field: string]: Value }): Uint8Array {
  const base = { Addr: loopback, Incarnation: 1, Meta: Uint8Array.of(0xff, 0x80), Name: 'ghost' }
  return pack({ ...base, Port: 7946, State: 0, Vsn: [1, 5, 2, 2, 5, 4], ...fields })
}

function pushPull(header: Value, ...rest: readonly Uint8Array[]): Uint8Array {
  return join([6], pack(header), ...rest)
}

/** As large as a message may be, so that all of it has to be unpacked before it is nonsense. */
function largeMessage(): Uint8Array {
  const header = join([8], pack({ UserMsgLen: 8_000_000 }))
  const whole = new Uint8Array(header.length + 8_000_000)
  whole.set(header)
  return whole
}

/** Each is a row that could be used, so that each has to be kept until the message is whole. */
const rows = new Uint8Array(40_000 * row({}).length)
for (let index = 0; index < 40_000; index += 1) rows.set(row({}), index * row({}).length)

const manyRows = Array.from({ length: 20_000 }, () => row({ Name: '', State: 0 }))

export const streamAttacks: readonly StreamAttack[] = [
  { title: 'nothing, then the end', pieces: [] },
  { title: 'every type byte that is none', pieces: [Uint8Array.of(99)] },
  { title: 'an encrypted stream without a key', pieces: [join([10], new Uint8Array(100))] },
  { title: 'a label nobody uses', pieces: [join([244, 3], [1, 2, 3], [6])] },
  {
    title: 'a push/pull of two thousand million rows',
    pieces: [pushPull({ Nodes: 2 ** 31 - 1, UserStateLen: 0, Join: true })],
  },
  {
    title: 'a push/pull of minus one row',
    pieces: [pushPull({ Nodes: -1, UserStateLen: 0, Join: true })],
  },
  {
    title: 'twenty million rows announced, none sent',
    pieces: [pushPull({ Nodes: 20_000_000, UserStateLen: 0, Join: true })],
  },
  {
    title: 'a gigabyte of user state announced, none sent',
    pieces: [pushPull({ Nodes: 0, UserStateLen: 2 ** 30, Join: true })],
  },
  {
    title: 'a user message of a gigabyte announced, none sent',
    pieces: [join([8], pack({ UserMsgLen: 2 ** 30 }))],
  },
  {
    title: 'twenty thousand rows of no use',
    pieces: [pushPull({ Nodes: 20_000, UserStateLen: 0, Join: true }, ...manyRows)],
  },
  {
    title: 'rows with short versions, long names and states that do not exist',
    pieces: [
      pushPull(
        { Nodes: 3, UserStateLen: 0, Join: true },
        row({ Vsn: [1, 2] }),
        row({ Name: 'x'.repeat(60_000) }),
        row({ State: 200 }),
      ),
    ],
  },
  {
    title: 'a user state that is nonsense',
    pieces: [pushPull({ Nodes: 0, UserStateLen: 300, Join: true }, new Uint8Array(300).fill(0x91))],
  },
  { title: 'a bomb that becomes a message of 8 MB', pieces: [compressed(lzw(largeMessage()))] },
  {
    title: 'a bomb that becomes forty thousand rows',
    pieces: [compressed(lzw(pushPull({ Nodes: 400_000, UserStateLen: 0, Join: true }, rows)))],
  },
  { title: 'compression of nothing', pieces: [compressed(lzw(new Uint8Array(0)))] },
  { title: 'an unknown compression', pieces: [compressed(lzw(message(0, { SeqNo: 1 })), 7)] },
  {
    title: 'compression inside compression',
    pieces: [compressed(lzw(compressed(lzw(message(0, { SeqNo: 1 })))))],
  },
  {
    title: 'a ping with a raw of four gigabytes',
    pieces: [join([0, 0x81], pack('Node'), [0xdb, 0xff, 0xff, 0xff, 0xff])],
  },
  {
    title: 'half a push/pull, then the end',
    pieces: [pushPull({ Nodes: 5, UserStateLen: 10, Join: true }, row({})).slice(0, 60)],
  },
]
