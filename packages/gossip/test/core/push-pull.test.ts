/** Exchanges of state, joins, leaving, and what time does to members. */
import { describe, expect, it } from 'vitest'
import { scaledPushPullMs } from '../../src/core/push-pull.ts'
import { encodeState } from '../../src/wire/codec.ts'
import { decodeState } from '../wire/support.ts'
import type { PushPullRow, SerfState, StreamMessage } from '../../src/wire/message.ts'
import {
  addressOf,
  alive,
  Core,
  dead,
  decodeStream,
  meta,
  pushPull,
  row,
  selfName,
} from './support.ts'

/** Another member opens a stream with this message; the answer, where there is one. */
function exchange(core: Core, message: StreamMessage): StreamMessage | undefined {
  const outputs = core.input({ kind: 'streamMessage', id: 9, from: addressOf('x'), message })
  const answers = outputs.filter((output) => output.kind === 'respond')
  expect(answers).toHaveLength(1)
  const bytes = answers[0]?.bytes
  return bytes && decodeStream(bytes)
}

function exchangeRows(core: Core, ...rows: PushPullRow[]): StreamMessage | undefined {
  return exchange(core, pushPull(rows))
}

export function serfState(changes: Partial<SerfState> = {}): Uint8Array {
  return encodeState({
    lamportTime: 1n,
    eventLamportTime: 1n,
    queryLamportTime: 1n,
    statusTimes: new Map(),
    leftMembers: [],
    events: [],
    extensions: new Map(),
    ...changes,
  })
}

/** The seed of the only join answers. */
function answerJoin(core: Core, message: StreamMessage): void {
  const request = core.outputs.find((output) => output.kind === 'request')
  if (request?.kind !== 'request') throw new Error('no state was asked for')
  core.input({ kind: 'reply', id: request.id, message })
}

