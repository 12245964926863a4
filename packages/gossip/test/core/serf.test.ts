/** Serf's side: intents, user events, queries, and the broadcasts of extensions inside them. */
import { describe, expect, it } from 'vitest'
import { lamportJumpMax, lamportTimeMax } from '../../src/core/clocks.ts'
import { broadcastBytesMax } from '../../src/core/index.ts'
import type { Output } from '../../src/core/index.ts'
import { eventsPerTimeMax } from '../../src/core/user-events.ts'
import { decodeSerf, encodeSerf, encodeState } from '../../src/wire/codec.ts'
import type { QueryMessage, SerfMessage, SerfState } from '../../src/wire/message.ts'
import { addressOf, bytesOf, Core, dead, pushPull, row, selfName } from './support.ts'

function leave(node: string, lamportTime: bigint, prune = false): SerfMessage {
  return { kind: 'leaveIntent', lamportTime, node, prune }
}

function join(node: string, lamportTime: bigint): SerfMessage {
  return { kind: 'joinIntent', lamportTime, node }
}

function event(lamportTime: bigint, name: string, text = ''): SerfMessage {
  const payload = new TextEncoder().encode(text)
  return { kind: 'userEvent', lamportTime, name, payload, coalesce: false }
}

function query(changes: Partial<QueryMessage> = {}): QueryMessage {
  return {
    kind: 'query',
    lamportTime: 5n,
    id: 77,
    address: bytesOf(addressOf('a')),
    port: 7946,
    sourceNode: 'a',
    filters: [],
    flags: 0,
    relayFactor: 0,
    timeoutNs: 3_200_000_000n,
    name: 'load',
    payload: new Uint8Array([1, 2]),
    ...changes,
  }
}

function merge(core: Core, state: Partial<SerfState>): void {
  const userState = encodeState({
    lamportTime: 1n,
    eventLamportTime: 1n,
    queryLamportTime: 1n,
    statusTimes: new Map(),
    leftMembers: [],
    events: [],
    extensions: new Map(),
    ...state,
  })
  const message = pushPull([row('a')], { userState })
  core.input({ kind: 'streamMessage', id: 1, from: addressOf('a'), message })
}

/** Everything that would be passed on, by kind. */
function queued(core: Core): readonly number[] {
  return [core.state.intents.size, core.state.events.size, core.state.queries.size]
}

function messagesOf(outputs: readonly Output[]): readonly unknown[] {
  return outputs.filter((output) => output.kind === 'extensionMessage')
}

