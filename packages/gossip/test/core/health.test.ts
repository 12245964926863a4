/** A member that stood still: whom it may accuse, and how much it doubts itself. */
import { describe, expect, it } from 'vitest'
import { nextDeadline } from '../../src/core/index.ts'
import type { PacketMessage } from '../../src/wire/message.ts'
import { alive, Core, suspect } from './support.ts'

/** Stands still for this long, then goes on as its runtime does: first of all it says so. */
function standStill(core: Core, ms: number, told = true): void {
  core.now += ms
  if (told) core.input({ kind: 'late', lateMs: ms })
}

/** A core of five that suspects `m` since it was at `began`. */
function suspecting(): { readonly core: Core; readonly began: number } {
  const core = new Core({ timings: { probeIntervalMs: 3_600_000, probeTimeoutMs: 500 } })
  core.know('m', 'a', 'b', 'c')
  core.tell(suspect('m', 'a'))
  return { core, began: core.now }
}

/** A core whose first probe just left. */
function probing(): { readonly core: Core; readonly node: string; readonly number: number } {
  const core = new Core()
  core.know('a', 'b', 'c')
  while (core.sentOf('ping').length === 0) core.advanceTo(core.now + 5)
  const message = core.sentOf('ping')[0]?.message
  return { core, node: message?.node ?? '', number: message?.sequenceNumber ?? 0 }
}

function ack(sequenceNumber: number): PacketMessage {
  return { kind: 'ack', sequenceNumber, payload: new Uint8Array(0) }
}

describe('a member that stood still', () => {
  it('GOS-170 gives back the time, however it learns of it', () => {
    for (const told of [true, false]) {
      const { core } = probing()
      const due = nextDeadline(core.state) ?? 0
      core.now = due - 1
      const before = core.now
      standStill(core, 2000, told)
      core.input({ kind: 'deadline' })
      expect(core.sentOf('indirectPing'), `told: ${told}`).toEqual([])
      expect(core.eventsOf('suspect')).toEqual([])
      const lost = told ? 2000 : 1999
      expect(core.eventsOf('paused')).toEqual([{ kind: 'paused', lateMs: lost }])
      // And a moment more, in which to read what came meanwhile.
      core.advanceTo(before + 2199)
      expect(core.sentOf('indirectPing')).toEqual([])
      core.advanceTo(before + 2201)
      expect(core.sentOf('indirectPing')).toHaveLength(2)
    }
  })

  it('GOS-170 hears a refutation before a suspicion ends that ended while it was deaf', () => {
    const { core, began } = suspecting()
    const minMs = 4 * 3_600_000
    core.tell(suspect('m', 'b'), suspect('m', 'c'))
    core.advanceTo(began + minMs - 100)
    expect(core.entry('m')?.state).toBe('suspect')
    // Shorter than any probe, and yet the verdict was due.
    standStill(core, 300)
    core.input({ kind: 'deadline' })
    expect(core.eventsOf('fail')).toEqual([])
    core.tell(alive('m', { incarnation: 2 }))
    core.advanceTo(core.now + 1000)
    expect(core.entry('m')?.state).toBe('alive')
  })

  it('GOS-170 gives its verdict all the same where nothing was waiting', () => {
    const { core, began } = suspecting()
    core.tell(suspect('m', 'b'), suspect('m', 'c'))
    const minMs = 4 * 3_600_000
    core.advanceTo(began + minMs - 100)
    standStill(core, 300)
    core.advanceTo(began + minMs + 499)
    expect(core.eventsOf('fail')).toEqual([])
    core.advanceTo(began + minMs + 500)
    expect(core.eventsOf('fail')).toHaveLength(1)
  })

  it('GOS-170 counts no time in which it was deaf when others confirm', () => {
    const { core } = suspecting()
    const lost = 10 * 3_600_000
    standStill(core, lost)
    core.tell(suspect('m', 'b'), suspect('m', 'c'))
    core.advanceTo(core.now + 3 * 3_600_000)
    expect(core.eventsOf('fail')).toEqual([])
    core.advanceTo(core.now + 3_600_000)
    const [event] = core.eventsOf('fail')
    // What is told to people is the time that passed.
    expect(event?.failure.suspectedAgoMs).toBe(lost + 4 * 3_600_000)
  })

  it('GOS-170 gives back once what it notices twice', () => {
    const { core } = probing()
    const due = nextDeadline(core.state) ?? 0
    core.now = due - 500
    standStill(core, 1500, false)
    core.input({ kind: 'deadline' })
    core.input({ kind: 'late', lateMs: 1500 })
    core.input({ kind: 'deadline' })
    const given = core.eventsOf('paused').map(({ lateMs }) => lateMs)
    expect(given).toEqual([1000, 500])
    expect(core.state.health.stalls).toEqual([{ at: core.now, lostMs: 1500 }])
  })

  it('GOS-170 takes small unrest for what it is', () => {
    const { core } = probing()
    for (let times = 0; times < 20; times += 1) standStill(core, 200)
    expect(core.eventsOf('paused')).toEqual([])
    standStill(core, 201)
    expect(core.eventsOf('paused')).toHaveLength(1)
  })

  it('GOS-170 asks over a stream again where the stream failed while it stood still', () => {
    const { core, node } = probing()
    core.advanceTo(core.now + 500)
    const pings = (): readonly number[] =>
      core.requests().flatMap(({ id, message }) => (message.kind === 'ping' ? [id] : []))
    expect(pings()).toHaveLength(1)
    standStill(core, 3000)
    core.input({ kind: 'requestFailed', id: pings()[0] ?? 0, reason: 'timeout' })
    expect(pings()).toHaveLength(2)
    const [, again] = pings()
    core.input({ kind: 'requestFailed', id: again ?? 0, reason: 'refused' })
    expect(pings()).toHaveLength(2)
    core.advanceTo(core.now + 1000)
    const [event] = core.eventsOf('suspect')
    expect(event).toMatchObject({
      name: node,
      probe: { stream: 'failed', streamReason: 'refused' },
    })
  })
})