describe('push/pull', () => {
  it('GOS-60 the interval grows with the logarithm of the cluster', () => {
    const factors = [1, 32, 33, 64, 65, 128, 1000, 10_000].map((n) => scaledPushPullMs(1, n))
    expect(factors).toEqual([1, 1, 2, 2, 3, 3, 6, 10])
  })

  it('GOS-60 once an interval with a random living member', () => {
    const core = new Core()
    core.know('a', 'b')
    core.tell(dead('b', 'b'))
    for (let second = 1; second <= 95; second += 1) {
      core.advanceTo(second * 1000)
      core.tell(alive('a', { incarnation: second + 1 }))
    }
    const exchanges = core.requests().filter(({ message }) => message.kind === 'pushPull')
    expect(exchanges).toHaveLength(3)
    expect(exchanges.every(({ to }) => to.host === addressOf('a').host)).toBe(true)
  })

  it('GOS-60 the answer is our state before the merge, with the join flag echoed', () => {
    const core = new Core()
    core.know('a')
    const answer = exchange(core, pushPull([row('b')], { join: true }))
    if (answer?.kind !== 'pushPull') throw new Error('no state came back')
    expect(answer.join).toBe(true)
    expect([...answer.rows].map(({ name }) => name).toSorted()).toEqual(['a', selfName])
    expect(core.entry('b')).toEqual({ state: 'alive', incarnation: 1 })
  })

  it('GOS-60 rows: alive as alive, left as a good-bye, suspect and dead as a suspicion of ours', () => {
    const core = new Core()
    core.know('a', 'b', 'c', 'd')
    exchangeRows(
      core,
      row('a', { state: 'dead' }),
      row('b', { state: 'suspect' }),
      row('c', { state: 'left' }),
      row('d', { incarnation: 2 }),
      row('unknown', { state: 'dead' }),
    )
    expect(['a', 'b', 'c', 'd', 'unknown'].map((name) => core.entry(name)?.state)).toEqual([
      'suspect',
      'suspect',
      'left',
      'alive',
      undefined,
    ])
    expect(core.eventsOf('suspect').map(({ from }) => from)).toEqual([selfName, selfName])
  })

  it('GOS-60 our own row from an earlier life is refuted', () => {
    for (const state of ['alive', 'suspect', 'dead', 'left'] as const) {
      const core = new Core()
      exchangeRows(core, row(selfName, { state, incarnation: 4, meta: meta() }))
      expect(core.entry(selfName)).toEqual({ state: 'alive', incarnation: 5 })
      expect(core.queuedAbout(selfName)).toMatchObject({ kind: 'alive', incarnation: 5 })
    }
  })

  it('GOS-209 a large state is taken in over several steps, and the join ends with the last', () => {
    const core = new Core()
    const seed = addressOf('seed')
    core.command({ kind: 'join', id: 5, addresses: [seed] })
    const rows = Array.from({ length: 450 }, (_, index) => row(`m${index}`))
    const userState = serfState({ statusTimes: new Map([['m449', 9n]]) })
    const knownAfter: number[] = []
    answerJoin(core, pushPull(rows, { userState }))
    while (core.state.merges.length > 0) {
      knownAfter.push(core.state.members.size - 1)
      expect(core.outputs.filter(({ kind }) => kind === 'done')).toEqual([])
      core.advanceTo(core.now + 1)
    }
    expect(knownAfter).toEqual([200, 400, 450])
    expect(core.outputs.filter(({ kind }) => kind === 'done')).toMatchObject([
      { id: 5, join: { joined: 1, failures: [] } },
    ])
    expect(core.state.members.get('m449')?.statusTime).toBe(9n)
  })

  it('GOS-209 one bad row among many refuses all of them before the first is merged', () => {
    const core = new Core()
    const rows = Array.from({ length: 450 }, (_, index) => row(`m${index}`))
    exchangeRows(core, ...rows, row('z', { versions: undefined }))
    expect(core.state.merges).toHaveLength(0)
    expect(core.state.members.size).toBe(1)
    expect(core.eventsOf('mergeRefused')).toHaveLength(1)
  })

  it('GOS-209 what is heard while a state is merged is newer than its rows', () => {
    const core = new Core()
    core.know('m300')
    const rows = Array.from({ length: 450 }, (_, index) => row(`m${index}`))
    exchangeRows(core, ...rows)
    core.tell(dead('m449', 'x'), alive('m448', { incarnation: 3 }), dead('m300', 'm300'))
    core.advanceTo(100)
    expect(core.entry('m448')).toEqual({ state: 'alive', incarnation: 3 })
    expect(core.entry('m449')?.state).toBe('alive')
    expect(core.entry('m300')?.state).toBe('left')
    expect(core.state.aliveCount).toBe(450)
  })

  it('GOS-209 of many large states none is lost, four wait at most, and each is freed once', () => {
    const core = new Core()
    const freed: number[] = []
    for (let state = 0; state < 9; state += 1) {
      const list = Array.from({ length: 300 }, (_, index) => row(`s${state}-${index}`))
      const rows = Object.assign(list, { release: () => void freed.push(state) })
      exchange(core, { ...pushPull([]), rows })
      expect(core.state.merges.length).toBeLessThanOrEqual(4)
    }
    core.advanceTo(100)
    expect(core.state.merges).toHaveLength(0)
    expect(core.state.aliveCount).toBe(9 * 300 + 1)
    expect(freed).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8])
  })

  it('GOS-60 one row of a version that others cannot speak refuses the merge as a whole', () => {
    const bad = [
      row('z', { versions: undefined }),
      row('z', { versions: [1, 5, 9, 2, 5, 5] }),
      row('z', { versions: [1, 5, 2, 2, 5, 9], state: 'dead' }),
    ]
    for (const wrong of bad) {
      const core = new Core()
      const answer = exchangeRows(core, row('a'), wrong)
      expect(answer?.kind).toBe('pushPull')
      expect(core.entry('a')).toBeUndefined()
      expect(core.eventsOf('mergeRefused')).toHaveLength(1)
      expect(core.counter('mergesRefused')).toBe(1)
    }
  })

  it('GOS-60 user state that is empty or malformed leaves the members merged', () => {
    const core = new Core()
    exchange(core, pushPull([row('a')]))
    exchange(core, pushPull([row('b')], { userState: new Uint8Array([9, 1]) }))
    expect(core.counter('userStateEmpty')).toBe(1)
    expect(core.counter('userStateMalformed')).toBe(1)
    expect(core.entry('b')?.state).toBe('alive')
  })

  it('GOS-59 a ping over a stream is answered there, one for another name is not', () => {
    const core = new Core()
    const ping = { kind: 'ping', sequenceNumber: 3, sourcePort: 0, sourceNode: '' } as const
    const sourceAddress = new Uint8Array(0)
    const answer = exchange(core, { ...ping, node: selfName, sourceAddress })
    expect(answer).toMatchObject({ kind: 'ack', sequenceNumber: 3 })
    expect(exchange(core, { ...ping, node: 'other', sourceAddress })).toBeUndefined()
  })
})

