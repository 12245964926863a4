/** User events of this member and of others, on one core. */
import { describe, expect, it } from 'vitest'
import { lamportJumpMax, lamportLeap, lamportLeapMs } from '../../src/core/clocks.ts'
import { lamportTimeMax } from '../../src/core/clocks.ts'
import { heldNamesMax } from '../../src/core/coalesce.ts'
import type { Output } from '../../src/core/index.ts'
import { encodeSerf, encodeState } from '../../src/wire/codec.ts'
import type { BufferedEvents, SerfMessage } from '../../src/wire/message.ts'
import { addressOf, Core, pushPull, row } from './support.ts'

const empty = new Uint8Array(0)

function say(core: Core, name: string, payload = empty, coalesce = false): Output | undefined {
  return core
    .command({ kind: 'emit', id: 9, name, payload, coalesce })
    .find(({ kind }) => kind === 'done')
}

function event(lamportTime: bigint, name: string, byte = 0, coalesce = false): SerfMessage {
  return { kind: 'userEvent', lamportTime, name, payload: new Uint8Array([byte]), coalesce }
}

/** Name and first byte of every event delivered so far. */
function heard(core: Core): readonly string[] {
  return core.eventsOf('event').map(({ name, payload }) => `${name}${payload[0] ?? ''}`)
}

/** The answer of a member to our exchange of state; with a join it is the answer to that. */
function exchange(
  core: Core,
  options: { events?: readonly BufferedEvents[]; time?: bigint; ignoreOld?: boolean | undefined },
): void {
  const { events = [], time = 1n, ignoreOld } = { ignoreOld: false, ...options }
  const addresses = [addressOf('a')]
  core.command({ kind: 'join', id: 3, addresses, ignoreOld })
  const { id } = core.requests().at(-1) ?? { id: -1 }
  const userState = stateOf(events, time)
  core.input({ kind: 'reply', id, message: pushPull([row('a')], { userState }) })
}

function stateOf(events: readonly BufferedEvents[], time: bigint): Uint8Array {
  return encodeState({
    lamportTime: 1n,
    eventLamportTime: time,
    queryLamportTime: 1n,
    statusTimes: new Map(),
    leftMembers: [],
    events,
    extensions: new Map(),
  })
}

function slot(lamportTime: bigint, name: string): BufferedEvents {
  return { lamportTime, events: [{ name, payload: empty }] }
}

