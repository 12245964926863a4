// Events and queries between whole members, over a simulated network.
import { setImmediate } from 'node:timers/promises'
import { silentLogger } from '@kith/interface'
import { afterEach, describe, expect, it } from 'vitest'
import type {
  Gossip,
  GossipOptions,
  GossipWarning,
  Query,
  ReceivedQuery,
  StreamedEvent,
  UserEvent,
} from '../../src/index.ts'
import { cluster, createPlace, startAll, status, stopAll, text } from './support.ts'
import type { Place } from './support.ts'

const places: [Place, readonly Gossip[]][] = []

afterEach(async () => {
  for (const [place, members] of places.splice(0)) await stopAll(place, members)
})

async function formed(count: number, options: GossipOptions = {}): Promise<[Place, ...Gossip[]]> {
  const place = createPlace(count)
  const members = await cluster(place, count, options)
  places.push([place, members])
  return [place, ...members]
}

function bytes(words: string): Uint8Array {
  return new TextEncoder().encode(words)
}

function words(of: Uint8Array): string {
  return new TextDecoder().decode(of)
}

/** Everything a query brings, read to its end. */
async function allOf(query: Query): Promise<Record<string, string>> {
  const answers: Record<string, string> = {}
  for await (const { from, payload } of query) answers[from] = words(payload)
  return answers
}

async function acksOf(query: Query): Promise<string[]> {
  const acks: string[] = []
  for await (const from of query.acks) acks.push(from)
  return acks.toSorted()
}

function heardBy(members: readonly Gossip[]): UserEvent[][] {
  return members.map((member) => {
    const heard: UserEvent[] = []
    member.on('event', (event) => heard.push(event))
    return heard
  })
}

function required(member: Gossip | undefined): Gossip {
  if (member === undefined) throw new Error('no such member')
  return member
}

/** A member more, started, not joined. */
async function another(place: Place, number: number, options: GossipOptions = {}): Promise<Gossip> {
  const member = place.gossip(number, options)
  places.push([place, [member]])
  await startAll(place, [member])
  return member
}

function warningsOf(member: Gossip): GossipWarning[] {
  const warnings: GossipWarning[] = []
  member.on('warning', (warning) => warnings.push(warning))
  return warnings
}

function counter(member: Gossip, kind: string): number {
  return member.stats().counters[kind] ?? 0
}

function code(cause: unknown): unknown {
  return (cause as { code?: unknown }).code
}

describe('user events', () => {
  it('GOS-110 reach every member once, their own first, with name, payload and time', async () => {
    const [place, ...members] = await formed(4)
    const heard = heardBy(members)
    const said = await required(members[1]).emit('deploy', bytes('v1'))
    expect(heard.map((events) => events.length)).toEqual([0, 1, 0, 0])
    expect(said).toMatchObject({ kind: 'event', name: 'deploy', coalesce: false })
    await place.eventually(() => heard.every((events) => events.length > 0))
    await place.advance(60_000)
    for (const events of heard) expect(events).toEqual([said])
  })

  it('GOS-110 are checked before anything is sent, and need a running member', async () => {
    const [place, first] = await formed(1)
    const member = required(first)
    const bad = member.emit(5 as never, 'text' as never, { coalesce: 1 as never })
    await expect(bad).rejects.toMatchObject({
      code: 'ERR_GOSSIP_OPTIONS',
      details: { problems: [{ field: 'name' }, { field: 'payload' }, { field: 'coalesce' }] },
    })
    await expect(member.emit('\ud800')).rejects.toMatchObject({ code: 'ERR_GOSSIP_OPTIONS' })
    const large = member.emit('deploy', new Uint8Array(600))
    await expect(large).rejects.toMatchObject({ code: 'ERR_GOSSIP_EVENT_TOO_LARGE' })
    const early = place.gossip(9).emit('deploy')
    await expect(early).rejects.toMatchObject({ code: 'ERR_GOSSIP_NOT_RUNNING' })
    await place.until(member.leave())
    await expect(member.emit('deploy')).rejects.toMatchObject({ code: 'ERR_GOSSIP_LEFT' })
    expect(() => member.query('load')).toThrow(expect.objectContaining({ code: 'ERR_GOSSIP_LEFT' }))
  })

  it('GOS-110 larger ones than packets hold reach the others with the next exchange', async () => {
    const options = { overrides: { userEventBytesMax: 9216, pushPullIntervalMs: 1000 } }
    const [place, ...members] = await formed(3, options)
    const heard = heardBy(members)
    await required(members[0]).emit('large', new Uint8Array(9000))
    await place.eventually(() => heard.every((events) => events[0]?.payload.length === 9000))
    expect(counter(required(members[0]), 'newsTooLarge')).toBe(1)
  })
})