describe('a join', () => {
  it('GOS-63 contacts every address and counts those that answered', () => {
    const core = new Core()
    const addresses = ['a', 'b', 'c'].map((name) => addressOf(name))
    core.command({ kind: 'join', id: 5, addresses })
    const requests = core.requests()
    expect(requests.map(({ to }) => to)).toEqual(addresses)
    expect(requests.map(({ message }) => message.kind === 'pushPull' && message.join)).toEqual([
      true,
      true,
      true,
    ])
    const [first, second, third] = requests.map(({ id }) => id)
    core.input({ kind: 'reply', id: first ?? 0, message: pushPull([row('a')]) })
    core.input({ kind: 'requestFailed', id: second ?? 0, reason: 'refused', problem: 'keyUnknown' })
    const before = core.outputs.length
    core.input({ kind: 'reply', id: third ?? 0, message: { kind: 'error', text: 'go away' } })
    const [done] = core.outputs.slice(before).filter((output) => output.kind === 'done')
    expect(done).toEqual({
      kind: 'done',
      id: 5,
      join: {
        joined: 1,
        failures: [
          `${addressOf('b').host}:7946: refused`,
          `${addressOf('c').host}:7946: refused: go away`,
        ],
        problems: ['keyUnknown'],
      },
    })
    expect(core.state.intents.size).toBe(1)
  })

  it('GOS-63 to nobody at all is done at once', () => {
    const core = new Core()
    const outputs = core.command({ kind: 'join', id: 5, addresses: [] })
    expect(outputs).toEqual([
      { kind: 'done', id: 5, join: { joined: 0, failures: [], problems: [] } },
    ])
  })

  it('GOS-63 a hundred dead seeds are tried a few at a time', () => {
    const core = new Core()
    const addresses = Array.from({ length: 100 }, (_, index) => ({
      host: '10.9.0.1',
      port: index + 1,
    }))
    core.command({ kind: 'join', id: 5, addresses })
    for (let answered = 0; answered < 100; answered += 1) {
      const requests = core.requests()
      expect(requests.length - answered).toBeLessThanOrEqual(8)
      core.input({ kind: 'requestFailed', id: requests[answered]?.id ?? 0, reason: 'refused' })
    }
    const done = core.outputs.find((output) => output.kind === 'done')
    expect(done?.join?.failures).toHaveLength(100)
  })
})

