// A member as a whole, over a simulated network: options, life, joining, leaving, events, bounds.
import { isKithError } from '@kith/interface'
import type { MemberEvent, PacketTransportFactory, StreamTransportFactory } from '@kith/interface'
import { describe, expect, it } from 'vitest'
import { createGossip } from '../../src/index.ts'
import type { GossipOptions, GossipWarning } from '../../src/index.ts'
import { alive, at, cluster, createPlace, startAll, status, stopAll, text } from './support.ts'

const packets = (() => {}) as unknown as PacketTransportFactory
const streams = (() => {}) as unknown as StreamTransportFactory

function problemsOf(options: object): string {
  try {
    createGossip({ packets, streams, ...options })
  } catch (cause) {
    return isKithError(cause) ? `${cause.code} ${cause.message}` : String(cause)
  }
  return 'none'
}

describe('options', () => {
  it('GOS-21 names every problem at once', () => {
    const message = problemsOf({
      name: 'a b',
      tags: { role: 7 },
      join: ['a:0', 'ok:1', 5],
      advertise: { host: 'example.org', port: 1 },
      profile: 'moon',
      overrides: { gossipFanout: 0, nonsense: 1 },
      surplus: true,
    })
    expect(message).toMatch(/^ERR_GOSSIP_OPTIONS /)
    const named = ['name', 'tags.role', 'join[0]', 'join[2]', 'advertise.host', 'profile']
    const others = ['overrides.gossipFanout', 'overrides.nonsense', 'surplus']
    for (const field of [...named, ...others]) expect(message).toContain(`${field} must be`)
    expect(message).not.toContain('join[1]')
  })

  it('GOS-21 says which package brings the transport that is missing', () => {
    const message = problemsOf({ packets: undefined })
    expect(message).toContain('ERR_GOSSIP_TRANSPORT_MISSING')
    expect(message).toContain('@kith/transport-udp')
    expect(problemsOf({ streams: undefined })).toContain('@kith/transport-tcp')
  })

  it.each([
    [{ advertise: { host: '0.0.0.0', port: 1 } }, 'advertise.host'],
    [{ advertise: { host: '10.0.0.1', port: 70_000 } }, 'advertise.port'],
    [{ tags: { big: 'x'.repeat(600) } }, 'tags must be at most 512 bytes'],
    [{ tags: { 'kith.v': '2' } }, 'kith.v'],
    [{ join: 'host:1' }, 'join'],
    [{ name: '' }, 'name'],
  ])('GOS-21 refuses %j', (options, field) => {
    expect(problemsOf(options)).toContain(field)
  })

  it('GOS-21 a default name is valid and differs between members', () => {
    const place = createPlace()
    const names = [1, 2].map(async (number) => {
      const options = { name: undefined } as unknown as GossipOptions
      const member = place.gossip(number, options)
      await place.until(member.start())
      return member.self.name
    })
    return Promise.all(names).then(([first, second]) => {
      expect(first).toMatch(/^[A-Za-z0-9._-]{1,128}$/)
      expect(first).not.toBe(second)
    })
  })
})