describe('events and joins', () => {
  it('GOS-113 who joins hears nothing from before, unless it asks to', async () => {
    const [place, first] = await formed(1)
    await required(first).emit('before')
    const members = [
      await another(place, 2, { join: [text(1)] }),
      await another(place, 3, { join: [text(1)], replayOnJoin: true }),
      await another(place, 4),
      await another(place, 5),
    ]
    const heard = heardBy(members)
    await place.until(required(members[2]).join([text(1)]))
    await place.until(required(members[3]).join([text(1)], { ignoreOld: false }))
    await place.eventually(() => members.every((member) => member.members().length === 5))
    await required(first).emit('after')
    await place.eventually(() => heard.every((events) => events.at(-1)?.name === 'after'))
    const names = heard.map((events) => events.map(({ name }) => name))
    expect(names).toEqual([['after'], ['before', 'after'], ['after'], ['before', 'after']])
  })

  it('GOS-113 who was alone for a while gets what it missed', async () => {
    const [place, first] = await formed(1)
    const second = await another(place, 2, { join: [text(1)] })
    await place.eventually(() => second.members().length === 2)
    const [heard] = heardBy([second])
    const heal = place.network.partition([[second.address], [required(first).address]])
    await place.eventually(() => status(second, 'm1') === 'failed')
    await required(first).emit('missed')
    heal()
    await place.eventually(() => heard?.[0]?.name === 'missed', 120_000)
  })
})

/** Reads until `count` came, or the end. */
async function take(
  events: AsyncIterableIterator<StreamedEvent, undefined>,
  count: number,
): Promise<string[]> {
  const taken: string[] = []
  while (taken.length < count) {
    const { done, value } = await events.next()
    if (done === true) break
    if ('member' in value) taken.push(`${value.kind} ${value.member.name}`)
    else taken.push(value.kind === 'event' ? value.name : `${value.kind} ${value.count}`)
  }
  return taken
}

describe('the stream of events', () => {
  it('GOS-114 gives members and user events in order, to every reader all', async () => {
    const [place, first] = await formed(1)
    const member = required(first)
    const [one, two] = [member.events(), member.events({ bufferMax: 100 })]
    await member.emit('a')
    const second = await another(place, 2, { join: [text(1)] })
    await place.eventually(() => member.members().length === 2)
    await member.emit('b')
    await place.until(second.leave())
    await place.eventually(() => status(member, 'm2') === 'left')
    await member.emit('c')
    const all = ['a', 'join m2', 'b', 'leave m2', 'c']
    expect(await take(one, 5)).toEqual(all)
    const reading = take(two, 7)
    await member.emit('d')
    await place.until(member.stop())
    expect(await reading).toEqual([...all, 'd'])
    expect(await take(member.events(), 1)).toEqual([])
  })

  it('GOS-114 a slow reader loses what its buffer cannot hold, and is told where', async () => {
    const [, first] = await formed(1)
    const member = required(first)
    const warnings = warningsOf(member)
    const events = member.events({ bufferMax: 3 })
    for (let index = 0; index < 8; index += 1) await member.emit(`e${index}`)
    expect(await take(events, 2)).toEqual(['e0', 'e1'])
    await member.emit('e8')
    await member.emit('e9')
    expect(await take(events, 3)).toEqual(['e2', 'dropped 5', 'e8'])
    await member.emit('last')
    expect(await take(events, 2)).toEqual(['dropped 1', 'last'])
    expect(counter(member, 'eventsDropped')).toBe(6)
    expect(warnings).toEqual([{ kind: 'eventsDropped' }, { kind: 'eventsDropped' }])
  })

  it('GOS-114 ends with its signal and when its reader goes, and then costs nothing', async () => {
    const [, first] = await formed(1)
    const member = required(first)
    const abort = new AbortController()
    const events = member.events({ signal: abort.signal })
    const waiting = events.next()
    abort.abort()
    expect(await waiting).toEqual({ done: true, value: undefined })
    expect(await take(member.events({ signal: abort.signal }), 1)).toEqual([])
    for await (const event of endless(member)) {
      expect(event.kind).toBe('event')
      break
    }
    for (let index = 0; index < 5; index += 1) await member.emit(`e${index}`)
    expect(counter(member, 'eventsDropped')).toBe(0)
    expect(() => member.events({ bufferMax: 0 })).toThrow(/bufferMax/)
  })
})

