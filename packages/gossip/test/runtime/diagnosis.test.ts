// Every finding of `diagnose`, brought about: what it says, of whom, since when, and its end.
import { createRandom, silentLogger } from '@kith/interface'
import type { Address } from '@kith/interface'
import { afterEach, describe, expect, it } from 'vitest'
import { createGossip, createKeyring } from '../../src/index.ts'
import type { Finding, Gossip, GossipOptions } from '../../src/index.ts'
import { encodeMessage, encodePacket } from '../../src/wire/codec.ts'
import { alive as aliveMessage, bytesOf, meta, versions } from '../core/support.ts'
import { at, cluster, createPlace, startAll, stopAll, text } from './support.ts'
import type { Place } from './support.ts'

const places: { readonly place: Place; readonly members: Gossip[] }[] = []

afterEach(async () => {
  for (const { place, members } of places.splice(0)) await stopAll(place, members)
})

async function clusterOf(
  count: number,
  options: GossipOptions = {},
): Promise<{ readonly place: Place; readonly members: Gossip[] }> {
  const place = createPlace()
  const members = [...(await cluster(place, count, options))]
  places.push({ place, members })
  return { place, members }
}

/** A member at an address of its own choice. */
function memberAt(place: Place, address: Address, options: GossipOptions): Gossip {
  const { clock, network } = place
  return createGossip({
    packets: network.packetTransport(address),
    streams: network.streamTransport(address),
    ...options,
    context: { clock: network.clockAt(address) ?? clock, random: createRandom(99) },
  })
}

function found<Kind extends Finding['kind']>(
  member: Gossip | undefined,
  kind: Kind,
): readonly (Finding & { readonly kind: Kind })[] {
  const all = member?.diagnose() ?? []
  for (const finding of all) {
    expect(finding.text).not.toContain('undefined')
    expect(finding.advice.length).toBeGreaterThan(20)
    expect(finding.lastAt).toBeGreaterThanOrEqual(finding.since)
  }
  return all.filter((it): it is Finding & { readonly kind: Kind } => it.kind === kind)
}