describe('intents', () => {
  it('GOS-69 GOS-157 alive, leaving, alive again: without an event, the latest passed on', () => {
    const core = new Core()
    core.know('m')
    core.tellSerf(leave('m', 5n))
    expect(core.status('m')).toBe('leaving')
    core.tellSerf(leave('m', 5n))
    core.tellSerf(join('m', 4n))
    expect(core.status('m')).toBe('leaving')
    core.tellSerf(join('m', 6n))
    expect(core.status('m')).toBe('alive')
    // The join says all that the leave before it could.
    expect(queued(core)).toEqual([1, 0, 0])
    expect(core.events.map(({ event: { kind } }) => kind)).toEqual(['join', 'join'])
  })

  it('GOS-200 of a leave and a join at one time the join is the later one, in either order', () => {
    const core = new Core()
    core.know('m', 'n')
    core.tellSerf(leave('m', 5n))
    core.tellSerf(join('m', 5n))
    core.tellSerf(join('n', 5n))
    core.tellSerf(leave('n', 5n))
    expect([core.status('m'), core.status('n')]).toEqual(['alive', 'alive'])
    // Both joins are passed on, and the leave of one of them no more.
    expect(queued(core)).toEqual([2, 0, 0])
    core.tellSerf(leave('later', 5n))
    core.tellSerf(join('later', 5n))
    core.know('later')
    expect(core.status('later')).toBe('alive')
  })

  it('GOS-200 the times of an exchange end no leave that is under way', () => {
    const core = new Core()
    core.know('m')
    core.tellSerf(leave('m', 5n))
    merge(core, { lamportTime: 6n, statusTimes: new Map([['m', 5n]]) })
    expect(core.status('m')).toBe('leaving')
  })

  it('GOS-200 a leave is believed whose time an exchange told first', () => {
    const core = new Core()
    core.know('m', 'n')
    // A member that is leaving looks there as if it had just joined.
    const statusTimes = new Map(['m', 'n', 'later'].map((name) => [name, 5n]))
    merge(core, { lamportTime: 6n, statusTimes })
    core.tellSerf(leave('m', 5n))
    core.tellSerf(join('n', 5n))
    core.tellSerf(leave('n', 5n))
    core.tellSerf(leave('later', 5n))
    core.know('later')
    const statuses = ['m', 'n', 'later'].map((name) => core.status(name))
    expect(statuses).toEqual(['leaving', 'alive', 'leaving'])
  })

  it('GOS-200 a leave of an earlier life at the time of our join is contradicted', () => {
    const core = new Core()
    core.know('a')
    core.tellSerf(leave(selfName, 9n))
    core.tellSerf(leave(selfName, 10n))
    core.advanceTo(1000)
    const said = core.sentOf('user').map(({ message }) => message.message)
    expect(said.at(-1)).toMatchObject({ node: selfName, lamportTime: 11n })
    expect(core.status(selfName)).toBe('alive')
  })

  it('GOS-68 leaving then dead is left, whoever found it', () => {
    const core = new Core()
    core.know('m', 'a')
    core.tellSerf(leave('m', 5n))
    core.tell(dead('m', 'a'))
    expect(core.eventsOf('leave').map(({ member }) => member.status)).toEqual(['left'])
    expect(core.eventsOf('fail')).toEqual([])
  })

  it('GOS-69 a leave about a failed member makes it left', () => {
    const core = new Core()
    core.know('m', 'a')
    core.tell(dead('m', 'a'))
    expect(core.status('m')).toBe('failed')
    core.tellSerf(leave('m', 5n))
    expect(core.status('m')).toBe('left')
    expect(core.eventsOf('leave')).toHaveLength(1)
  })

  it('GOS-69 with prune the member is forgotten, a leaving one after its last words', () => {
    const core = new Core()
    core.know('m', 'n', 'a')
    core.tell(dead('m', 'a'))
    core.tellSerf(leave('m', 5n, true))
    core.tellSerf(leave('n', 5n, true))
    expect([core.status('m'), core.status('n')]).toEqual([undefined, 'leaving'])
    core.tell(dead('n', 'n'))
    core.advanceTo(6100)
    expect(core.status('n')).toBeUndefined()
    expect(core.eventsOf('reap').map(({ member }) => member.name)).toEqual(['m', 'n'])
  })

  it('GOS-69 a leave about ourselves is contradicted, not passed on', () => {
    const core = new Core()
    core.know('a')
    core.tellSerf(leave(selfName, 9n))
    expect(core.status(selfName)).toBe('alive')
    core.advanceTo(500)
    const said = core.sentOf('user').map(({ message }) => message.message)
    expect(new Set(said.map((message) => message?.kind))).toEqual(new Set(['joinIntent']))
    expect(said[0]).toMatchObject({ node: selfName, lamportTime: 10n })
  })

  it('GOS-69 an intent that comes before its member waits for it, for a while', () => {
    const core = new Core({ timings: { recentIntentTimeoutMs: 20_000, recentIntentsMax: 16 } })
    core.tellSerf(leave('m', 5n))
    core.tellSerf(leave('m', 4n))
    expect(queued(core)).toEqual([1, 0, 0])
    core.know('m')
    expect(core.status('m')).toBe('leaving')
    core.tellSerf(leave('late', 6n))
    core.advanceTo(60_000)
    core.know('late')
    expect(core.status('late')).toBe('alive')
    for (let index = 0; index < 40; index += 1) core.tellSerf(join(`n${index}`, 9n))
    expect(core.state.recentIntents.size).toBe(16)
    expect(core.counter('recentIntentsFull')).toBe(24)
  })

  it('GOS-70 left members of a push/pull are leave intents, the rest joins', () => {
    const core = new Core()
    core.know('m', 'n')
    core.tell(dead('m', 'x'))
    core.tellSerf(leave('n', 3n))
    merge(core, {
      statusTimes: new Map([
        ['m', 4n],
        ['n', 7n],
      ]),
      leftMembers: ['m'],
    })
    expect(core.status('m')).toBe('left')
    expect(core.state.members.get('m')?.statusTime).toBe(4n)
    expect(core.status('n')).toBe('alive')
  })

  it('GOS-70 also with no later time than the join that we know, where nobody heard a leave', () => {
    const core = new Core()
    core.know('m')
    core.tellSerf(join('m', 4n))
    core.tell(dead('m', 'x'))
    expect(core.status('m')).toBe('failed')
    merge(core, { statusTimes: new Map([['m', 4n]]), leftMembers: ['m'] })
    expect(core.status('m')).toBe('left')
  })

  it('GOS-70 and they do not outdo a join at the next time that only an exchange tells of', () => {
    const core = new Core()
    merge(core, { statusTimes: new Map([['m', 3n]]), leftMembers: ['m'] })
    merge(core, { lamportTime: 5n, statusTimes: new Map([['m', 4n]]) })
    core.know('m')
    expect(core.status('m')).toBe('alive')
  })

  it('GOS-70 nor are they remembered of a member that is unknown: it may be on its way back', () => {
    const core = new Core()
    // Somebody heard that it is back, at time 8, and has not seen it yet.
    merge(core, { statusTimes: new Map([['m', 8n]]), leftMembers: ['m'] })
    core.know('m')
    expect(core.status('m')).toBe('alive')
  })

  it('GOS-70 who is alive to us after the rows came back, whatever the left list says', () => {
    const core = new Core()
    core.know('m')
    merge(core, { statusTimes: new Map([['m', 4n]]), leftMembers: ['m'] })
    expect(core.status('m')).toBe('alive')
    expect(core.counter('leavesStale')).toBe(1)
  })

  it('GOS-69 an intent of ours from an earlier life is outdone by a new join', () => {
    const core = new Core()
    core.know('a')
    merge(core, { statusTimes: new Map([[selfName, 9n]]) })
    expect(core.state.members.get(selfName)?.statusTime).toBe(10n)
    core.advanceTo(300)
    const [said] = core.sentOf('user').map(({ message }) => message.message)
    expect(said).toEqual({ kind: 'joinIntent', lamportTime: 10n, node: selfName })
    core.tellSerf(join(selfName, 10n))
    expect(core.state.clock.time).toBe(11n)
  })
})

