// Clusters with a key, a label, or both: who hears whom, and what one who does not fit is told.
import { describe, expect, it } from 'vitest'
import { createKeyring } from '../../src/index.ts'
import type { Gossip, GossipOptions, GossipWarning } from '../../src/index.ts'
import { alive, at, cluster, createPlace, startAll, stopAll, text } from './support.ts'
import type { Place } from './support.ts'

const keyA = Buffer.alloc(32, 1)
const keyB = Buffer.alloc(32, 2)

function withKeys(...keys: readonly Uint8Array[]): GossipOptions {
  return { keyring: createKeyring({ keys }) }
}

function counter(member: Gossip, kind: string): number {
  return member.stats().counters[kind] ?? 0
}

interface Refusal {
  readonly code: string
  readonly message: string
  readonly details: { readonly failures: readonly string[] }
}

/** What `joiner` is told when it joins a cluster of one `host`. */
async function refusal(
  place: Place,
  host: GossipOptions,
  joiner: GossipOptions,
): Promise<{ error: Refusal; members: readonly Gossip[] }> {
  const members = [place.gossip(1, host), place.gossip(2, joiner)]
  await startAll(place, members)
  const joined = place.until(members[1]?.join([text(1)]) ?? Promise.reject(new Error('nobody')))
  const error = await joined.then(
    () => Promise.reject(new Error('it joined')),
    (cause: unknown) => cause as Refusal,
  )
  expect(members.map(alive)).toEqual([1, 1])
  return { error, members }
}

/** A place where every datagram is kept as its sender handed it to the network. */
function watchedPlace(): { readonly place: Place; readonly seen: readonly Uint8Array[] } {
  const place = createPlace()
  const seen: Uint8Array[] = []
  const gossip: Place['gossip'] = (number, options = {}) => {
    const make = place.network.packetTransport(at(number))
    return place.gossip(number, {
      ...options,
      packets: (context) => {
        const packets = make(context)
        return {
          packetBytesMax: packets.packetBytesMax,
          start: (handlers, start) => packets.start(handlers, start),
          send(to, bytes) {
            seen.push(bytes)
            packets.send(to, bytes)
          },
          stop: () => packets.stop(),
          [Symbol.asyncDispose]: () => packets.stop(),
        }
      },
    })
  }
  return { place: { ...place, gossip }, seen }
}

describe('a cluster with a key', () => {
  it.each([16, 24, 32])(
    'GOS-100 of %i bytes joins, gossips, fetches, answers and fails in ciphertext only',
    async (size) => {
      const { place, seen } = watchedPlace()
      const keyring = createKeyring({ keys: [Buffer.alloc(size, 7)] })
      const members = await cluster(place, 3, {
        keyring,
        label: 'lab',
        tags: { role: 'tell-tale' },
      })
      const [one, two, three] = members
      one?.extend('test', { onFetch: () => Buffer.from('fetched') })
      const got = await place.until(two?.fetch('m1', 'test', new Uint8Array(1)) ?? Promise.reject())
      expect(Buffer.from(got).toString()).toBe('fetched')
      // An answer that needs a stream is sealed as well: plaintext would not be taken.
      one?.on('query', (query) => query.respond(Buffer.alloc(5000, 'tell-tale')))
      const asked = two?.query('large', undefined, { members: ['m1'] })
      expect((await place.until(asked?.summary ?? Promise.reject())).responses).toEqual(['m1'])
      await place.until(three?.stop() ?? Promise.reject())
      await place.eventually(() => one?.member('m3')?.status === 'failed')
      expect(seen.length).toBeGreaterThan(20)
      for (const bytes of seen) {
        expect(Buffer.from(bytes.subarray(0, 6)).toString('latin1')).toBe('\u00f4\u0003lab\u0001')
        expect(Buffer.from(bytes).includes('tell-tale')).toBe(false)
      }
      for (const member of [one, two]) {
        if (member === undefined) throw new Error('two members')
        for (const kind of ['keyUnknown', 'labelForeign', 'plaintextRefused', 'emptyMessage']) {
          expect(counter(member, kind) + counter(member, `stream.${kind}`)).toBe(0)
        }
      }
      await stopAll(place, members)
    },
  )

  it('GOS-101 opens what is sealed with any of its keys, so that a rotation loses nothing', async () => {
    const place = createPlace()
    const rings = [createKeyring({ keys: [keyA] }), createKeyring({ keys: [keyA] })]
    const members = rings.map((keyring, index) => place.gossip(index + 1, { keyring }))
    await startAll(place, members)
    await place.until(members[1]?.join([text(1)]) ?? Promise.reject())
    for (const step of ['install', 'use'] as const) {
      for (const ring of rings) {
        await ring[step](keyB)
        await place.advance(5_000)
      }
    }
    for (const ring of rings) {
      await ring.remove(keyA)
      await place.advance(5_000)
    }
    expect(members.map(alive)).toEqual([2, 2])
    for (const member of members) {
      expect(counter(member, 'keyUnknown')).toBe(0)
      expect(counter(member, 'suspicions')).toBe(0)
    }
    await stopAll(place, members)
  })
})

