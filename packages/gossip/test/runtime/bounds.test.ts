// What strangers can do to a running member: connect, be silent, send too much, and be counted.
import type { Address, ByteStream, StreamTransport } from '@kith/interface'
import { createRandom, silentLogger } from '@kith/interface'
import { describe, expect, it } from 'vitest'
import { createKeyring } from '../../src/index.ts'
import type { Gossip, GossipOptions } from '../../src/index.ts'
import {
  createStreamDecoder,
  encodeMessage,
  encodeStream,
  userMessage,
} from '../../src/wire/codec.ts'
import type { StreamStep } from '../../src/wire/codec.ts'
import { decodeState, hex, pushPull, vector } from '../wire/support.ts'
import { alive, at, cluster, createPlace, startAll, stopAll, text } from './support.ts'
import type { Place } from './support.ts'

interface Stranger {
  readonly streams: StreamTransport
  send(to: Address, bytes: Uint8Array): void
}

async function stranger(place: Place, number = 200): Promise<Stranger> {
  const clock = place.network.clockAt(at(number))
  const context = { clock, random: createRandom(number), logger: silentLogger }
  const streams = place.network.streamTransport(at(number))(context)
  const packets = place.network.packetTransport(at(number))(context)
  await streams.start({ stream: (stream) => stream.destroy() })
  await packets.start({ packet: () => {} })
  return { streams, send: (to, bytes) => packets.send(to, bytes) }
}

/** How a stream that we opened ended: the bytes that came back. */
async function answerTo(place: Place, stream: ByteStream, bytes: Uint8Array): Promise<Uint8Array> {
  await place.until(stream.write(bytes))
  const parts: number[] = []
  for (;;) {
    const part = await place.until(stream.read().catch(() => undefined))
    if (part === undefined) return Uint8Array.from(parts)
    parts.push(...part)
  }
}

function decoded(bytes: Uint8Array): StreamStep {
  return createStreamDecoder().push(bytes)
}

function counter(member: Gossip, kind: string): number {
  return member.stats().counters[kind] ?? 0
}

const envelopes = [
  {
    where: 'in the clear',
    options: (): GossipOptions => ({}),
    begun: encodeStream(pushPull(['a'])).subarray(0, 20),
  },
  {
    where: 'with a key',
    options: (): GossipOptions => ({ keyring: createKeyring({ keys: [new Uint8Array(16)] }) }),
    // A frame of 65,536 bytes, of which the version and eleven bytes came.
    begun: hex('0a 00010000 01 0102030405060708090a0b'),
  },
]

async function one(
  place: Place,
  options: GossipOptions = {},
): Promise<{ member: Gossip; other: Stranger }> {
  const member = place.gossip(1, options)
  await startAll(place, [member])
  return { member, other: await stranger(place) }
}