describe('Lamport times', () => {
  it('GOS-67 each message moves its clock, and push/pull moves all three', () => {
    const core = new Core()
    core.tellSerf(join('m', 10n))
    core.tellSerf(event(20n, 'deploy'))
    core.tellSerf(query({ lamportTime: 30n }))
    const { clock, eventClock, queryClock } = core.state
    expect([clock.time, eventClock.time, queryClock.time]).toEqual([11n, 21n, 31n])
    merge(core, { lamportTime: 100n, eventLamportTime: 200n, queryLamportTime: 300n })
    expect([clock.time, eventClock.time, queryClock.time]).toEqual([100n, 200n, 300n])
  })

  it('GOS-67 absurd jumps are refused and counted, and nothing wraps', () => {
    const core = new Core()
    for (const time of [lamportJumpMax + 9n, lamportTimeMax, 2n ** 63n, 2n ** 64n - 1n]) {
      core.tellSerf(join('m', time))
      core.tellSerf(event(time, 'deploy'))
      core.tellSerf(query({ lamportTime: time }))
      merge(core, { lamportTime: time, eventLamportTime: time, queryLamportTime: time })
    }
    const { clock, eventClock, queryClock } = core.state
    expect([clock.time, eventClock.time, queryClock.time].every((time) => time <= 2n)).toBe(true)
    expect(core.counter('lamportTimeAbsurd')).toBeGreaterThanOrEqual(21)
    core.tellSerf(event(2n, 'deploy'))
    expect(core.state.events.size).toBe(1)
  })
})