function endless(member: Gossip): AsyncIterableIterator<StreamedEvent, undefined> {
  const events = member.events({ bufferMax: 1 })
  void member.emit('first')
  return events
}

/** All members answer with their name. */
function answering(members: readonly Gossip[]): void {
  for (const member of members) {
    member.on('query', (query) => query.respond(bytes(member.self.name)))
  }
}

describe('queries', () => {
  it('GOS-115 are answered by every member, acknowledged where asked, and summed up', async () => {
    const [place, ...members] = await formed(3)
    for (const member of members) {
      member.on('query', async (query: ReceivedQuery) => {
        await setImmediate()
        await query.respond(bytes(`${member.self.name} heard ${words(query.payload)}`))
      })
    }
    const query = required(members[0]).query('load', bytes('now'), { ack: true })
    const all = Promise.all([allOf(query), acksOf(query), query.summary])
    const [answers, acks, summary] = await place.until(all)
    expect(answers).toEqual({
      m1: 'm1 heard now',
      m2: 'm2 heard now',
      m3: 'm3 heard now',
    })
    expect(acks).toEqual(['m1', 'm2', 'm3'])
    expect(summary).toMatchObject({ ended: 'complete', missing: [], dropped: 0, duplicates: 0 })
  })

  it('GOS-115 end at their deadline where somebody says nothing, and say who', async () => {
    const [place, first, second] = await formed(2)
    second?.on('query', (query) => query.respond(bytes('x')))
    const before = place.clock.now()
    const query = required(first).query('load', undefined, { timeoutMs: 700 })
    const [answers, summary] = await place.until(Promise.all([allOf(query), query.summary]))
    expect(answers).toEqual({ m2: 'x' })
    expect(place.clock.now() - before).toBeGreaterThanOrEqual(700)
    expect(summary).toMatchObject({ ended: 'deadline', responses: ['m2'], missing: ['m1'] })
  })

  it('GOS-115 go to the members and tags that are named, through others as well', async () => {
    const place = createPlace(7)
    const members = [
      await another(place, 1, { tags: { dc: 'east' } }),
      await another(place, 2, { tags: { dc: 'west' } }),
      await another(place, 3, { tags: { dc: 'east-2' } }),
    ]
    const [first] = members
    for (const member of members.slice(1)) await place.until(member.join([text(1)]))
    await place.eventually(() => members.every((member) => member.members().length === 3))
    answering(members)
    const east = required(first).query('load', undefined, { tags: { dc: '^east' }, relayFactor: 2 })
    expect(await place.until(allOf(east))).toEqual({ m1: 'm1', m3: 'm3' })
    const both = { members: ['m2', 'm3'], tags: { dc: 'west' } }
    expect(await place.until(allOf(required(first).query('load', undefined, both)))).toEqual({
      m2: 'm2',
    })
    expect(await east.summary).toMatchObject({ ended: 'complete', responses: ['m1', 'm3'] })
  })

  it('GOS-115 are cancelled by leaving the loop, by their signal and by hand', async () => {
    const [place, first, second] = await formed(2)
    const member = required(first)
    answering([required(second)])
    const left = member.query('load')
    const leaving = async (): Promise<void> => {
      for await (const { from } of left) {
        expect(from).toBe('m2')
        break
      }
    }
    await place.until(leaving())
    expect(await left.summary).toMatchObject({ ended: 'cancelled', responses: ['m2'] })
    const abort = new AbortController()
    const aborted = member.query('load', undefined, { signal: abort.signal })
    abort.abort(new Error('enough'))
    expect([await allOf(aborted), (await aborted.summary).ended]).toEqual([{}, 'cancelled'])
    const cancelled = member.query('load')
    cancelled.cancel()
    expect((await cancelled.summary).ended).toBe('cancelled')
    expect(() => member.query('load', undefined, { signal: abort.signal })).toThrow('enough')
  })

  it('GOS-115 are refused with all that is wrong, and end when this member stops', async () => {
    const [place, first] = await formed(1)
    const member = required(first)
    const wrong = { relayFactor: 256, timeoutMs: 0, tags: { dc: 1 }, members: 'm1', ack: 'yes' }
    const fields = ['members', 'tags', 'ack', 'relayFactor', 'timeoutMs']
    expect(() => member.query('load', undefined, wrong as never)).toThrow(
      expect.objectContaining({
        code: 'ERR_GOSSIP_OPTIONS',
        details: { problems: fields.map((field) => expect.objectContaining({ field })) },
      }),
    )
    const refusals = [
      () => member.query('_serf_conflict'),
      () => member.query('load', new Uint8Array(1024)),
      () => member.query('load', undefined, { tags: { dc: '(' } }),
    ].map((ask) => {
      try {
        ask()
        return 'asked'
      } catch (cause) {
        return code(cause)
      }
    })
    expect(refusals).toEqual([
      'ERR_GOSSIP_QUERY_NAME',
      'ERR_GOSSIP_QUERY_TOO_LARGE',
      'ERR_GOSSIP_QUERY_FILTER',
    ])
    const query = member.query('load')
    const reading = allOf(query).catch(code)
    await place.until(member.stop())
    expect(await reading).toBe('ERR_GOSSIP_NOT_RUNNING')
    expect(await query.summary.catch(code)).toBe('ERR_GOSSIP_NOT_RUNNING')
  })
})