describe('life', () => {
  it('GOS-22 a member knows itself from start on, and nothing works before', async () => {
    const place = createPlace()
    const member = place.gossip(1, { tags: { role: 'web' } })
    expect(member.members()).toEqual([])
    for (const early of [() => member.self, () => member.address, () => member.stats()]) {
      expect(early).toThrow(expect.objectContaining({ code: 'ERR_GOSSIP_NOT_RUNNING' }))
    }
    await expect(member.join([text(2)])).rejects.toMatchObject({ code: 'ERR_GOSSIP_NOT_RUNNING' })
    await place.until(member.start())
    expect(member.address).toEqual(at(1))
    expect(member.self).toMatchObject({ name: 'm1', status: 'alive', incarnation: 1 })
    expect({ ...member.self.tags }).toEqual({ 'kith.v': '1', role: 'web' })
    await expect(member.start()).rejects.toMatchObject({ code: 'ERR_GOSSIP_NOT_RUNNING' })
    await stopAll(place, [member])
  })

  it('GOS-22 stop ends everything, twice as well as once, and frees the address', async () => {
    const place = createPlace()
    const [first, second] = await cluster(place, 2)
    if (first === undefined || second === undefined) throw new Error('two members')
    const waiting = first.join(['10.0.0.9:1']).catch((cause: unknown) => cause)
    await stopAll(place, [first])
    await stopAll(place, [first])
    expect(await waiting).toMatchObject({ code: 'ERR_GOSSIP_NOT_RUNNING' })
    await expect(first.setTags({})).rejects.toMatchObject({ code: 'ERR_GOSSIP_NOT_RUNNING' })
    const again = place.gossip(1)
    await startAll(place, [again])
    await stopAll(place, [again, second])
    await place.advance(30_000)
    expect(place.clock.pendingTimers).toBe(0)
  })

  it('GOS-22 an aborted start rejects with the reason and leaves nothing open', async () => {
    const place = createPlace()
    const reason = new Error('changed my mind')
    await expect(place.gossip(1).start(AbortSignal.abort(reason))).rejects.toBe(reason)
    const abort = new AbortController()
    const member = place.gossip(1)
    const starting = member.start(abort.signal).catch((cause: unknown) => cause)
    abort.abort(reason)
    expect(await place.until(starting)).toBe(reason)
    const other = place.gossip(1)
    await startAll(place, [other])
    await stopAll(place, [other])
  })

  it('GOS-22 stop while it starts leaves nothing open', async () => {
    const place = createPlace()
    const member = place.gossip(1)
    const starting = member.start().catch((cause: unknown) => cause)
    await stopAll(place, [member])
    expect(await place.until(starting)).toMatchObject({ code: 'ERR_GOSSIP_NOT_RUNNING' })
    const other = place.gossip(1)
    await startAll(place, [other])
    await stopAll(place, [other])
  })

  it('GOS-23 packets and streams share one port: another is tried where one is taken', async () => {
    const place = createPlace()
    const { network } = place
    const taken = network.packetTransport({ host: '10.0.0.1', port: 20_000 })
    const context = { clock: place.clock, random: { below: () => 0 }, logger: {} } as never
    await taken(context).start({ packet: () => {} })
    const free = { host: '10.0.0.1', port: 0 }
    const member = place.gossip(1, {
      packets: network.packetTransport(free),
      streams: network.streamTransport(free),
    })
    await startAll(place, [member])
    expect(member.address.port).not.toBe(20_000)
    await stopAll(place, [member])
  })

  it('GOS-23 a fixed port that is taken rejects and leaves nothing open', async () => {
    const place = createPlace()
    const first = place.gossip(1)
    await startAll(place, [first])
    await expect(place.until(place.gossip(1).start())).rejects.toThrow(/in use|IN_USE|address/i)
    const crossed = place.gossip(2, { packets: place.network.packetTransport(at(3)) })
    await expect(place.until(crossed.start())).rejects.toMatchObject({ code: 'ERR_GOSSIP_OPTIONS' })
    const second = place.gossip(2)
    await startAll(place, [second])
    await stopAll(place, [first, second])
  })

  it('GOS-23 a wildcard needs an address to advertise', async () => {
    const place = createPlace()
    const any = { host: '0.0.0.0', port: 7946 }
    const bound = {
      packets: place.network.packetTransport(any),
      streams: place.network.streamTransport(any),
    }
    const message = 'advertise must be given where packets are bound to a wildcard'
    await expect(place.until(place.gossip(1, bound).start())).rejects.toThrow(message)
    const advertise = { host: '10.0.0.1', port: 0 }
    const member = place.gossip(1, { ...bound, advertise })
    await startAll(place, [member])
    expect(member.address).toEqual({ host: '10.0.0.1', port: 7946 })
    await stopAll(place, [member])
  })
})