describe('streams from strangers', () => {
  it('GOS-30 the 128th stream is closed, and there is room again when others end', async () => {
    const place = createPlace()
    const { member, other } = await one(place)
    const open: ByteStream[] = []
    for (let count = 0; count < 127; count += 1) {
      open.push(await place.until(other.streams.connect(at(1))))
    }
    await place.advance(10)
    expect(member.stats().streamsOpen).toBe(127)
    const refused = await place.until(other.streams.connect(at(1)))
    expect(await place.until(refused.read().catch(() => undefined))).toBeUndefined()
    expect(counter(member, 'streamsRefused')).toBe(1)
    for (const stream of open) stream.destroy()
    await place.eventually(() => member.stats().streamsOpen === 0, 1_000)
    const fresh = await place.until(other.streams.connect(at(1)))
    const bytes = await answerTo(place, fresh, encodeStream(pushPull([])))
    expect(decoded(bytes).kind).toBe('message')
    await stopAll(place, [member])
  })

  it.each(envelopes)(
    'GOS-30 who connects and says nothing is closed after a quarter of the time: $where',
    async ({ options }) => {
      const place = createPlace()
      const { member, other } = await one(place, options())
      const stream = await place.until(other.streams.connect(at(1)))
      const before = place.clock.now()
      expect(await place.until(stream.read().catch(() => undefined))).toBeUndefined()
      expect(place.clock.now() - before).toBeGreaterThanOrEqual(2_400)
      expect(place.clock.now() - before).toBeLessThanOrEqual(2_700)
      expect(counter(member, 'streamsSilent')).toBe(1)
      await stopAll(place, [member])
    },
  )

  it.each(envelopes)(
    'GOS-30 who begins and never ends is closed after the stream time: $where',
    async ({ options, begun }) => {
      const place = createPlace()
      const { member, other } = await one(place, options())
      const stream = await place.until(other.streams.connect(at(1)))
      const before = place.clock.now()
      await place.until(stream.write(begun))
      expect(await place.until(stream.read().catch(() => undefined))).toBeUndefined()
      expect(place.clock.now() - before).toBeGreaterThanOrEqual(9_900)
      expect(place.clock.now() - before).toBeLessThanOrEqual(10_200)
      expect(member.stats().streamsOpen).toBe(0)
      await stopAll(place, [member])
    },
  )

  it('GOS-30 unfinished messages of all streams together have a bound', async () => {
    const place = createPlace()
    const { member, other } = await one(place)
    // A user message of 2 MB that lacks its last byte, five times over.
    const whole = encodeStream({
      kind: 'user',
      message: undefined,
      bytes: new Uint8Array(2_000_000),
    })
    const streams: ByteStream[] = []
    for (let count = 0; count < 5; count += 1) {
      const stream = await place.until(other.streams.connect(at(1)))
      streams.push(stream)
      await place.until(stream.write(whole.subarray(0, -1)).catch(() => {}))
      await place.advance(200)
      expect(member.stats().streamBytesHeld).toBeLessThanOrEqual(8_912_896)
    }
    expect(counter(member, 'streamBytesFull')).toBe(1)
    await place.advance(11_000)
    expect(member.stats().streamBytesHeld).toBe(0)
    await stopAll(place, [member])
  })

  it('GOS-30 answers that nobody reads have a bound, and readers are served again', async () => {
    const place = createPlace()
    const { member, other } = await one(place)
    member.extend('large', { onFetch: () => new Uint8Array(3_000_000) })
    const question = { kind: 'fetch', extension: 'large', from: 'x', node: 'm1' } as const
    const bytes = encodeStream({ ...question, request: hex('') })
    const unread: ByteStream[] = []
    for (let count = 0; count < 4; count += 1) {
      const stream = await place.until(other.streams.connect(at(1)))
      await place.until(stream.write(bytes))
      unread.push(stream)
    }
    await place.advance(200)
    expect(counter(member, 'answerBytesFull')).toBe(2)
    for (const stream of unread) stream.destroy()
    await place.advance(200)
    const reader = await place.until(other.streams.connect(at(1)))
    expect((await answerTo(place, reader, bytes)).length).toBeGreaterThan(3_000_000)
    await stopAll(place, [member])
  })

  it.each([
    [
      'an unknown algorithm',
      hex('09 82a4416c676f07a3427566a178'),
      'stream.compressAlgorithm',
      true,
    ],
    ['an encrypted frame', hex('0a 00000010'), 'stream.encryptionMissing', true],
    ['2^31 rows', hex('06 81a54e6f646573 ce80000000'), 'stream.headerOutOfRange', false],
    ['an unknown type', hex('63'), 'stream.typeUnknown', false],
    ['a raw of 4 GiB', hex('0d 81a54572726f72dbffffffff'), 'stream.streamTooLarge', false],
    ['a ping for somebody else', hex('00 81a44e6f6465a178'), 'pingForOther', false],
    ['an answer nobody asked for', hex('02 81a55365714e6f07'), 'streamUnexpected', false],
  ])('GOS-32 %s is counted, and answered only where it helps', async (_what, bytes, kind, told) => {
    const place = createPlace()
    const { member, other } = await one(place)
    const stream = await place.until(other.streams.connect(at(1)))
    const answer = await answerTo(place, stream, bytes)
    expect(counter(member, kind)).toBe(1)
    expect(answer.length > 0).toBe(told)
    const step = told ? decoded(answer) : undefined
    expect(step === undefined || (step.kind === 'message' && step.message.kind === 'error')).toBe(
      true,
    )
    await stopAll(place, [member])
  })

  it('GOS-32 packets of strangers and malformed ones are counted and change no view', async () => {
    const place = createPlace()
    const members = await cluster(place, 2)
    const [member] = members
    if (member === undefined) throw new Error('two members')
    const other = await stranger(place)
    const earlier = counter(member, 'packetsFromStrangers')
    await place.advance(5_000)
    // Whoever is a member is no stranger.
    expect(counter(member, 'packetsIn')).toBeGreaterThan(5)
    expect(counter(member, 'packetsFromStrangers')).toBe(earlier)
    const before = member.members()
    for (const bytes of [
      hex('63'),
      hex('0b'),
      hex('07'),
      hex('0c0000000000'),
      hex(''),
      vector('udp-nack'),
    ]) {
      other.send(at(1), bytes)
    }
    await place.advance(100)
    expect(counter(member, 'packetsFromStrangers')).toBe(earlier + 6)
    for (const kind of ['typeUnknown', 'messageMalformed', 'compoundShort', 'crcMismatch']) {
      const found = Object.entries(member.stats().counters).filter(([name]) => name.endsWith(kind))
      expect(found.map(([, count]) => count)).toEqual([1])
    }
    expect(member.members()).toEqual(before)
    await stopAll(place, members)
  })
})