describe('one that does not fit', () => {
  it('GOS-105 without a key is told that the cluster has one', async () => {
    const place = createPlace()
    const { error, members } = await refusal(place, withKeys(keyA), {})
    expect(error.code).toBe('ERR_GOSSIP_KEY_MISSING')
    expect(error.message).toContain('the cluster is encrypted: give this member its key')
    expect(error.details.failures).toEqual([
      '10.0.0.1:7946: the answer is encrypted and this member has no key',
    ])
    expect(members.map((member) => counter(member, 'stream.plaintextRefused'))).toEqual([1, 0])
    await stopAll(place, members)
  })

  it('GOS-105 with other keys is told that none of them fits', async () => {
    const place = createPlace()
    const other = Buffer.alloc(16, 3)
    const { error, members } = await refusal(place, withKeys(keyA), withKeys(keyB, other))
    expect(error.code).toBe('ERR_GOSSIP_KEY_UNKNOWN')
    expect(error.message).toContain('encrypted with another key')
    expect(error.details.failures[0]).toContain('all 2 keys of ours do not open it')
    expect(members.map((member) => counter(member, 'stream.keyUnknown'))).toEqual([1, 1])
    await stopAll(place, members)
  })

  it('GOS-105 with a key at a cluster without one is told so', async () => {
    const place = createPlace()
    const { error, members } = await refusal(place, {}, withKeys(keyA))
    expect(error.code).toBe('ERR_GOSSIP_NOT_ENCRYPTED')
    expect(error.details.failures[0]).toContain('the answer is not encrypted')
    expect(members.map((member) => counter(member, 'stream.encryptionMissing'))).toEqual([1, 0])
    await stopAll(place, members)
  })

  it('GOS-105 whose primary the cluster lacks is told so in the words of the cluster', async () => {
    const place = createPlace()
    const { error, members } = await refusal(place, withKeys(keyA), withKeys(keyB, keyA))
    expect(error.code).toBe('ERR_GOSSIP_JOIN_FAILED')
    expect(error.message).toContain('no installed keys could decrypt the message')
    await stopAll(place, members)
  })

  it.each([
    ['another label', { label: 'one' }, { label: 'two' }, 'stream.labelForeign', 'ours is "two"'],
    ['no label', { label: 'one' }, {}, 'stream.labelMissing', 'we have none'],
    ['a label where none is', {}, { label: 'two' }, 'stream.labelForeign', 'ours is "two"'],
    [
      'another label and the same key',
      { label: 'one', ...withKeys(keyA) },
      { label: 'two', ...withKeys(keyA) },
      'stream.labelForeign',
      'ours is "two"',
    ],
  ])(
    'GOS-105 with %s gets no answer, and the hint why',
    async (_what, host, joiner, kind, hint) => {
      const place = createPlace()
      const { error, members } = await refusal(place, host, joiner)
      expect(error.code).toBe('ERR_GOSSIP_JOIN_FAILED')
      expect(error.details.failures[0]).toContain(`members of another label do (${hint})`)
      expect(members.map((member) => counter(member, kind))).toEqual([1, 0])
      await stopAll(place, members)
    },
  )

  it('GOS-105 is warned in the background with the same code, again and again', async () => {
    const place = createPlace()
    const host = place.gossip(1, withKeys(keyA))
    const joiner = place.gossip(2, { join: [text(1)] })
    const warnings: GossipWarning[] = []
    joiner.on('warning', (warning) => void warnings.push(warning))
    await startAll(place, [host, joiner])
    await place.eventually(() => warnings.length >= 2)
    expect(warnings).toMatchObject([
      { kind: 'seedsUnreachable', code: 'ERR_GOSSIP_KEY_MISSING' },
      { kind: 'seedsUnreachable', code: 'ERR_GOSSIP_KEY_MISSING' },
    ])
    await stopAll(place, [host, joiner])
  })

  it('GOS-104 sends packets that change no view and are counted by what is wrong', async () => {
    const place = createPlace()
    const host = place.gossip(1, { label: 'lab', ...withKeys(keyA) })
    // Strangers whose packets arrive at the host because each takes it for a member of its own.
    const strangers: readonly (readonly [GossipOptions, string])[] = [
      [{ label: 'lab', ...withKeys(keyB) }, 'keyUnknown'],
      [{ label: 'lab' }, 'plaintextRefused'],
      [{ label: 'other', ...withKeys(keyA) }, 'labelForeign'],
      [withKeys(keyA), 'labelMissing'],
      [{}, 'labelMissing'],
    ]
    const before = await start(place, host)
    for (const [options, kind] of strangers) {
      const counted = counter(host, kind)
      await probedBy(place, options)
      expect(counter(host, kind)).toBeGreaterThan(counted)
    }
    expect(host.members()).toEqual(before)
    await stopAll(place, [host])
  })
})