describe('joining and leaving', () => {
  it('GOS-24 all see all, with tags, and every handler hears of it', async () => {
    const place = createPlace()
    const first = place.gossip(1, { tags: { role: 'db' } })
    const heard: string[] = []
    first.subscribe({ memberChanged: ({ kind, member }) => heard.push(`${kind} ${member.name}`) })
    const joined: MemberEvent[] = []
    const off = first.on('join', (event) => joined.push(event))
    await startAll(place, [first])
    const second = place.gossip(2, { join: ['old-name/10.0.0.1:7946'] })
    await startAll(place, [second])
    await place.eventually(() => alive(first) === 2 && alive(second) === 2)
    expect(heard).toEqual(['join m1', 'join m2'])
    expect(joined.map(({ member }) => member.name)).toEqual(['m1', 'm2'])
    expect(second.member('m1')?.tags['role']).toBe('db')
    off()
    await place.until(second.setTags({ x: 'y' }))
    await place.eventually(() => first.member('m2')?.tags['x'] === 'y')
    expect(heard.at(-1)).toBe('update m2')
    expect(joined).toHaveLength(2)
    await stopAll(place, [first, second])
  })

  it('GOS-24 join counts the addresses that answered and says why others did not', async () => {
    const place = createPlace()
    const members = [1, 2, 3].map((number) => place.gossip(number))
    await startAll(place, members)
    const [first] = members
    if (first === undefined) throw new Error('three members')
    expect(await place.until(first.join([text(2), text(3), text(3), '10.0.0.9']))).toBe(2)
    expect(await first.join([])).toBe(0)
    const failed = place.until(first.join(['10.0.0.9', '10.0.0.8:5']))
    await expect(failed).rejects.toMatchObject({
      code: 'ERR_GOSSIP_JOIN_FAILED',
      details: {
        failures: [expect.stringContaining('10.0.0.9:7946'), expect.stringContaining('10.0.0.8:5')],
      },
    })
    await expect(first.join(['no port:x'])).rejects.toMatchObject({ code: 'ERR_GOSSIP_OPTIONS' })
    await stopAll(place, members)
  })

  it('GOS-24 a name that does not resolve is a failure of its own', async () => {
    const place = createPlace()
    const member = place.gossip(1)
    await startAll(place, [member])
    const joining = place.until(member.join(['no-such-host.invalid:1']))
    await expect(joining).rejects.toThrow('no-such-host.invalid:1')
    await stopAll(place, [member])
  })

  it('GOS-25 seeds are tried again while the member is alone, also after it was in company', async () => {
    const place = createPlace()
    const warnings: GossipWarning[] = []
    const late = place.gossip(2, { join: [text(1)] })
    late.on('warning', (warning) => warnings.push(warning))
    await startAll(place, [late])
    await place.advance(5_000)
    expect(warnings.map(({ kind }) => kind)).toContain('seedsUnreachable')
    const first = place.gossip(1)
    await startAll(place, [first])
    await place.eventually(() => alive(late) === 2 && alive(first) === 2)
    await stopAll(place, [first])
    await place.eventually(() => status(late, 'm1') === 'failed')
    const again = place.gossip(1)
    await startAll(place, [again])
    await place.eventually(() => alive(late) === 2 && alive(again) === 2)
    await stopAll(place, [late, again])
  })

  it('GOS-25 a member whose only seed is itself does not keep itself busy', async () => {
    const place = createPlace()
    const member = place.gossip(1, { join: [text(1)] })
    await startAll(place, [member])
    await place.advance(120_000)
    expect(member.stats().counters).not.toHaveProperty('streamsOut')
    await stopAll(place, [member])
  })

  it('GOS-25 a seed that never answers is tried less and less often', async () => {
    const place = createPlace()
    const member = place.gossip(1, { join: [text(2)] })
    await startAll(place, [member])
    await place.advance(120_000)
    // 0.5, 1, 2, 4, 8, 16, 30, 30 and so on, each with a quarter of jitter.
    const tries = member.stats().counters['streamsOut']
    expect(tries).toBeGreaterThanOrEqual(6)
    expect(tries).toBeLessThanOrEqual(12)
    await stopAll(place, [member])
  })

  it('GOS-26 a leave is seen as left by all, and nothing else is possible afterwards', async () => {
    const place = createPlace()
    const [first, second, third] = await cluster(place, 3)
    if (first === undefined || second === undefined || third === undefined) throw new Error('three')
    const events: string[] = []
    first.subscribe({ memberChanged: ({ kind, member }) => events.push(`${kind} ${member.name}`) })
    await place.until(third.leave())
    await place.until(third.leave())
    await place.eventually(() => status(first, 'm3') === 'left' && status(second, 'm3') === 'left')
    for (const late of [third.setTags({}), third.join([text(1)])]) {
      await expect(late).rejects.toMatchObject({ code: 'ERR_GOSSIP_LEFT' })
    }
    await stopAll(place, [third])
    await place.advance(60_000)
    expect(events).toEqual(['leave m3'])
    await stopAll(place, [first, second])
  })

  it('GOS-26 a failed member can be declared left, and forgotten', async () => {
    const place = createPlace()
    const [first, second, third] = await cluster(place, 3)
    if (first === undefined || second === undefined || third === undefined) throw new Error('three')
    await stopAll(place, [third])
    await place.eventually(
      () => status(first, 'm3') === 'failed' && status(second, 'm3') === 'failed',
    )
    await place.until(first.forceLeave('m3'))
    await place.eventually(() => status(second, 'm3') === 'left')
    await place.until(first.forceLeave('m3', { prune: true }))
    await place.eventually(() => second.member('m3') === undefined)
    await stopAll(place, [first, second])
  })
})