describe('a leave', () => {
  it('GOS-64 says the intent, then the good-bye, stays a while, and is done', () => {
    const core = new Core()
    core.know('a', 'b')
    core.command({ kind: 'leave', id: 3 })
    core.advanceTo(3500)
    const said = core.sent.flatMap(({ messages }) =>
      messages.flatMap((message) => {
        if (message.kind === 'dead') return [`dead ${message.node} from ${message.from}`]
        if (message.kind !== 'user' || message.message?.kind !== 'leaveIntent') return []
        return [`leave ${message.message.node}`]
      }),
    )
    expect([...new Set(said)]).toEqual(['leave self', 'dead self from self'])
    expect(core.outputs).toContainEqual({ kind: 'done', id: 3 })
    expect(core.status(selfName)).toBe('left')
    // Nothing brings it back, and it still answers.
    core.tell(alive(selfName, { incarnation: 9 }))
    expect(core.entry(selfName)?.state).toBe('left')
    core.tell({
      kind: 'ping',
      sequenceNumber: 1,
      node: selfName,
      sourceAddress: new Uint8Array(0),
      sourcePort: 0,
      sourceNode: '',
    })
    expect(core.sentOf('ack')).toHaveLength(1)
  })

  it('GOS-64 alone is done at once, and a second time too', () => {
    const core = new Core()
    core.command({ kind: 'leave', id: 3 })
    core.command({ kind: 'leave', id: 4 })
    core.advanceTo(1)
    core.command({ kind: 'leave', id: 5 })
    const ids = core.outputs.flatMap((output) => (output.kind === 'done' ? [output.id] : []))
    expect(ids).toEqual([3, 4, 5])
    expect(core.status(selfName)).toBe('left')
  })

  it('GOS-64 waits for nobody once the last other one has left too', () => {
    const core = new Core()
    core.know('a', 'b')
    core.command({ kind: 'leave', id: 3 })
    core.tell({ kind: 'dead', incarnation: 1, node: 'a', from: 'a' })
    core.advanceTo(1)
    expect(core.outputs).not.toContainEqual({ kind: 'done', id: 3 })
    core.tell({ kind: 'dead', incarnation: 1, node: 'b', from: 'b' })
    core.advanceTo(2)
    expect(core.outputs).toContainEqual({ kind: 'done', id: 3 })
    expect(core.status(selfName)).toBe('left')
  })

  it('GOS-64 waits on for one that failed just now, which may hear of it yet', () => {
    const core = new Core()
    core.know('a')
    core.command({ kind: 'leave', id: 3 })
    core.tell({ kind: 'dead', incarnation: 1, node: 'a', from: 'b' })
    core.advanceTo(100)
    expect(core.outputs).not.toContainEqual({ kind: 'done', id: 3 })
  })

  it('GOS-64 ends within its timeouts where nobody listens', () => {
    const core = new Core({ timings: { retransmitFactor: 100 } })
    core.know('a')
    core.command({ kind: 'leave', id: 3 })
    core.advanceTo(11_100)
    expect(core.outputs).toContainEqual({ kind: 'done', id: 3 })
  })

  it('GOS-64 new tags take a new incarnation and are done when they were sent', () => {
    const core = new Core()
    core.know('a')
    core.command({ kind: 'setTags', id: 8, tags: { role: 'db' } })
    expect(core.outputs).not.toContainEqual({ kind: 'done', id: 8 })
    expect(core.queuedAbout(selfName)).toMatchObject({ kind: 'alive', incarnation: 2 })
    expect(core.eventsOf('update').map(({ member }) => member.tags)).toEqual([
      { 'kith.v': '1', role: 'db' },
    ])
    core.advanceTo(2000)
    expect(core.outputs).toContainEqual({ kind: 'done', id: 8 })
  })
})