describe('diagnose', () => {
  it('GOS-162 finds nothing where nothing is wrong, and is not to be had before the start', async () => {
    const { place, members } = await clusterOf(4)
    await place.advance(60_000)
    expect(members.map((member) => member.diagnose())).toEqual([[], [], [], []])
    const fresh = place.gossip(9)
    expect(() => fresh.diagnose()).toThrow(
      expect.objectContaining({ code: 'ERR_GOSSIP_NOT_RUNNING' }),
    )
  })

  it('GOS-162 UDP is blocked and TCP is fine: of whom, since when, until a packet comes', async () => {
    const { place, members } = await clusterOf(3)
    const began = place.clock.wallNow()
    const others = [at(1), at(2)]
    const heals = [
      place.network.block([at(3)], others, 'packets'),
      place.network.block(others, [at(3)], 'packets'),
    ]
    await place.eventually(() => found(members[0], 'packetsBlocked').length > 0)
    await place.advance(20_000)
    const [finding] = found(members[0], 'packetsBlocked')
    expect(finding).toMatchObject({ member: 'm3', address: at(3) })
    expect(finding?.times).toBeGreaterThan(2)
    expect(finding?.since).toBeGreaterThan(began)
    expect(finding?.since).toBeLessThan(began + 10_000)
    expect(finding?.text).toContain(`"m3" at ${text(3)} answers over TCP`)
    expect(finding?.advice).toContain('UDP')
    // The one that is cut off sees it of both others.
    const names = found(members[2], 'packetsBlocked').map(({ member }) => member)
    expect(new Set(names)).toEqual(new Set(['m1', 'm2']))
    for (const heal of heals) heal()
    await place.eventually(() => members.every((member) => member.diagnose().length === 0))
  })

  it('GOS-162 loopback is advertised to members elsewhere', async () => {
    const { place, members } = await clusterOf(2)
    const began = place.clock.wallNow()
    const loopback = { host: '127.0.0.1', port: 7946 }
    const lost = memberAt(place, loopback, { name: 'lost' })
    members.push(lost)
    await startAll(place, [lost])
    await place.until(lost.join([text(1)]))
    await place.eventually(() => members.every((member) => member.members().length === 3))
    for (const member of members) {
      const [finding, ...more] = found(member, 'loopbackAdvertised')
      expect(more).toEqual([])
      expect(finding).toMatchObject({ member: 'lost', address: loopback })
      expect(finding?.elsewhere.host).toMatch(/^10\.0\.0\./)
      expect(finding?.since).toBeGreaterThanOrEqual(began)
      expect(finding?.advice).toContain('--advertise')
    }
    expect(found(lost, 'loopbackAdvertised')[0]?.text).toMatch(/^this member tells others/)
    await place.until(lost.leave())
    await place.eventually(() => found(members[0], 'loopbackAdvertised').length === 0)
  })

  it('GOS-162 one name twice: who has it, who wants it, and for how long it is told', async () => {
    const { place, members } = await clusterOf(2)
    const twin = place.gossip(7, { name: 'm2', nameConflict: 'ignore' })
    members.push(twin)
    await startAll(place, [twin])
    await place.until(twin.join([text(1)]))
    await place.eventually(() => found(members[0], 'nameTwice').length > 0)
    const [finding] = found(members[0], 'nameTwice')
    expect(finding).toMatchObject({ member: 'm2', address: at(2), other: at(7) })
    expect(finding?.text).toContain(`one at ${text(7)}, which is not heard`)
    expect(finding?.advice).toContain(text(7))
    await place.until(twin.stop())
    await place.eventually(() => found(members[0], 'nameTwice').length === 0, 600_000)
  })

  it('GOS-162 one name twice is over once the name has moved to the other one', async () => {
    const { place, members } = await clusterOf(2, { overrides: { deadMemberReclaimMs: 5_000 } })
    const twin = place.gossip(7, { name: 'm2', nameConflict: 'ignore' })
    await startAll(place, [twin])
    await place.until(twin.join([text(1)]))
    await place.eventually(() => found(members[0], 'nameTwice').length > 0)
    await place.until(members[1]?.stop() ?? Promise.resolve())
    const moved = (): boolean => members[0]?.member('m2')?.address.host === at(7).host
    await place.eventually(() => moved(), 120_000)
    // Told a moment ago, and not true any more.
    expect(found(members[0], 'nameTwice')).toEqual([])
    members.push(twin)
  })

  it('GOS-162 more meta than may be: of whom, how much, until it is less', async () => {
    const { place, members } = await clusterOf(2)
    const big = new Uint8Array(600)
    const address = at(8)
    const host = place.network.attach(address, { packet: () => {} })
    const say = (changes: object): void => {
      const message = aliveMessage('big', { address: bytesOf(address), versions, ...changes })
      host.send(at(1), encodePacket([encodeMessage(message)]))
    }
    say({ incarnation: 5, meta: big })
    await place.eventually(() => found(members[0], 'metaTooLarge').length > 0)
    const [finding] = found(members[0], 'metaTooLarge')
    expect(finding).toMatchObject({ member: 'big', address, bytes: 600, bytesMax: 512 })
    expect(finding?.text).toContain('600 bytes')
    say({ incarnation: 6, meta: meta() })
    await place.eventually(() => found(members[0], 'metaTooLarge').length === 0)
  })

  it('GOS-162 the event loop was late: the longest, the last, and how often', async () => {
    const { place, members } = await clusterOf(3)
    const [first] = members
    const stand = async (ms: number): Promise<void> => {
      place.network.pause(at(1))
      await place.advance(ms)
      place.network.resume(at(1))
      await place.advance(2000)
    }
    await stand(480)
    expect(first?.stats().counters).toMatchObject({ pauses: 1 })
    expect(found(first, 'loopLate')).toEqual([])
    await stand(2500)
    await stand(900)
    const [finding] = found(first, 'loopLate')
    expect(finding).toMatchObject({ member: 'm1', times: 3 })
    expect(finding?.longestMs).toBeGreaterThan(2200)
    expect(finding?.longestMs).toBeLessThanOrEqual(2500)
    expect(finding?.lastMs).toBeGreaterThan(600)
    expect(finding?.lastMs).toBeLessThanOrEqual(900)
    expect(finding?.text).toContain('this process did not run')
    expect(found(members[1], 'loopLate')).toEqual([])
    await place.advance(60_000)
    expect(found(first, 'loopLate')).toEqual([])
  })

  it('GOS-162 no key matches: a stream of a joiner, and packets of a member', async () => {
    const keys = [Buffer.alloc(16, 1).toString('base64'), Buffer.alloc(16, 2).toString('base64')]
    const [ours = '', theirs = ''] = keys
    const { place, members } = await clusterOf(2, { keyring: createKeyring({ keys: [ours] }) })
    const stranger = place.gossip(9, { keyring: createKeyring({ keys: [theirs] }) })
    members.push(stranger)
    await startAll(place, [stranger])
    await expect(place.until(stranger.join([text(1)]))).rejects.toThrow(/key/)
    const [joiner] = found(members[0], 'keyUnknown')
    expect(joiner).toMatchObject({ address: { host: at(9).host, port: 0 } })
    expect(joiner).not.toHaveProperty('member')
    expect(joiner?.text).toContain(`somebody at ${at(9).host} sends what no key`)
    await place.until(members[1]?.stop() ?? Promise.resolve())
    // The same member is back at the same place with another key, and pings whom it remembers.
    const changed = place.gossip(2, { keyring: createKeyring({ keys: [theirs] }) })
    members.push(changed)
    await startAll(place, [changed])
    const host = place.network.attach(at(5), { packet: () => {} })
    host.send(at(1), new Uint8Array(80).fill(1))
    await place.eventually(() => found(members[0], 'keyUnknown').length > 1)
    expect(found(members[0], 'keyUnknown').map(({ address }) => address)).toContainEqual(at(5))
    await place.advance(600_000)
    expect(found(members[0], 'keyUnknown')).toEqual([])
  })

  it('GOS-162 another label: of a stream and of packets, with both labels, none among them', async () => {
    const { place, members } = await clusterOf(2, { label: 'east' })
    const stranger = place.gossip(9, { label: 'west\u001b[2J' })
    members.push(stranger)
    await startAll(place, [stranger])
    await expect(place.until(stranger.join([text(1)]))).rejects.toThrow(/label/)
    const [joiner, ...more] = found(members[0], 'labelDiffers')
    expect(more).toEqual([])
    expect(joiner).toMatchObject({
      address: { host: at(9).host, port: 0 },
      label: 'east',
      theirs: 'west\u001b[2J',
    })
    expect(joiner?.text).toBe(
      `somebody at ${at(9).host} sends with the label "west\\u001b[2J", and that of this member is "east": it is not heard`,
    )
    expect(joiner?.advice).toContain('`label`')
    const host = place.network.attach(at(5), { packet: () => {} })
    host.send(at(1), encodePacket([encodeMessage(aliveMessage('x', { versions }))]))
    await place.eventually(() => found(members[0], 'labelDiffers').length > 1)
    const unlabelled = found(members[0], 'labelDiffers').find(({ theirs }) => theirs === '')
    expect(unlabelled).toMatchObject({ address: at(5), label: 'east' })
    expect(unlabelled?.text).toContain(`somebody at ${text(5)} sends with no label`)
    await place.advance(600_000)
    expect(found(members[0], 'labelDiffers')).toEqual([])
  })

  it('GOS-162 a label cut off is another one of which nothing more is known', async () => {
    const { place, members } = await clusterOf(1)
    const host = place.network.attach(at(5), { packet: () => {} })
    host.send(at(1), new Uint8Array([0xf4, 2, 0x61, 0x62, 0]))
    await place.eventually(() => found(members[0], 'labelDiffers').length > 0)
    expect(found(members[0], 'labelDiffers')).toMatchObject([{ label: '', theirs: 'ab' }])
    expect(found(members[0], 'labelDiffers')[0]?.text).toContain('this member has none')
    const streams = place.network.streamTransport(at(6))({
      clock: place.clock,
      random: createRandom(5),
      logger: silentLogger,
    })
    await place.until(streams.start({ stream: () => {} }, {}))
    const stream = await place.until(streams.connect(at(1), { timeoutMs: 1000 }))
    // The length comes alone, and the rest after it: the first piece does not show the label.
    await place.until(stream.write(new Uint8Array([0xf4, 3])))
    await place.advance(100)
    await place.until(stream.write(new Uint8Array([0x61, 0x62, 0x63, 0])))
    await place.eventually(() => found(members[0], 'labelDiffers').length > 1)
    const [cut] = found(members[0], 'labelDiffers').filter(({ address }) => address.port === 0)
    expect(cut).not.toHaveProperty('theirs')
    expect(cut?.text).toContain('with another label')
    await place.until(streams.stop())
  })

  it('GOS-162 one end has a key and the other has none, each sees it', async () => {
    const keys = [Buffer.alloc(16, 1).toString('base64')]
    const { place, members } = await clusterOf(1, { keyring: createKeyring({ keys }) })
    const open = place.gossip(2)
    members.push(open)
    await startAll(place, [open])
    await expect(place.until(open.join([text(1)]))).rejects.toThrow(/key/)
    const [plain] = found(members[0], 'plaintextRefused')
    expect(plain).toMatchObject({ address: { host: at(2).host, port: 0 } })
    expect(plain?.text).toContain('is not encrypted, and this member has a key')
    expect(plain?.advice).toContain('--encrypt')
    await expect(place.until(members[0]?.join([text(2)]) ?? Promise.reject())).rejects.toThrow()
    const [sealed] = found(open, 'keyMissing')
    expect(sealed).toMatchObject({ address: { host: at(1).host, port: 0 } })
    expect(sealed?.advice).toContain('--encrypt')
    await place.advance(600_000)
    expect(members.map((member) => member.diagnose())).toEqual([[], []])
  })

  it('GOS-162 nobody is reached: why, what to do, and until somebody is', async () => {
    const place = createPlace()
    const own = createKeyring({ keys: [Buffer.alloc(16, 1).toString('base64')] })
    const lonely = place.gossip(1, { join: [text(2)], label: 'east' })
    const keyed = place.gossip(3, { join: [text(4)], keyring: own })
    const open = place.gossip(4)
    const members = [lonely, keyed, open]
    places.push({ place, members })
    await startAll(place, members)
    await place.eventually(() => found(lonely, 'alone').length > 0)
    await place.eventually(() => found(keyed, 'alone').length > 0)
    await place.advance(200_000)
    const [finding, ...more] = lonely.diagnose()
    expect(more).toEqual([])
    expect(finding).toMatchObject({ kind: 'alone', member: 'm1' })
    expect(finding?.times).toBeGreaterThan(4)
    expect(finding?.text).toContain(`this member is alone`)
    expect(finding?.text).toContain(text(2))
    expect(finding?.advice).toContain('`label`')
    expect(found(keyed, 'alone')[0]?.advice).toContain('the cluster is not encrypted')
    const other = place.gossip(2, { label: 'east' })
    members.push(other)
    await startAll(place, [other])
    await place.eventually(() => lonely.diagnose().length === 0)
    await place.until(other.leave())
    await place.until(lonely.leave())
    await place.advance(60_000)
    expect(lonely.diagnose()).toEqual([])
  })
})