describe('events', () => {
  it('GOS-27 a silent member is suspected, then failed; one that comes back refutes', async () => {
    const place = createPlace()
    const members = await cluster(place, 3)
    const [first, , third] = members
    if (first === undefined || third === undefined) throw new Error('three')
    const seen: string[] = []
    first.on('suspect', ({ name, from }) =>
      seen.push(`suspect ${name} ${from === '' ? '?' : 'ok'}`),
    )
    first.on('fail', ({ member }) => seen.push(`fail ${member.name}`))
    third.on('refute', ({ incarnation }) => seen.push(`refute ${incarnation > 1}`))
    place.network.pause(at(3))
    await place.eventually(() => status(first, 'm3') === 'failed')
    place.network.resume(at(3))
    await place.eventually(() => members.every((member) => alive(member) === 3))
    expect(seen.slice(0, 2)).toEqual(['suspect m3 ok', 'fail m3'])
    expect(seen).toContain('refute true')
    await stopAll(place, members)
  })

  it('GOS-27 a listener and a handler that throw cost nobody else their event', async () => {
    const place = createPlace()
    const logged: unknown[] = []
    const logger = {
      debug() {},
      info() {},
      warn() {},
      error: (fields: object) => logged.push(fields),
    }
    const first = place.gossip(1, { context: { logger } })
    first.on('join', () => {
      throw new Error('listener')
    })
    first.subscribe({
      memberChanged() {
        throw new Error('handler')
      },
    })
    const heard: string[] = []
    first.subscribe({ memberChanged: ({ member }) => heard.push(member.name) })
    await startAll(place, [first])
    expect(heard).toEqual(['m1'])
    expect(logged).toHaveLength(2)
    await stopAll(place, [first])
  })
})