describe('news of strangers', () => {
  const event = (lamportTime: bigint, name: string, bytes: number): Uint8Array =>
    encodeStream(
      userMessage({
        kind: 'userEvent',
        lamportTime,
        name,
        payload: new Uint8Array(bytes),
        coalesce: false,
      }),
    )

  async function tell(place: Place, other: Stranger, bytes: Uint8Array): Promise<void> {
    await answerTo(place, await place.until(other.streams.connect(at(1))), bytes)
  }

  it('GOS-32 events too large for Serf are counted and not kept', async () => {
    const place = createPlace()
    const { member, other } = await one(place)
    await tell(place, other, event(1n, 'large', 9_212))
    await tell(place, other, event(2n, 'huge', 2_000_000))
    expect(counter(member, 'eventTooLarge')).toBe(2)
    expect(member.stats().lamportTimes.event).toBe(1n)
    await stopAll(place, [member])
  })

  it('GOS-32 events too large for a packet are kept, and wait in no queue', async () => {
    const place = createPlace()
    const { member, other } = await one(place)
    await tell(place, other, event(1n, 'fits', 1_300))
    expect(member.stats().queues.events).toBe(1)
    await tell(place, other, event(2n, 'does not', 9_000))
    expect(counter(member, 'newsTooLarge')).toBe(1)
    expect(member.stats().queues.events).toBe(1)
    expect(member.stats().lamportTimes.event).toBe(3n)
    await stopAll(place, [member])
  })

  it('GOS-32 what others would call too old is in no exchange', async () => {
    const place = createPlace()
    const { member, other } = await one(place)
    await tell(place, other, event(1n, 'first', 10))
    await tell(place, other, event(513n, 'newer', 10))
    const names = async (): Promise<readonly string[]> => {
      const stream = await place.until(other.streams.connect(at(1)))
      const step = decoded(await answerTo(place, stream, encodeStream(pushPull([]))))
      if (step.kind !== 'message' || step.message.kind !== 'pushPull') throw new Error(step.kind)
      const slots = decodeState(step.message.userState)?.events ?? []
      return slots.flatMap((slot) => slot?.events.map(({ name }) => name) ?? [])
    }
    // 513 takes the place of 1; 2 is still there when the clock has passed 514.
    await tell(place, other, event(2n, 'second', 10))
    expect(await names()).toEqual(['newer', 'second'])
    await tell(place, other, event(516n, 'newest', 10))
    expect(await names()).toEqual(['newer', 'newest'])
    await stopAll(place, [member])
  })

  it('GOS-32 intents and accusations under names nobody can have are counted and not kept', async () => {
    const place = createPlace()
    const members = await cluster(place, 2)
    const [member] = members
    if (member === undefined) throw new Error('two members')
    const other = await stranger(place)
    const long = 'x'.repeat(60_000)
    const intent = { kind: 'leaveIntent', lamportTime: 9n, node: long, prune: false } as const
    other.send(at(1), encodeMessage(userMessage(intent)))
    other.send(at(1), encodeMessage({ kind: 'suspect', incarnation: 1, node: 'm2', from: long }))
    await place.advance(100)
    expect(counter(member, 'nameUnfit')).toBe(2)
    expect(member.stats().queues.intents).toBe(0)
    expect(counter(member, 'suspicions')).toBe(0)
    await stopAll(place, members)
  })

  it('GOS-32 events of one Lamport time have a bound together', async () => {
    const place = createPlace()
    const { member, other } = await one(place)
    for (const name of ['a', 'b', 'c']) await tell(place, other, event(1n, name, 6_000))
    expect(counter(member, 'eventsFull')).toBe(1)
    await stopAll(place, [member])
  })
})

describe('streams to strangers', () => {
  const hostile: readonly (readonly [string, (stream: ByteStream) => Promise<void>, RegExp])[] = [
    ['says nothing', async () => {}, /in time/],
    ['closes at once', async (stream) => stream.destroy(), /10\.0\.0\.200/],
    ['ends at once', async (stream) => stream.end(), /closed without an answer/],
    ['sends garbage', async (stream) => stream.write(hex('63')), /typeUnknown/],
    [
      'sends an error',
      async (stream) => stream.write(encodeStream({ kind: 'error', text: 'go away' })),
      /go away/,
    ],
    ['sends a fetch', async (stream) => stream.write(hex('4b 80')), /typeMisplaced/],
    [
      'sends an ack',
      async (stream) => stream.write(hex('02 81a55365714e6f07')),
      /answered with ack/,
    ],
  ]

  it.each(hostile)(
    'GOS-31 a seed that %s fails the join within its time',
    async (_what, act, reason) => {
      const place = createPlace()
      const member = place.gossip(1)
      await startAll(place, [member])
      const clock = place.network.clockAt(at(200))
      const context = { clock, random: createRandom(1), logger: silentLogger }
      const streams = place.network.streamTransport(at(200))(context)
      await streams.start({ stream: (stream) => void act(stream).catch(() => {}) })
      const before = place.clock.now()
      const joining = place.until(member.join([text(200)]))
      await expect(joining).rejects.toMatchObject({ code: 'ERR_GOSSIP_JOIN_FAILED' })
      await expect(joining).rejects.toThrow(reason)
      expect(place.clock.now() - before).toBeLessThanOrEqual(10_200)
      expect(alive(member)).toBe(1)
      await stopAll(place, [member])
      await streams.stop()
    },
  )
})
