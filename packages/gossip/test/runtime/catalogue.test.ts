// The inputs that real agents died of, grew by a gigabyte, or believed, against running members:
// each by the number it has in our list of them, in the clear and where there is a key.
import { createRandom, silentLogger } from '@kith/interface'
import type { ByteStream, PacketTransport, StreamTransport } from '@kith/interface'
import { describe, expect, it } from 'vitest'
import { createKeyring } from '../../src/index.ts'
import type { Gossip } from '../../src/index.ts'
import { compressLzw } from '../../src/wire/lzw.ts'
import { encodeMessage, messageType } from '../../src/wire/memberlist.ts'
import type { PacketMessage } from '../../src/wire/message.ts'
import { MsgpackWriter } from '../../src/wire/msgpack.ts'
import { wrapCompress } from '../../src/wire/packet.ts'
import { userMessage } from '../../src/wire/serf.ts'
import { alive as anAlive, row, utf8 } from '../wire/support.ts'
import { at, cluster, createPlace, stopAll } from './support.ts'
import type { Place } from './support.ts'

const forged = (message: Partial<typeof anAlive>): Uint8Array =>
  encodeMessage({ ...anAlive, node: 'stranger', ...message })
const told = (message: PacketMessage): Uint8Array => encodeMessage(message)

/** An alive whose version field has so many bytes. */
function shortVersions(length: number): Uint8Array {
  const writer = new MsgpackWriter().byte(messageType.alive).map(4)
  writer.text('Node').text('stranger').text('Incarnation').uint(1)
  writer.text('Addr').bytes(Uint8Array.of(10, 0, 0, 9))
  return writer.text('Vsn').bytes(new Uint8Array(length).fill(2)).finish()
}

const maxTime = (1n << 64n) - 1n
const event = { kind: 'userEvent', name: 'x', payload: utf8('x'), coalesce: false } as const
const asked = {
  kind: 'indirectPing',
  sequenceNumber: 1,
  target: Uint8Array.of(10, 9, 9, 9),
  port: 53,
  node: 'm2',
  nack: false,
  sourceAddress: new Uint8Array(0),
  sourcePort: 0,
  sourceNode: '',
} as const
const bomb = wrapCompress(new Uint8Array(4_000_000))

/** Number, packet, and the counter under which it is dropped. */
const packets: readonly (readonly [id: string, bytes: Uint8Array, counter: string])[] = [
  [
    'U12',
    Uint8Array.from([4, 0x81, 0xa4, ...utf8('Addr'), 0xdb, 255, 255, 255, 255]),
    'messageMalformed',
  ],
  ['U16', wrapCompress(new Uint8Array(0)), 'compressEmpty'],
  ['U17', bomb, 'compressTooLarge'],
  ['U19', forged({ node: '' }), 'nameUnfit'],
  ['U20', forged({ node: 'x'.repeat(129) }), 'nameUnfit'],
  ['U21', forged({ node: 'x'.repeat(60_000) }), 'nameUnfit'],
  ['U25', shortVersions(1), 'versionsShort'],
  ['U25', shortVersions(5), 'versionsShort'],
  ['U26', forged({ versions: [99, 99, 99, 99, 99, 99] }), 'versionsUnfit'],
  ['U27', forged({ meta: new Uint8Array(40_000).fill(0xff) }), 'metaTooLarge'],
  ['U34', told(userMessage({ ...event, lamportTime: maxTime })), 'lamportTimeAbsurd'],
  ['U37', told(asked), 'indirectPingUnknown'],
  [
    'U41',
    told({ kind: 'suspect', incarnation: 0xffff_ffff, node: 'm2', from: 'm1' }),
    'incarnationAbsurd',
  ],
  [
    'U42',
    told({ kind: 'dead', incarnation: 0xffff_ffff, node: 'm2', from: 'm1' }),
    'incarnationAbsurd',
  ],
]

function header(nodes: number, userStateLength: number): Uint8Array {
  const writer = new MsgpackWriter('new').byte(messageType.pushPull).map(3)
  writer.text('Nodes').int(nodes).text('UserStateLen').int(userStateLength)
  return writer.text('Join').bool(false).finish()
}

function shortRow(): Uint8Array {
  const writer = new MsgpackWriter().map(4).text('Name').text(row('stranger').name)
  writer
    .text('Addr')
    .bytes(Uint8Array.of(10, 0, 0, 9))
    .text('State')
    .uint(0)
  return writer
    .text('Vsn')
    .bytes(Uint8Array.of(1, 2, 3))
    .finish()
}

