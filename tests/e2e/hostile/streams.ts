/** Hostile streams: what is said on one connection, in pieces, and whether it is ever ended. */
import { compressed, join, lzw, message, pack, uint32 } from './wire.ts'
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

/** `part` so many times over, with each of them as `change` leaves it. */
function repeated(
  part: Uint8Array,
  times: number,
  change: (at: number, index: number) => void = () => {},
): Uint8Array {
  const whole = new Uint8Array(part.length * times)
  for (let index = 0; index < times; index += 1) {
    whole.set(part, index * part.length)
    change(index * part.length, index)
  }
  return whole
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}

/** Each is a row that could be used, so that each has to be kept until the message is whole. */
const rows = repeated(row({}), 40_000)
const rowsHeader = pushPull({ Nodes: 400_000, UserStateLen: 0, Join: true })

/** User state of so many members that nobody knows, each with a name of its own. */
function statusTimes(count: number): Uint8Array {
  const entries = Array.from({ length: count }, (_, index) => join(pack(`g${index}`), [0x01]))
  const map = join([2, 0x81], pack('StatusLTimes'), [0xdf], uint32(count))
  return concat([map, ...entries])
}

/** User state that fills the buffer of events, and as often again. */
function events(count: number): Uint8Array {
  const payload = new Uint8Array(8_000).fill(0x78)
  const slots = Array.from({ length: count }, (_, index) =>
    pack({ LTime: index + 1, Events: [{ Name: `e${index}`, Payload: payload }] }),
  )
  return concat([join([2, 0x81], pack('Events'), [0xdd], uint32(count)), ...slots])
}

function state(userState: Uint8Array): Uint8Array {
  return concat([pushPull({ Nodes: 0, UserStateLen: userState.length, Join: false }), userState])
}

function userMessage(length: number): Uint8Array {
  return concat([join([8], pack({ UserMsgLen: length })), new Uint8Array(length)])
}

function fetch(length: number): Uint8Array {
  const rest = join(pack('Ext'), pack('registry'), pack('From'), pack('x'), pack('Node'))
  const head = join([0x4b, 0x84], pack('Body'), [0xdb], uint32(length))
  return concat([head, new Uint8Array(length), rest, pack('target')])
}

/** As large as they may be, so that all of each has to be read before it is of no use. */
export const bombs: readonly StreamAttack[] = [
  { title: 'a message of 2 MB', pieces: [compressed(lzw(userMessage(2_000_000)))] },
  { title: 'a message of 8 MB', pieces: [compressed(lzw(userMessage(8_000_000)))] },
  {
    title: 'a state of 8 MB of nothing',
    pieces: [compressed(lzw(state(new Uint8Array(8_000_000))))],
  },
  { title: 'forty thousand rows', pieces: [compressed(lzw(concat([rowsHeader, rows])))] },
  { title: 'times of 32,000 members', pieces: [compressed(lzw(state(statusTimes(32_000))))] },
  { title: 'times of 131,000 members', pieces: [compressed(lzw(state(statusTimes(131_000))))] },
  { title: 'events for every slot', pieces: [compressed(lzw(state(events(900))))] },
  { title: 'a state of 8 MB, not compressed', pieces: [state(new Uint8Array(8_000_000))] },
  { title: 'a fetch of 4 MB', pieces: [fetch(4_000_000)] },
]

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