describe('extensions', () => {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
  const string = (data: Uint8Array): string => new TextDecoder().decode(data)

  it('GOS-28 a broadcast reaches every other member once', async () => {
    const place = createPlace()
    const members = await cluster(place, 4)
    const heard: string[] = []
    for (const member of members) {
      member.extend('news', {
        onMessage: (data, from) => heard.push(`${member.self.name} ${from} ${string(data)}`),
      })
    }
    members[0]?.broadcast('news', bytes('hello'))
    await place.advance(20_000)
    expect(heard.sort()).toEqual(['m2 m1 hello', 'm3 m1 hello', 'm4 m1 hello'])
    await stopAll(place, members)
  })

  it('GOS-28 a broadcast of the largest size fits, one byte more does not', async () => {
    const place = createPlace()
    const [first, second] = await cluster(place, 2)
    if (first === undefined || second === undefined) throw new Error('two')
    const sizes: number[] = []
    second.extend('news', { onMessage: (data) => sizes.push(data.length) })
    first.extend('news', {})
    const max = first.broadcastBytesMax('news')
    expect(max).toBeGreaterThan(600)
    first.broadcast('news', new Uint8Array(max))
    await place.eventually(() => sizes.length > 0)
    expect(sizes).toEqual([max])
    const larger = (): void => first.broadcast('news', new Uint8Array(max + 1))
    expect(larger).toThrow(expect.objectContaining({ code: 'ERR_GOSSIP_BROADCAST_TOO_LARGE' }))
    const unknown = (): void => first.broadcast('unknown', new Uint8Array(1))
    expect(unknown).toThrow(expect.objectContaining({ code: 'ERR_GOSSIP_EXTENSION_NAME' }))
    await stopAll(place, [first, second])
  })

  it('GOS-28 states travel both ways with every exchange', async () => {
    const place = createPlace()
    const first = place.gossip(1)
    const second = place.gossip(2)
    const merged: string[] = []
    for (const [member, name] of [
      [first, 'm1'],
      [second, 'm2'],
    ] as const) {
      member.extend('state', {
        localState: () => bytes(`state of ${name}`),
        mergeState: (data, from) => merged.push(`${name} has ${string(data)} from ${from}`),
      })
    }
    await startAll(place, [first, second])
    await place.until(second.join([text(1)]))
    await place.eventually(() => merged.length >= 2)
    expect(merged.sort()).toEqual(['m1 has state of m2 from m2', 'm2 has state of m1 from m1'])
    await stopAll(place, [first, second])
  })

  it('GOS-28 names are checked, taken once, and free again after removal', async () => {
    const place = createPlace()
    const member = place.gossip(1)
    for (const name of ['', 'Upper', '9', 'a'.repeat(33), 'a b', '__proto__']) {
      const wrong = (): unknown => member.extend(name, {})
      expect(wrong).toThrow(expect.objectContaining({ code: 'ERR_GOSSIP_EXTENSION_NAME' }))
    }
    const remove = member.extend('one', {})
    const twice = (): unknown => member.extend('one', {})
    expect(twice).toThrow(expect.objectContaining({ code: 'ERR_GOSSIP_EXTENSION_TAKEN' }))
    remove()
    const second = member.extend('one', {})
    remove()
    expect(twice).toThrow(expect.objectContaining({ code: 'ERR_GOSSIP_EXTENSION_TAKEN' }))
    second()
  })

  it('GOS-28 an extension that throws or gives too much is warned about and harms nothing', async () => {
    const place = createPlace()
    const first = place.gossip(1)
    const second = place.gossip(2)
    const warnings: string[] = []
    first.on('warning', (warning) => warnings.push(warning.kind))
    first.extend('bad', {
      localState() {
        throw new Error('no state')
      },
      onMessage() {
        throw new Error('no message')
      },
    })
    first.extend('large', { localState: () => new Uint8Array(65_537) })
    second.extend('bad', {})
    await startAll(place, [first, second])
    await place.until(second.join([text(1)]))
    expect(warnings).toEqual(['extensionFailed', 'extensionFailed'])
    second.broadcast('bad', bytes('x'))
    await place.eventually(() => warnings.length === 3)
    expect(alive(first)).toBe(2)
    await stopAll(place, [first, second])
  })

  it('GOS-29 a fetch asks one member and gets megabytes back', async () => {
    const place = createPlace()
    const [first, second] = await cluster(place, 2)
    if (first === undefined || second === undefined) throw new Error('two')
    second.extend('store', {
      onFetch: (request, from) => {
        if (string(request) === 'nothing') return undefined
        if (string(request) === 'too much') return new Uint8Array(4_194_305)
        return string(request) === 'all' ? new Uint8Array(4_194_304).fill(7) : bytes(`${from}?`)
      },
    })
    expect(string(await place.until(first.fetch('m2', 'store', bytes('who'))))).toBe('m1?')
    const all = await place.until(first.fetch('m2', 'store', bytes('all')))
    expect([all.length, all[0], all.at(-1)]).toEqual([4_194_304, 7, 7])
    for (const [extension, request, reason] of [
      ['store', 'nothing', 'no answer'],
      ['store', 'too much', 'too large'],
      ['other', 'x', 'no such extension'],
    ] as const) {
      const refused = place.until(first.fetch('m2', extension, bytes(request)))
      await expect(refused).rejects.toMatchObject({ code: 'ERR_GOSSIP_FETCH_FAILED' })
      await expect(refused).rejects.toThrow(reason)
    }
    await stopAll(place, [first, second])
  })

  it('GOS-29 a fetch from nobody, from the silent, or given up ends in its time', async () => {
    const place = createPlace()
    const [first, second] = await cluster(place, 2)
    if (first === undefined || second === undefined) throw new Error('two')
    const nobody = first.fetch('m9', 'store', bytes('x'))
    await expect(nobody).rejects.toMatchObject({ code: 'ERR_GOSSIP_MEMBER_UNKNOWN' })
    place.network.pause(at(2))
    const before = place.clock.now()
    const late = place.until(first.fetch('m2', 'store', bytes('x'), { timeoutMs: 500 }))
    await expect(late).rejects.toMatchObject({ code: 'ERR_GOSSIP_FETCH_FAILED' })
    expect(place.clock.now() - before).toBeLessThanOrEqual(600)
    const abort = new AbortController()
    const given = first.fetch('m2', 'store', bytes('x'), { signal: abort.signal })
    abort.abort()
    await expect(place.until(given)).rejects.toMatchObject({ code: 'ERR_GOSSIP_ABORTED' })
    const many = Array.from({ length: 40 }, () =>
      first.fetch('m2', 'store', bytes('x'), { timeoutMs: 1000 }).catch((cause: unknown) => cause),
    )
    for (const failure of await place.until(Promise.all(many))) {
      expect(failure).toMatchObject({ code: 'ERR_GOSSIP_FETCH_FAILED' })
    }
    place.network.resume(at(2))
    await stopAll(place, [first, second])
  })
})