describe('user events', () => {
  it('GOS-72 each is passed on once, in the bytes it came in, and kept for push/pull', () => {
    const core = new Core()
    core.know('a')
    core.tellSerf(event(5n, 'deploy', 'x'))
    core.tellSerf(event(5n, 'deploy', 'x'))
    core.tellSerf(event(5n, 'deploy', 'y'))
    core.tellSerf(event(5n, 'other', 'x'))
    expect(core.state.events.size).toBe(3)
    core.advanceTo(300)
    const [first] = core
      .sentOf('user')
      .filter(({ message }) => message.message?.kind === 'userEvent')
    expect(decodeSerf(first?.message.bytes ?? new Uint8Array(0))).toMatchObject({ lamportTime: 5n })
    const again = new Core()
    merge(again, {
      events: [
        undefined,
        { lamportTime: 5n, events: [{ name: 'deploy', payload: new Uint8Array(1) }] },
      ],
    })
    expect(again.state.events.size).toBe(0)
    again.tellSerf({ ...event(5n, 'deploy'), payload: new Uint8Array(1) } as SerfMessage)
    expect(again.state.events.size).toBe(0)
  })

  it('GOS-72 older than the buffer is dropped, newer replaces its slot', () => {
    const core = new Core({ timings: { eventBufferMax: 8 } })
    core.tellSerf(event(100n, 'new'))
    core.tellSerf(event(90n, 'old'))
    core.tellSerf(event(95n, 'edge'))
    core.tellSerf(event(103n, 'over'))
    core.tellSerf(event(95n, 'edge'))
    const seen = core.state.eventSlots.flatMap((slot) => slot?.events.map(({ name }) => name) ?? [])
    expect(seen.toSorted()).toEqual(['new', 'over'])
  })

  it('GOS-92 of more than 2 MiB the oldest are forgotten, and stay too old', () => {
    const core = new Core()
    const large = (time: bigint): SerfMessage =>
      ({ ...event(time, `e${time}`), payload: new Uint8Array(9_000) }) as SerfMessage
    for (let time = 1n; time <= 300n; time += 1n) core.tellSerf(large(time))
    const kept = core.state.eventSlots.flatMap((slot) => slot?.lamportTime ?? [])
    const bytes = kept.length * 9_000
    expect(bytes).toBeLessThan(2_097_152)
    expect(bytes).toBeGreaterThan(2_000_000)
    expect(kept.toSorted((a, b) => Number(a - b))[0]).toBe(300n - BigInt(kept.length) + 1n)
    expect(core.counter('eventsForgotten')).toBe(300 - kept.length)
    const queued = core.state.events.size
    core.tellSerf(large(1n))
    expect([core.state.events.size, core.counter('eventsForgotten')]).toEqual([
      queued,
      300 - kept.length,
    ])
  })

  it('GOS-75 one time holds so many events and no more', () => {
    const core = new Core()
    for (let index = 0; index < eventsPerTimeMax + 5; index += 1) {
      core.tellSerf(event(5n, `e${index}`))
    }
    expect(core.counter('eventsFull')).toBe(5)
  })
})

describe('queries', () => {
  it('GOS-73 each is passed on once, also where its filters do not match, unless it says not to', () => {
    const core = new Core()
    core.tellSerf(query())
    core.tellSerf(query())
    core.tellSerf(query({ id: 78, filters: [{ kind: 'names', names: ['other'] }] }))
    core.tellSerf(query({ id: 79, filters: [{ kind: 'unknown', bytes: new Uint8Array([9]) }] }))
    core.tellSerf(query({ id: 80, flags: 2 }))
    expect(core.state.queries.size).toBe(3)
    expect(core.counter('queryFilterUnknown')).toBe(1)
    expect(core.sent).toEqual([])
  })

  it('GOS-73 an ack goes straight to who asked, where it asked and was meant for us', () => {
    const core = new Core()
    core.tellSerf(query({ flags: 1, name: '_serf_ping' }))
    core.tellSerf(query({ id: 78, flags: 1, filters: [{ kind: 'names', names: ['other'] }] }))
    core.tellSerf(
      query({ id: 79, flags: 1, filters: [{ kind: 'tag', tag: 'role', expression: '^w' }] }),
    )
    const answers = core.sentOf('user')
    expect(answers.map(({ to }) => to)).toEqual([addressOf('a'), addressOf('a')])
    expect(answers.map(({ message }) => message.message)).toMatchObject([
      { kind: 'queryResponse', id: 77, lamportTime: 5n, from: selfName, flags: 1 },
      { kind: 'queryResponse', id: 79 },
    ])
  })

  it('GOS-73 with a relay factor the ack also goes through other members', () => {
    const core = new Core()
    core.know('a', 'b', 'c')
    core.tellSerf(query({ flags: 1, relayFactor: 2 }))
    const kinds = core.sentOf('user').map(({ message }) => message.message?.kind)
    expect(kinds).toEqual(['queryResponse', 'relay', 'relay'])
  })

  it('GOS-73 a relay is passed on to a member, byte for byte, and to nobody else', () => {
    const core = new Core()
    core.know('a')
    const body = encodeSerf({
      kind: 'queryResponse',
      lamportTime: 5n,
      id: 77,
      from: 'b',
      flags: 0,
      payload: new Uint8Array(3),
    })
    const relay = { kind: 'relay', address: bytesOf(addressOf('a')), port: 7946, zone: '' } as const
    core.tellSerf({ ...relay, node: 'a', body })
    core.tellSerf({ ...relay, node: 'stranger', body })
    core.tellSerf({ ...relay, node: 'a', body: encodeSerf(join('m', 5n)) })
    const passed = core.sentOf('user')
    expect(passed.map(({ to, message }) => [to, message.bytes])).toEqual([[addressOf('a'), body]])
    expect([core.counter('relayUnknown'), core.counter('relayUnfit')]).toEqual([1, 1])
  })

  it('GOS-73 who owns a name is answered, except about ourselves', () => {
    const core = new Core()
    core.know('m')
    const ask = (id: number, name: string): void => {
      core.tellSerf(query({ id, name: '_serf_conflict', payload: new TextEncoder().encode(name) }))
    }
    ask(1, 'm')
    ask(2, 'nobody')
    ask(3, selfName)
    expect(core.sentOf('user').map(({ message }) => message.message)).toMatchObject([
      { kind: 'queryResponse', id: 1 },
      { kind: 'queryResponse', id: 2, payload: new Uint8Array([6, 0xc0]) },
    ])
  })

  it('GOS-73 too old is dropped, too large is counted', () => {
    const core = new Core({ timings: { queryBufferMax: 8 } })
    core.tellSerf(query({ lamportTime: 100n }))
    core.tellSerf(query({ lamportTime: 90n }))
    core.tellSerf(query({ lamportTime: 101n, payload: new Uint8Array(1100) }))
    expect(core.state.queries.size).toBe(1)
    expect(core.counter('queryTooLarge')).toBe(1)
  })
})