describe('the doubt of a member that stood still', () => {
  it('GOS-171 gives a probe all the time for which it stood still itself, and its own', () => {
    for (const [lost, doubt] of [
      [200, 0],
      [300, 1],
      [501, 2],
      [1400, 3],
      [60_000, 7],
    ] as const) {
      const { core, number } = probing()
      core.tell(ack(number))
      standStill(core, lost)
      const since = core.now
      const before = core.sentOf('ping').length
      while (core.sentOf('ping').length === before) core.advanceTo(core.now + 5)
      core.advanceTo(since + 60_000)
      const ping = core.sentOf('ping')[before]
      const asked = core.sentOf('indirectPing')[0]
      expect((asked?.at ?? 0) - (ping?.at ?? 0), `${lost} ms`).toBe(500 * (doubt + 1))
    }
  })

  it('GOS-171 is not talked away by good probes, and ends ten probe intervals later', () => {
    const core = new Core()
    core.know('a', 'b', 'c')
    standStill(core, 1400)
    const since = core.now
    let answered = 0
    const doubts: number[] = []
    while (core.now < since + 11_000) {
      core.advanceTo(core.now + 100)
      for (const { message } of core.sentOf('ping').slice(answered)) {
        core.tell(ack(message.sequenceNumber))
        answered += 1
      }
      const last = doubts.at(-1)
      const { awareness } = core.stats()
      if (last !== awareness) doubts.push(awareness)
    }
    expect(core.stats().longestStallMs).toBe(0)
    expect(answered).toBeGreaterThan(8)
    expect(doubts).toEqual([3, 0])
  })

  it('GOS-171 keeps a bounded number of standstills', () => {
    const core = new Core({ timings: { probeIntervalMs: 3_600_000, probeTimeoutMs: 500 } })
    for (let times = 0; times < 100; times += 1) {
      core.advanceTo(core.now + 10)
      standStill(core, 1000)
    }
    expect(core.state.health.stalls).toHaveLength(32)
    expect(core.counter('pauses')).toBe(100)
  })
})
