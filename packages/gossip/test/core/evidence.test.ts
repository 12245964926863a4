/** What suspicions and failures say about why. */
import { describe, expect, it } from 'vitest'
import { encodeMessage, encodePacket } from '../../src/wire/codec.ts'
import { addressOf, alive, Core, dead, pushPull, row, suspect } from './support.ts'

interface Probing {
  readonly core: Core
  readonly target: string
  readonly sequenceNumber: number
  readonly helpers: readonly string[]
}

/** A core of five whose first probe has asked for help. */
function probing(): Probing {
  const core = new Core()
  const names = ['a', 'b', 'c', 'd']
  core.know(...names)
  core.advanceTo(1000)
  const [ping] = core.sentOf('ping')
  if (ping === undefined) throw new Error('nobody was probed')
  const { node: target, sequenceNumber } = ping.message
  core.advanceTo(ping.at + 500)
  const asked = core.sentOf('indirectPing').map(({ to }) => to)
  const helpers = asked.map((to) => names.find((name) => addressOf(name).host === to.host) ?? '')
  return { core, target, sequenceNumber, helpers }
}

function nackFrom(core: Core, helper: string, sequenceNumber: number): void {
  const bytes = encodePacket([encodeMessage({ kind: 'nack', sequenceNumber })])
  core.input({ kind: 'packet', from: addressOf(helper), bytes })
}

describe('why a member is suspected', () => {
  it('GOS-160 our own probe says through whom it went, who answered, and how the stream failed', () => {
    const { core, target, sequenceNumber, helpers } = probing()
    nackFrom(core, helpers[1] ?? '', sequenceNumber)
    core.now += 100
    const request = core.requests().find(({ message }) => message.kind === 'ping')
    core.input({ kind: 'requestFailed', id: request?.id ?? 0, reason: 'refused: '.repeat(100) })
    core.advanceTo(core.now + 400)
    const [event] = core.eventsOf('suspect')
    expect(event).toMatchObject({ name: target, from: 'self', via: 'probe' })
    expect(event?.probe).toEqual({
      startedAgoMs: 1000,
      direct: 'silent',
      askedAgoMs: 500,
      helpers: helpers.map((name, index) => ({ name, answer: index === 1 ? 'nack' : 'silent' })),
      indirect: 3,
      nacks: 1,
      nacksExpected: 3,
      stream: 'failed',
      streamFailedAgoMs: 400,
      streamReason: 'refused: '.repeat(100).slice(0, 200),
    })
  })

  it('GOS-160 a ping that came back says so, and when help was asked for then', () => {
    const core = new Core()
    core.know('a')
    while (core.sentOf('ping').length === 0) core.advanceTo(core.now + 10)
    const [ping] = core.sentOf('ping')
    core.advanceTo((ping?.at ?? 0) + 100)
    core.input({ kind: 'sendFailed', to: addressOf('a') })
    core.advanceTo((ping?.at ?? 0) + 1000)
    const probe = core.eventsOf('suspect')[0]?.probe
    expect(probe).toMatchObject({ direct: 'refused', askedAgoMs: 900, helpers: [] })
  })

  it('GOS-160 what others say comes with who, and by which way', () => {
    const core = new Core()
    core.know('m', 'n', 'a')
    core.tell(suspect('m', 'a'))
    const rows = [row('n', { state: 'dead' })]
    core.input({ kind: 'streamMessage', id: 1, from: addressOf('a'), message: pushPull(rows) })
    expect(core.eventsOf('suspect')).toEqual([
      { kind: 'suspect', name: 'm', from: 'a', incarnation: 1, via: 'gossip' },
      { kind: 'suspect', name: 'n', from: 'self', incarnation: 1, via: 'exchange' },
    ])
  })
})

describe('why a member failed', () => {
  it('GOS-161 our own verdict brings everybody who accused it, with the times', () => {
    const core = new Core({ timings: { probeIntervalMs: 3_000_000, probeTimeoutMs: 500 } })
    core.know('m', 'a', 'b', 'c', 'd')
    const began = core.now
    core.tell(suspect('m', 'a'))
    for (const [afterMs, from] of [
      [1000, 'b'],
      [1500, 'b'],
      [2000, 'c'],
      [3000, 'd'],
    ] as const) {
      core.advanceTo(began + afterMs)
      core.tell(suspect('m', from))
    }
    core.advanceTo(began + 13_000_000)
    const [event] = core.eventsOf('fail')
    expect(event?.member).toMatchObject({ name: 'm', status: 'failed' })
    const lasted = 12_000_000
    expect(event?.failure).toEqual({
      by: 'self',
      suspectedAgoMs: lasted,
      accusations: [
        { from: 'a', via: 'gossip', agoMs: lasted },
        { from: 'b', via: 'gossip', agoMs: lasted - 1000 },
        { from: 'c', via: 'gossip', agoMs: lasted - 2000 },
        { from: 'd', via: 'gossip', agoMs: lasted - 3000 },
      ],
      confirmations: 2,
      confirmationsNeeded: 2,
      suspicionMinMs: 12_000_000,
      suspicionMaxMs: 72_000_000,
    })
  })

  it('GOS-161 our probe stands in it also where somebody else was first to suspect', () => {
    const { core, target } = probing()
    core.tell(suspect(target, 'x'))
    core.advanceTo(core.now + 60_000)
    const accusations = core.eventsOf('fail')[0]?.failure.accusations
    expect(accusations?.map(({ from, via }) => [from, via])).toEqual([
      ['x', 'gossip'],
      ['self', 'probe'],
    ])
    expect(accusations?.[1]?.probe?.helpers).toHaveLength(3)
  })

  it('GOS-161 the verdict of another says whose it is, with what we knew ourselves', () => {
    const core = new Core()
    core.know('m', 'n', 'a', 'b')
    core.tell(dead('m', 'a'))
    core.tell(suspect('n', 'b'))
    core.now += 250
    core.tell(dead('n', 'a'))
    const [first, second] = core.eventsOf('fail')
    expect(first?.failure).toEqual({
      by: 'a',
      accusations: [],
      confirmations: 0,
      confirmationsNeeded: 0,
    })
    expect(second?.failure).toMatchObject({
      by: 'a',
      suspectedAgoMs: 250,
      accusations: [{ from: 'b', via: 'gossip', agoMs: 250 }],
    })
  })

  it('GOS-161 what is kept has a bound, and goes when the member is back', () => {
    const core = new Core({ timings: { suspicionFactor: 100 } })
    core.know('m', 'a')
    for (let number = 0; number < 50; number += 1) core.tell(suspect('m', `accuser${number}`))
    core.tell(dead('m', 'a'))
    expect(core.eventsOf('fail')[0]?.failure.accusations).toHaveLength(16)
    expect(core.state.members.get('m')?.failure?.report.by).toBe('a')
    core.tell(alive('m', { incarnation: 2 }))
    expect(core.state.members.get('m')?.failure).toBeUndefined()
  })
})