describe('own user events', () => {
  it('GOS-110 are delivered in the same step, queued, and kept for exchanges', () => {
    const core = new Core()
    core.know('a')
    core.tellSerf(event(40n, 'before'))
    const done = say(core, 'deploy', new Uint8Array([7]))
    expect(done).toMatchObject({ event: { name: 'deploy', lamportTime: 41n, coalesce: false } })
    expect(heard(core)).toEqual(['before0', 'deploy7'])
    expect(core.state.events.size).toBe(2)
    expect(core.state.eventSlots[41]?.events).toMatchObject([{ name: 'deploy' }])
    // Its echo, from whom it went round, is nothing new.
    core.tellSerf({ ...event(41n, 'deploy', 7) } as SerfMessage)
    expect(heard(core)).toHaveLength(2)
    expect(core.counter('eventsKnown')).toBe(1)
  })

  it('GOS-110 are delivered whatever strangers did to the clock', () => {
    const core = new Core()
    for (let step = 0; step < 5; step += 1) {
      core.now += lamportLeapMs
      core.tellSerf(event(core.state.eventClock.time + lamportJumpMax, 'leap'))
      core.tellSerf(event(2n ** 64n - 1n, 'wrap'))
      core.tellSerf(event(lamportTimeMax, 'end'))
      say(core, `mine${step}`)
    }
    expect(heard(core).filter((name) => name.startsWith('mine'))).toHaveLength(5)
    // Even at the end of all time, where no clock goes further.
    core.state.eventClock.time = lamportTimeMax
    say(core, 'last')
    say(core, 'last')
    expect(heard(core).filter((name) => name === 'last')).toHaveLength(2)
    expect(core.state.eventClock.time).toBe(lamportTimeMax)
  })

  it("GOS-110 above a limit are refused before anything is sent, in Serf's words", () => {
    const core = new Core()
    const refused = (name: string, bytes: number): unknown => {
      const done = say(core, name, new Uint8Array(bytes))
      return done?.kind === 'done' ? done.refused?.message : done
    }
    expect(refused('deploy', 507)).toBe(
      'user event exceeds configured limit of 512 bytes before encoding',
    )
    expect(refused('deploy', 506)).toBe(
      'encoded user event exceeds configured limit of 512 bytes after encoding',
    )
    const like = { ...event(1n, 'deploy'), payload: new Uint8Array(400) } as SerfMessage
    const room = 512 - (encodeSerf(like).length - 400)
    expect(refused('deploy', room + 1)).toContain('after encoding')
    expect([core.state.events.size, heard(core), core.state.eventClock.time]).toEqual([0, [], 1n])
    expect(refused('deploy', room)).toBeUndefined()
    // Length is counted in bytes of UTF-8, as Serf does.
    expect(refused('ü'.repeat(256), 1)).toContain('before encoding')
  })

  it('GOS-110 beyond what the queue holds are refused, and push nothing out', () => {
    const core = new Core({ timings: { queueDepthMax: 16 } })
    core.know('a')
    for (let index = 0; index < 16; index += 1) say(core, `e${index}`)
    expect(say(core, 'more')).toMatchObject({ refused: { code: 'ERR_GOSSIP_OVERLOADED' } })
    expect([core.state.events.size, core.state.events.dropped]).toEqual([16, 0])
    core.advanceTo(2000)
    expect(say(core, 'more')).toMatchObject({ event: { name: 'more' } })
  })

  it('GOS-110 are over once the member leaves', () => {
    const core = new Core()
    core.command({ kind: 'leave', id: 1 })
    expect(say(core, 'late')).toMatchObject({ refused: { code: 'ERR_GOSSIP_LEFT' } })
  })
})

describe('Lamport clocks', () => {
  it('GOS-111 leap once a second at most, so that their end is out of reach', () => {
    const core = new Core()
    const leap = (): boolean => {
      const before = core.state.eventClock.time
      core.tellSerf(event(before + lamportJumpMax, 'far'))
      return core.state.eventClock.time > before
    }
    core.now = 10
    expect([leap(), leap(), leap()]).toEqual([true, false, false])
    core.now += lamportLeapMs - 1
    expect(leap()).toBe(false)
    core.now += 1
    expect([leap(), leap()]).toEqual([true, false])
    expect(core.counter('lamportTimeAbsurd')).toBe(4)
    // What a cluster at work does in between is followed all the same.
    core.tellSerf(event(core.state.eventClock.time + lamportLeap, 'near'))
    expect(heard(core)).toContain('near0')
    // Each clock has leaps of its own.
    core.tellSerf({ kind: 'joinIntent', lamportTime: lamportJumpMax, node: 'm' })
    expect(core.state.clock.time).toBe(lamportJumpMax + 1n)
  })
})

describe('coalescing', () => {
  const timings = { eventCoalesceMs: 3000, eventQuietMs: 1000 }

  it('GOS-112 delivers the latest of each name when it gets quiet, and the rest at once', () => {
    const core = new Core({ timings })
    core.tellSerf(event(5n, 'deploy', 1, true))
    core.tellSerf(event(7n, 'deploy', 2, true))
    core.tellSerf(event(7n, 'deploy', 3, true))
    core.tellSerf(event(6n, 'deploy', 4, true))
    core.tellSerf(event(4n, 'other', 5, true))
    core.tellSerf(event(8n, 'plain', 6))
    expect(heard(core)).toEqual(['plain6'])
    core.advanceTo(999)
    expect(heard(core)).toEqual(['plain6'])
    core.advanceTo(1000)
    expect(heard(core)).toEqual(['plain6', 'other5', 'deploy2', 'deploy3'])
    expect(core.counter('eventsCoalesced')).toBe(2)
    expect(core.state.events.size).toBe(6)
  })

  it('GOS-112 waits no longer than the whole time, however busy it is', () => {
    const core = new Core({ timings })
    for (let index = 0; index < 5; index += 1) {
      core.advanceTo(index * 700)
      core.tellSerf(event(BigInt(10 + index), 'deploy', index, true))
    }
    core.advanceTo(2999)
    expect(heard(core)).toEqual([])
    core.advanceTo(3000)
    expect(heard(core)).toEqual(['deploy4'])
    core.tellSerf(event(20n, 'deploy', 9, true))
    core.advanceTo(3999)
    expect(heard(core)).toHaveLength(1)
    core.advanceTo(4000)
    expect(heard(core)).toEqual(['deploy4', 'deploy9'])
  })

  it('GOS-112 holds own events too, of a bounded number of names, and loses none of them', () => {
    const core = new Core({ timings })
    for (let index = 0; index <= heldNamesMax; index += 1) {
      say(core, `e${index}`, empty, true)
      if (index % 64 === 0) core.advanceTo(core.now + 1)
    }
    expect(heard(core)).toHaveLength(heldNamesMax)
    core.advanceTo(core.now + 1000)
    expect(new Set(heard(core)).size).toBe(heldNamesMax + 1)
  })
})