const user = new MsgpackWriter('new').byte(messageType.user).map(1).text('UserMsgLen')
const streams: readonly (readonly [id: string, bytes: Uint8Array, counter: string])[] = [
  ['T04', header(2 ** 31 - 1, 0), 'stream.headerOutOfRange'],
  ['T05', header(20_000_000, 0), 'stream.headerOutOfRange'],
  ['T06', header(-1, 0), 'stream.headerOutOfRange'],
  ['T07', header(0, 2 ** 30), 'stream.headerOutOfRange'],
  ['T09', user.int(2 ** 30).finish(), 'stream.headerOutOfRange'],
  ['T11', Uint8Array.from([...header(1, 0), ...shortRow()]), 'mergesRefused'],
  ['T13', wrapCompress(new Uint8Array(0)), 'stream.compressEmpty'],
  ['T14', wrapCompress(new Uint8Array(12_000_000)), 'stream.messageMalformed'],
  ['T19', Uint8Array.of(9, ...compressLzw(utf8('no wrapper'))), 'stream.messageMalformed'],
]

interface Stranger {
  readonly packets: PacketTransport
  readonly streams: StreamTransport
}

async function stranger(place: Place): Promise<Stranger> {
  const clock = place.network.clockAt(at(200))
  const context = { clock, random: createRandom(200), logger: silentLogger }
  const other = {
    packets: place.network.packetTransport(at(200))(context),
    streams: place.network.streamTransport(at(200))(context),
  }
  await other.streams.start({ stream: (stream) => stream.destroy() })
  await other.packets.start({ packet: () => {} })
  return other
}

async function pour(place: Place, stream: ByteStream, bytes: Uint8Array): Promise<void> {
  await place.until(stream.write(bytes).catch(() => {}))
  await place.until(stream.end().catch(() => {}))
  while ((await place.until(stream.read().catch(() => undefined))) !== undefined);
}

const counted = (member: Gossip, kind: string): number => member.stats().counters[kind] ?? 0

const view = (member: Gossip): unknown =>
  member.members().map(({ name, address, status, tags }) => ({ name, address, status, tags }))

/** Everything, one after another; `seen` is asked after each whether it was dropped so. */
async function attack(
  place: Place,
  member: Gossip,
  seen: (id: string, counter: string, before: number) => void,
): Promise<void> {
  const other = await stranger(place)
  const before = view(member)
  for (const [id, bytes, counter] of packets) {
    const count = counted(member, counter)
    other.packets.send(at(1), bytes.slice())
    await place.advance(20)
    seen(id, counter, count)
    expect(view(member), id).toEqual(before)
  }
  for (const [id, bytes, counter] of streams) {
    const count = counted(member, counter)
    await pour(place, await place.until(other.streams.connect(at(1))), bytes.slice())
    await place.advance(20)
    seen(id, counter, count)
    expect(view(member), id).toEqual(before)
  }
  await place.eventually(() => member.stats().streamsOpen === 0, 15_000)
  expect(member.stats().streamBytesHeld).toBe(0)
}

describe('what real agents died of', () => {
  it('GOS-181 is dropped under its name and changes no view', async () => {
    const place = createPlace()
    const members = await cluster(place, 2)
    const [member] = members
    if (member === undefined) throw new Error('two members')
    await attack(place, member, (id, counter, before) => {
      expect(counted(member, counter), `${id} ${counter}`).toBeGreaterThan(before)
    })
    // Nobody was harmed for good: not the accused either.
    await place.advance(30_000)
    expect(members.map((it) => it.members().map(({ status }) => status))).toEqual([
      ['alive', 'alive'],
      ['alive', 'alive'],
    ])
    await stopAll(place, members)
  })

  it('GOS-181 goes no further than the envelope where there is a key', async () => {
    const place = createPlace()
    const keyring = (): ReturnType<typeof createKeyring> =>
      createKeyring({ keys: [Buffer.alloc(32, 7)] })
    const members = await cluster(place, 2, { keyring: keyring() })
    const [member] = members
    if (member === undefined) throw new Error('two members')
    const refused = ['plaintextRefused', 'stream.plaintextRefused', 'keyUnknown', 'packetTooLarge']
    const sum = (): number => refused.reduce((all, kind) => all + counted(member, kind), 0)
    let last = sum()
    await attack(place, member, (id, counter, before) => {
      expect(counted(member, counter), id).toBe(before)
      expect(sum(), id).toBe(last + 1)
      last += 1
    })
    await stopAll(place, members)
  })
})