describe('extensions', () => {
  it('GOS-74 a broadcast is a query that every Kith member takes once, and its owner never', () => {
    const sender = new Core()
    sender.know('m')
    sender.command({ kind: 'extend', name: 'demo' })
    const own = sender.command({ kind: 'broadcast', name: 'demo', bytes: new Uint8Array([4, 2]) })
    expect(messagesOf(own)).toEqual([])
    sender.advanceTo(300)
    const [sent] = sender.sentOf('user').map(({ message }) => message)
    expect(sent?.message).toMatchObject({ kind: 'query', name: 'kith:demo', flags: 0 })
    expect(messagesOf(sender.tell(sent ?? (row('m') as never)))).toEqual([])
    const other = new Core()
    // The same core under the same name would be its own echo, so another one speaks.
    const foreign = { ...(sent?.message as QueryMessage), sourceNode: 'm' }
    expect(messagesOf(other.tellSerf(foreign))).toEqual([])
    other.command({ kind: 'extend', name: 'demo' })
    expect(messagesOf(other.tellSerf({ ...foreign, id: 1 }))).toEqual([
      { kind: 'extensionMessage', name: 'demo', from: 'm', bytes: new Uint8Array([4, 2]) },
    ])
    expect(messagesOf(other.tellSerf({ ...foreign, id: 1 }))).toEqual([])
  })

  it('GOS-74 the largest payload fits the limit exactly at the highest times', () => {
    const core = new Core()
    const most = broadcastBytesMax(core.state, 'demo')
    core.command({ kind: 'broadcast', name: 'demo', bytes: new Uint8Array(most) })
    expect(core.state.queries.size).toBe(1)
    core.state.queryClock.time = lamportTimeMax - 1n
    core.command({ kind: 'broadcast', name: 'demo', bytes: new Uint8Array(most) })
    expect(core.state.queries.size).toBe(2)
    core.command({ kind: 'broadcast', name: 'demo', bytes: new Uint8Array(most + 100) })
    expect(core.counter('broadcastTooLarge')).toBe(1)
  })

  it('GOS-74 states are collected for each exchange and delivered with the name of their member', () => {
    const core = new Core()
    core.command({ kind: 'extend', name: 'demo' })
    core.command({ kind: 'join', id: 1, addresses: [addressOf('a')] })
    const [collect] = core.outputs.filter((output) => output.kind === 'collect')
    expect(core.requests()).toEqual([])
    const states = new Map([
      ['demo', new Uint8Array([7])],
      ['huge', new Uint8Array(70_000)],
    ])
    core.input({ kind: 'collected', id: collect?.id ?? 0, states })
    const [request] = core.requests()
    if (request?.message.kind !== 'pushPull') throw new Error('no exchange')
    expect(core.counter('extensionStateTooLarge')).toBe(1)
    const other = new Core()
    other.command({ kind: 'extend', name: 'demo' })
    other.input({ kind: 'streamMessage', id: 1, from: addressOf('a'), message: request.message })
    const [asked] = other.outputs.filter((output) => output.kind === 'collect')
    const outputs = other.input({ kind: 'collected', id: asked?.id ?? 0, states: new Map() })
    expect(outputs.filter(({ kind }) => kind === 'respond')).toHaveLength(1)
    expect(outputs).toContainEqual({
      kind: 'extensionState',
      name: 'demo',
      from: selfName,
      bytes: new Uint8Array([7]),
    })
  })

  it('GOS-74 an extension taken back hears nothing more', () => {
    const core = new Core()
    core.command({ kind: 'extend', name: 'demo' })
    core.command({ kind: 'retract', name: 'demo' })
    expect(messagesOf(core.tellSerf(query({ name: 'kith:demo' })))).toEqual([])
  })
})