async function start(place: Place, member: Gossip): Promise<readonly object[]> {
  await startAll(place, [member])
  return member.members()
}

/**
 * A member that once shared its cluster with another at the host's address, and so probes it there
 * after that one was replaced.
 */
async function probedBy(place: Place, options: GossipOptions): Promise<void> {
  const prober = place.gossip(9, options)
  const decoy = place.gossip(8, { ...options, advertise: at(1) })
  await startAll(place, [prober, decoy])
  await place.until(prober.join([text(8)]))
  await place.advance(2_000)
  await stopAll(place, [prober, decoy])
}

describe('a cluster that gets its key', () => {
  it('GOS-103 moves member by member: keys everywhere, outgoing, then incoming', async () => {
    const place = createPlace()
    const names = [1, 2, 3]
    const stages: readonly GossipOptions[] = [
      {},
      { ...withKeys(keyA), verifyIncoming: false, verifyOutgoing: false },
      { ...withKeys(keyA), verifyIncoming: false },
      withKeys(keyA),
    ]
    let members = [...(await cluster(place, 3))]
    for (const [stage, options] of stages.entries()) {
      for (const name of stage === 0 ? [] : names) {
        const old = members[name - 1]
        await place.until(old?.leave() ?? Promise.reject())
        await place.until(old?.stop() ?? Promise.reject())
        const fresh = place.gossip(name, options)
        await startAll(place, [fresh])
        await place.until(fresh.join([text((name % 3) + 1)]))
        members = members.map((member, index) => (index === name - 1 ? fresh : member))
        await place.eventually(() => members.every((member) => alive(member) === 3))
      }
      await place.advance(10_000)
      expect(members.map(alive)).toEqual([3, 3, 3])
    }
    const taken = members.map((member) => counter(member, 'plaintextTaken'))
    expect(taken).toEqual([0, 0, 0])
    await stopAll(place, members)
  })
})

describe('options', () => {
  it('GOS-21 of security are checked with all others', () => {
    const place = createPlace()
    const bad = {
      keyring: ['AAAA'],
      label: 'x'.repeat(256),
      verifyIncoming: 'no',
      verifyOutgoing: 1,
    } as unknown as GossipOptions
    expect(() => place.gossip(1, bad)).toThrow(
      expect.objectContaining({
        code: 'ERR_GOSSIP_OPTIONS',
        details: {
          problems: ['keyring', 'label', 'verifyIncoming', 'verifyOutgoing'].map((field) =>
            expect.objectContaining({ field }),
          ),
        },
      }),
    )
    expect(() => place.gossip(1, { label: 'x'.repeat(255) })).not.toThrow()
  })
})

describe('the budget of packets', () => {
  it('GOS-107 counts label and encryption: no packet is longer for them', async () => {
    const largest = async (options: GossipOptions): Promise<number> => {
      const { place, seen } = watchedPlace()
      // A dozen members with tags: more news than fits a packet.
      const tags = { filler: 'x'.repeat(60) }
      const members = await cluster(place, 12, { ...options, tags })
      await place.advance(5_000)
      await stopAll(place, members)
      return Math.max(...seen.map(({ length }) => length))
    }
    const plain = await largest({})
    expect(plain).toBeGreaterThan(1_250)
    for (const label of [undefined, 'l'.repeat(255)]) {
      const options = { ...withKeys(keyA), ...(label === undefined ? {} : { label }) }
      const length = await largest(options)
      expect(length).toBeGreaterThan(1_250)
      expect(length).toBeLessThanOrEqual(1_407)
    }
  })
})