describe('events and joins', () => {
  it('GOS-113 what is still remembered is delivered on an exchange, once', () => {
    const core = new Core()
    exchange(core, { events: [slot(5n, 'old'), slot(6n, 'older')], time: 7n })
    expect(heard(core)).toEqual(['old', 'older'])
    exchange(core, { events: [slot(5n, 'old')], time: 7n })
    expect(heard(core)).toHaveLength(2)
    // Kept and given on in exchanges, but not sent round again.
    expect(core.state.events.size).toBe(0)
  })

  it('GOS-113 a join that ignores the old hears only of what comes after it', () => {
    const core = new Core()
    exchange(core, { events: [slot(5n, 'old')], time: 7n, ignoreOld: true })
    expect(heard(core)).toEqual([])
    core.tellSerf({ ...event(5n, 'old'), payload: empty } as SerfMessage)
    core.tellSerf(event(7n, 'new', 1))
    expect(heard(core)).toEqual(['new1'])
    // A later exchange brings back nothing from before, nor what the first one did not know.
    exchange(core, { events: [slot(5n, 'old'), slot(6n, 'older'), slot(8n, 'newer')], time: 9n })
    expect(heard(core)).toEqual(['new1', 'newer'])
    expect([core.counter('eventsKnown'), core.counter('eventsBeforeJoin')]).toEqual([1, 3])
    // What it ignored it knows all the same, and gives on.
    expect(core.state.eventSlots[5]?.events).toMatchObject([{ name: 'old' }])
  })

  it('GOS-113 nor does the first exchange bring any, whoever began it, where none is wanted', () => {
    const core = new Core({ start: false })
    core.command({ kind: 'start', ignoreOld: true })
    const userState = stateOf([slot(5n, 'old')], 7n)
    const first = pushPull([row('a')], { userState })
    core.input({ kind: 'streamMessage', id: 1, from: addressOf('a'), message: first })
    expect(heard(core)).toEqual([])
    // From then on it is a member, and wants what it missed.
    exchange(core, { events: [slot(7n, 'missed')], time: 8n, ignoreOld: undefined })
    expect(heard(core)).toEqual(['missed'])
    const other = new Core({ start: false })
    other.command({ kind: 'start', ignoreOld: true })
    exchange(other, { events: [slot(5n, 'old')], time: 7n, ignoreOld: undefined })
    expect(heard(other)).toEqual([])
    const third = new Core({ start: false })
    third.command({ kind: 'start', ignoreOld: true })
    exchange(third, { events: [slot(5n, 'old')], time: 7n, ignoreOld: false })
    expect(heard(third)).toEqual(['old'])
  })

  it('GOS-113 an event of somebody whose clock is behind is news, where gossip brings it', () => {
    const core = new Core()
    exchange(core, { events: [slot(5n, 'old')], time: 7n, ignoreOld: true })
    core.tellSerf(event(6n, 'behind', 1))
    expect(heard(core)).toEqual(['behind1'])
  })

  it('GOS-113 an absurd time in the answer to a join silences nobody', () => {
    const core = new Core()
    exchange(core, { time: 2n ** 64n - 1n, ignoreOld: true })
    core.tellSerf(event(1n, 'real', 1))
    expect(heard(core)).toEqual(['real1'])
  })
})