describe('answers', () => {
  it('GOS-116 of five thousand bytes arrive, over a stream, and one byte too many does not', async () => {
    const [place, first, second] = await formed(2, { overrides: { queryStreamBytesMax: 5100 } })
    const outcome: unknown[] = []
    second?.on('query', async (query) => {
      outcome.push(await query.respond(new Uint8Array(5100)).catch(code))
      outcome.push(await query.respond(new Uint8Array(5000).fill(7)))
      outcome.push(await query.respond(new Uint8Array(1)).catch(code))
    })
    const query = required(first).query('load', undefined, { members: ['m2'] })
    const sizes = async (): Promise<number[]> => {
      const found: number[] = []
      for await (const { payload } of query) found.push(payload.filter((byte) => byte === 7).length)
      return found
    }
    expect(await place.until(sizes())).toEqual([5000])
    await place.advance(20_000)
    expect(outcome).toEqual([
      'ERR_GOSSIP_RESPONSE_TOO_LARGE',
      undefined,
      'ERR_GOSSIP_RESPONSE_TWICE',
    ])
    expect(counter(required(second), 'queryResponsesStreamed')).toBe(1)
  })

  it('GOS-116 too late are refused; a listener that fails costs nobody anything', async () => {
    const logged: unknown[] = []
    const logger = {
      ...silentLogger,
      error: ({ err }: { err?: unknown }) => logged.push(code(err)),
    }
    const [place, first, second] = await formed(2, { context: { logger } })
    const queries: ReceivedQuery[] = []
    const clock = place.network.clockAt(required(second).address)
    second?.on('query', async (query) => {
      queries.push(query)
      await new Promise<void>((resolve) => void clock.after(5000, resolve))
      await query.respond(bytes('late'))
    })
    second?.on('query', (query) => query.respond(bytes('in time')))
    const query = required(first).query('load')
    expect(await place.until(allOf(query))).toEqual({ m2: 'in time' })
    await place.advance(6000)
    expect(logged).toEqual(['ERR_GOSSIP_RESPONSE_TWICE'])
    await expect(queries[0]?.respond(bytes('x'))).rejects.toMatchObject({
      code: 'ERR_GOSSIP_RESPONSE_TWICE',
    })
  })

  it('GOS-117 that a slow reader leaves behind are dropped, counted and warned about', async () => {
    const [place, ...members] = await formed(4)
    answering(members)
    const member = required(members[0])
    const warnings = warningsOf(member)
    const query = member.query('load', undefined, { responsesMax: 1 })
    const summary = await place.until(query.summary)
    expect(summary).toMatchObject({ ended: 'complete', dropped: 3 })
    expect(Object.keys(await allOf(query))).toEqual([summary.responses[0]])
    expect(counter(member, 'queryResponsesDropped')).toBe(3)
    expect(warnings).toEqual([{ kind: 'responsesDropped', query: 'load' }])
  })

  it('GOS-118 a ping of all members is no more than its acks', async () => {
    const [place, ...members] = await formed(3)
    const shown: string[] = []
    for (const member of members) member.on('query', ({ name }) => shown.push(name))
    const ping = required(members[0]).query('_serf_ping', undefined, { ack: true })
    expect(await place.until(acksOf(ping))).toEqual(['m1', 'm2', 'm3'])
    expect([await ping.summary, shown]).toMatchObject([{ ended: 'complete', missing: [] }, []])
  })
})