describe('time', () => {
  const timings = { reconnectTimeoutMs: 60_000, tombstoneTimeoutMs: 90_000 }

  it('GOS-71 failed members are reaped after their time, left ones after theirs', () => {
    const core = new Core({ timings: { ...timings, reconnectIntervalMs: 86_400_000 } })
    core.know('a', 'b')
    core.tell(dead('a', 'b'))
    core.tell(dead('b', 'b'))
    expect([core.status('a'), core.status('b')]).toEqual(['failed', 'left'])
    core.advanceTo(80_000)
    expect([core.status('a'), core.status('b')]).toEqual([undefined, 'left'])
    core.advanceTo(110_000)
    expect(core.status('b')).toBeUndefined()
    expect(core.eventsOf('reap').map(({ member }) => member.name)).toEqual(['a', 'b'])
  })

  it('GOS-71 a failed member is tried again, the likelier the more have failed', () => {
    const core = new Core()
    core.know('a')
    core.tell(dead('a', 'b'))
    core.advanceTo(95_000)
    const tries = core.requests().filter(({ to }) => to.host === addressOf('a').host)
    expect(tries).toHaveLength(3)
    core.input({
      kind: 'reply',
      id: tries[0]?.id ?? 0,
      message: pushPull([row('a', { incarnation: 2 })]),
    })
    expect(core.status('a')).toBe('alive')
  })

  it('GOS-71 force-leave makes a failed member one that left; with prune it is forgotten', () => {
    const core = new Core()
    core.know('a', 'b', 'c')
    core.tell(dead('a', 'c'))
    core.tell(dead('b', 'c'))
    core.command({ kind: 'forceLeave', id: 1, name: 'a', prune: false })
    core.command({ kind: 'forceLeave', id: 2, name: 'b', prune: true })
    core.command({ kind: 'forceLeave', id: 3, name: 'nobody', prune: false })
    expect(core.status('a')).toBe('left')
    expect(core.status('b')).toBeUndefined()
    core.advanceTo(6000)
    const ids = core.outputs.flatMap((output) => (output.kind === 'done' ? [output.id] : []))
    expect(ids.toSorted((a, b) => a - b)).toEqual([1, 2, 3])
  })

  it('GOS-71 force-leave outruns the times that real Serfs give who left, so that it can prune', () => {
    const core = new Core()
    core.know('a', 'b')
    core.tellSerf({ kind: 'joinIntent', lamportTime: 9n, node: 'a' })
    core.tell(dead('a', 'b'))
    core.command({ kind: 'forceLeave', id: 1, name: 'a', prune: false })
    const left = core.state.members.get('a')?.statusTime ?? 0n
    core.command({ kind: 'forceLeave', id: 2, name: 'a', prune: true })
    core.advanceTo(1000)
    const said = core.sentOf('user').map(({ message }) => message.message)
    const [pruned] = said.filter((message) => message?.kind === 'leaveIntent')
    expect(pruned).toMatchObject({ node: 'a', prune: true })
    expect(left).toBeGreaterThan(9n)
    // Each exchange between two of them adds one.
    expect((pruned?.lamportTime ?? 0n) - left).toBeGreaterThan(16n)
  })

  it('GOS-61 gossip goes to suspects and the recently dead, never to the left', () => {
    const core = new Core({ timings: { gossipToTheDeadMs: 2000 } })
    core.know('a', 'b')
    core.tell(dead('a', 'x'))
    core.tell(dead('b', 'b'))
    core.advanceTo(1000)
    const targets = new Set(core.sent.map(({ to }) => to.host))
    expect(targets.has(addressOf('a').host)).toBe(true)
    expect(targets.has(addressOf('b').host)).toBe(false)
  })

  it('GOS-61 a member with nothing to say says nothing', () => {
    const core = new Core({ timings: { probeIntervalMs: 3_600_000, probeTimeoutMs: 100 } })
    core.know('a')
    core.advanceTo(5000)
    const said = core.sent.length
    core.advanceTo(15_000)
    expect(core.sent.length).toBe(said)
  })

  it('GOS-70 our user state carries clocks, status times, left members and events', () => {
    const core = new Core()
    core.know('a', 'b')
    core.tell(dead('b', 'b'))
    const answer = exchange(core, pushPull([], { userState: serfState({ lamportTime: 9n }) }))
    const state = answer?.kind === 'pushPull' ? decodeState(answer.userState) : undefined
    expect([...(state?.statusTimes.keys() ?? [])].toSorted()).toEqual(['a', 'b', selfName])
    expect(state?.leftMembers).toEqual(['b'])
    expect(core.state.clock.time).toBe(9n)
  })
})