describe('a name that belongs to another', () => {
  it('GOS-119 is lost by the newcomer: it stops without a leave, and says why', async () => {
    const [place, ...members] = await formed(3)
    const twin = await another(place, 9, { name: 'm2' })
    const warnings = warningsOf(twin)
    const query = twin.query('load')
    const events = twin.events()
    const joining = twin.join([text(1)]).catch(code)
    await place.eventually(() => warnings.some(({ kind }) => kind === 'conflictLost'))
    await place.until(joining)
    expect(warnings).toContainEqual({ kind: 'conflictLost', name: 'm2', answers: 2, matching: 0 })
    expect(await query.summary.catch(code)).toBe('ERR_GOSSIP_CONFLICT_LOST')
    await expect(take(events, 99)).rejects.toMatchObject({ code: 'ERR_GOSSIP_CONFLICT_LOST' })
    await expect(twin.emit('x')).rejects.toMatchObject({ code: 'ERR_GOSSIP_CONFLICT_LOST' })
    await place.advance(60_000)
    for (const member of members) {
      expect(status(member, 'm2')).toBe('alive')
      expect(member.member('m2')?.address).toEqual(members[1]?.address)
    }
    expect(counter(required(members[1]), 'votesLost')).toBe(0)
  })

  it('GOS-119 stays in use where the owner only wants to know', async () => {
    const [place] = await formed(3)
    const twin = await another(place, 9, { name: 'm2', nameConflict: 'warn' })
    const warnings = warningsOf(twin)
    await place.until(twin.join([text(1)]))
    await place.eventually(() => warnings.some(({ kind }) => kind === 'conflictLost'))
    expect((await twin.emit('here')).name).toBe('here')
  })
})

describe('who may come in', () => {
  it('GOS-120 by tags: who does not have them is not merged, whoever asks', async () => {
    const mergeVeto = { tags: { dc: '^east$' } }
    const place = createPlace(3)
    const east = await another(place, 1, { tags: { dc: 'east' }, mergeVeto })
    const west = await another(place, 2, { tags: { dc: 'west' } })
    const warnings = warningsOf(east)
    await expect(place.until(east.join([text(2)]))).rejects.toMatchObject({
      code: 'ERR_GOSSIP_JOIN_FAILED',
      message: expect.stringContaining('does not have the tags'),
    })
    await place.until(west.join([text(1)]))
    await place.advance(5000)
    expect(east.members().map(({ name }) => name)).toEqual(['m1'])
    expect(warnings[0]).toMatchObject({ kind: 'mergeRefused' })
    const other = await another(place, 3, { tags: { dc: 'east' }, join: [text(1)] })
    const both = (): boolean => status(east, 'm3') === 'alive' && status(other, 'm1') === 'alive'
    await place.eventually(both)
  })

  it('GOS-120 a veto that answers with a promise refuses', async () => {
    const place = createPlace(3)
    const mergeVeto = (async () => {}) as never
    const member = await another(place, 1, { mergeVeto })
    await another(place, 2)
    await expect(place.until(member.join([text(2)]))).rejects.toMatchObject({
      message: expect.stringContaining('must answer with a text or undefined'),
    })
  })

  it('GOS-121 by network: nobody elsewhere is joined or taken in', async () => {
    const place = createPlace(4)
    const allowedNetworks = ['10.0.0.0/30', 'fd00::/8']
    const member = await another(place, 1, { allowedNetworks })
    const [inside, outside] = [await another(place, 2), await another(place, 9)]
    await expect(place.until(member.join([text(9)]))).rejects.toMatchObject({
      message: expect.stringContaining('outside of the allowed networks'),
    })
    await place.until(inside.join([text(9), text(1)]))
    await place.eventually(() => outside.members().length === 3)
    await place.advance(60_000)
    expect(member.members().map(({ name }) => name)).toEqual(['m1', 'm2'])
  })
})
