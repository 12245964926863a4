/** What this member does beyond memberlist: telling, finding again, and holding back. */
import { describe, expect, it } from 'vitest'
import { coreStats } from '../../src/core/index.ts'
import { packetsPerProbeMax } from '../../src/core/pace.ts'
import { hasRoom, hasSpareRoom } from '../../src/core/sending.ts'
import { profiles } from '../../src/options.ts'
import type { PacketMessage } from '../../src/wire/message.ts'
import {
  addressOf,
  alive,
  bytesOf,
  Core,
  dead,
  pushPull,
  row,
  selfName,
  suspect,
} from './support.ts'

const none = new Uint8Array(0)

function pingFrom(name: string, sequenceNumber = 1): PacketMessage {
  const { host, port } = addressOf(name)
  const sourceAddress = bytesOf({ host, port })
  return {
    kind: 'ping',
    sequenceNumber,
    node: selfName,
    sourceAddress,
    sourcePort: port,
    sourceNode: name,
  }
}

/** Runs until then, acknowledging every probe by the same packet that it went out with. */
function runAnswered(core: Core, untilMs: number): void {
  let seen = 0
  for (let ms = Math.ceil(core.now); ms <= untilMs; ms += 10) {
    core.advanceTo(ms)
    for (const { messages } of core.sent.slice(seen)) {
      const [first] = messages
      if (first?.kind !== 'ping') continue
      core.tell({ kind: 'ack', sequenceNumber: first.sequenceNumber, payload: none })
    }
    seen = core.sent.length
  }
}

function names(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `n${index}`)
}

describe('telling everybody', () => {
  it('GOS-150 one piece of news goes to other members each time, and so to all of them', () => {
    const core = new Core()
    core.know(...names(12))
    core.advanceTo(20_000)
    const before = core.sent.length
    core.tell(alive('late'))
    core.advanceTo(21_200)
    const told = core.sent.slice(before).filter(({ messages }) => {
      return messages.some((message) => message.kind === 'alive' && message.node === 'late')
    })
    // 13 times in a cluster of 14, of which 12 are neither the newcomer nor ourselves.
    expect(told).toHaveLength(13)
    const to = new Set(told.map(({ to: { host } }) => host))
    expect(to.size).toBeGreaterThanOrEqual(12)
  })

  it('GOS-151 our pings say who we are until they are acknowledged, and again after a change', () => {
    const core = new Core()
    core.know('a', 'b')
    const told = (): readonly string[] =>
      core.sent.flatMap(({ messages: [first, ...rest] }) =>
        first?.kind === 'ping' &&
        rest.some((message) => message.kind === 'alive' && message.node === selfName)
          ? [first.node]
          : [],
      )
    runAnswered(core, 15_000)
    const answered = told().length
    expect(new Set(told())).toEqual(new Set(['a', 'b']))
    runAnswered(core, 25_000)
    expect(told()).toHaveLength(answered)
    core.command({ kind: 'setTags', id: 1, tags: { role: 'db' } })
    runAnswered(core, 35_000)
    expect(new Set(told().slice(answered))).toEqual(new Set(['a', 'b']))
  })

  it('GOS-151 so do those to a suspect, beside the accusation', () => {
    const core = new Core()
    core.know('a')
    core.advanceTo(900)
    core.tell(suspect('a', 'b'))
    core.state.broadcasts.byAbout.clear()
    core.advanceTo(4000)
    const accusing = core.sent.filter(({ messages: [ping, accusation] }) => {
      return ping?.kind === 'ping' && accusation?.kind === 'suspect'
    })
    expect(accusing[0]?.messages).toMatchObject([
      { kind: 'ping', node: 'a' },
      { kind: 'suspect', node: 'a' },
      { kind: 'alive', node: selfName },
    ])
  })

  it('GOS-151 so does the ack to a member that has not acknowledged it', () => {
    const core = new Core()
    core.know('a')
    core.advanceTo(900)
    core.state.broadcasts.byAbout.clear()
    core.tell(pingFrom('a'))
    expect(core.sent.at(-1)?.messages).toMatchObject([
      { kind: 'ack' },
      { kind: 'alive', node: selfName },
    ])
  })
})

/** Pings to the member `m`. */
function asked(core: Core): number {
  return core.sentOf('ping').filter(({ message }) => message.node === 'm').length
}

describe('finding lost members again', () => {
  it('GOS-152 a failed member is asked within an interval for each of us, later less often', () => {
    const core = new Core()
    core.know('a', 'b', 'm')
    core.tell(dead('m', 'a'))
    runAnswered(core, 6000)
    expect(asked(core)).toBeGreaterThan(0)
    runAnswered(core, 60_000)
    // Three of us ask it, each about every three seconds.
    expect(asked(core)).toBeGreaterThanOrEqual(60 / (3 * 1.5) - 2)
    expect(asked(core)).toBeLessThanOrEqual(60 / (3 * 0.5) + 1)
    const hour = 3_600_000
    core.now = hour
    core.state.health.pausedAt = hour
    const before = asked(core)
    runAnswered(core, hour + 300_000)
    expect(asked(core) - before).toBeLessThanOrEqual(8)
  })

  it('GOS-152 a member with nothing lost keeps no timer for it, one with much asks one a time', () => {
    const core = new Core()
    core.know(...names(40))
    core.advanceTo(3000)
    expect(core.state.lostTimer).toBeUndefined()
    for (const name of names(40)) core.tell(dead(name, 'x'))
    const before = core.sentOf('ping').length
    core.advanceTo(23_000)
    const questions = core.sentOf('ping').slice(before)
    expect(questions.length).toBeGreaterThanOrEqual(10)
    expect(questions.length).toBeLessThanOrEqual(40)
    expect(new Set(questions.map(({ message }) => message.node)).size).toBe(questions.length)
  })

  it('GOS-153 the question carries what it is about, and an answer leads to an exchange', () => {
    const core = new Core()
    core.know('a', 'm')
    core.tell(dead('m', 'a'))
    core.advanceTo(6000)
    const question = core.sent.find(({ messages }) => {
      return messages[0]?.kind === 'suspect' && messages[1]?.kind === 'ping'
    })
    const [accusation, ping] = question?.messages ?? []
    expect(question?.to).toEqual(addressOf('m'))
    expect(accusation).toMatchObject({ node: 'm', incarnation: 1, from: selfName })
    if (ping?.kind !== 'ping') throw new Error('no question')
    const before = core.requests().length
    core.tell({ kind: 'ack', sequenceNumber: ping.sequenceNumber, payload: none })
    const [exchange] = core.requests().slice(before)
    expect(exchange?.to).toEqual(addressOf('m'))
    expect(exchange?.message).toMatchObject({ kind: 'pushPull' })
    expect(core.counter('lostExchanges')).toBe(1)
    const reply = pushPull([row('m', { incarnation: 2 })])
    core.input({ kind: 'reply', id: exchange?.id ?? 0, message: reply })
    expect(core.status('m')).toBe('alive')
  })

  it('GOS-153 whoever pings us is told in the ack that we gave it up, or doubt it', () => {
    const core = new Core()
    core.know('a', 'm', 's')
    core.tell(dead('m', 'a'), suspect('s', 'a'))
    for (const name of ['m', 's']) {
      core.tell(pingFrom(name))
      const { to, messages } = core.sent.at(-1) ?? { messages: [] }
      expect(to).toEqual(addressOf(name))
      expect(messages.slice(0, 2)).toMatchObject([
        { kind: 'ack' },
        { kind: 'suspect', node: name, incarnation: 1, from: selfName },
      ])
    }
    core.tell(pingFrom('a'))
    const accused = core.sent.at(-1)?.messages.filter((message) => message.kind === 'suspect')
    expect(accused).not.toContainEqual(expect.objectContaining({ node: 'a' }))
    // The failed one is met, once an interval, however often it pings.
    for (let times = 0; times < 5; times += 1) core.tell(pingFrom('m'))
    expect(core.counter('lostExchanges')).toBe(1)
  })

  it('GOS-153 who is dead to us and alive to others at one incarnation is asked at once', () => {
    const core = new Core()
    core.know('a', 'm')
    core.tell(dead('m', 'a'))
    core.advanceTo(200)
    expect(asked(core)).toBe(0)
    core.tell(alive('m', { incarnation: 1 }))
    expect(core.entry('m')?.state).toBe('dead')
    core.advanceTo(400)
    expect(asked(core)).toBe(1)
    for (let times = 0; times < 5; times += 1) core.tell(alive('m', { incarnation: 1 }))
    core.advanceTo(600)
    expect(asked(core)).toBe(1)
    expect(core.counter('deathsDoubted')).toBe(1)
  })
})

describe('holding back', () => {
  it('GOS-154 the bound is what gossip alone could be, and four', () => {
    expect(packetsPerProbeMax(profiles.lan)).toBe(19)
    expect(packetsPerProbeMax(profiles.local)).toBe(34)
    expect(packetsPerProbeMax(profiles.wan)).toBe(44)
  })

  it('GOS-154 no more than that within any probe interval, whatever is asked of this member', () => {
    const core = new Core()
    core.know(...names(30))
    for (const name of names(6)) core.tell(suspect(name, 'x'), suspect(name, 'y'))
    const source = { sourceAddress: bytesOf(addressOf('n1')), sourcePort: 7946, sourceNode: 'n1' }
    for (let ms = 0; ms < 6000; ms += 20) {
      core.advanceTo(ms)
      core.tell(pingFrom(`n${ms % 30}`))
      const target = { target: bytesOf(addressOf('n2')), port: 7946, node: 'n2', nack: true }
      core.tell({ kind: 'indirectPing', sequenceNumber: ms, ...target, ...source })
      core.tell(alive(`new${ms}`))
    }
    const at = core.sent.map((sent) => sent.at)
    const most = Math.max(
      ...at.map((from) => at.filter((to) => to >= from && to < from + 1000).length),
    )
    expect(most).toBe(19)
    const { counters } = coreStats(core.state)
    expect(counters['acksShed']).toBeGreaterThan(0)
    expect(counters['helpShed']).toBeGreaterThan(0)
    expect(counters['gossipPutOff']).toBeGreaterThan(0)
  })

  it('GOS-154 strangers use up a small part of it only', () => {
    const core = new Core()
    core.advanceTo(3000)
    const before = core.sentOf('ack').length
    for (let times = 0; times < 100; times += 1) core.tell(pingFrom(`stranger${times}`))
    expect(core.sentOf('ack').length - before).toBe(4)
    expect(hasRoom(core.state, 15)).toBe(true)
    expect(hasSpareRoom(core.state)).toBe(true)
  })

  it('GOS-155 several accusations within half an interval are one refutation', () => {
    const core = new Core()
    core.know('a')
    for (let incarnation = 1; incarnation <= 9; incarnation += 1) {
      core.tell(suspect(selfName, 'a', incarnation))
    }
    expect(core.eventsOf('refute').map(({ incarnation }) => incarnation)).toEqual([2])
    core.advanceTo(499)
    expect(core.eventsOf('refute')).toHaveLength(1)
    core.advanceTo(501)
    expect(core.eventsOf('refute').map(({ incarnation }) => incarnation)).toEqual([2, 10])
    expect(core.eventsOf('refute')[1]).toMatchObject({ accused: 9, from: 'a' })
    expect(core.entry(selfName)).toEqual({ state: 'alive', incarnation: 10 })
  })

  it('GOS-155 what is refuted meanwhile is not refuted again', () => {
    const core = new Core()
    core.know('a')
    core.tell(suspect(selfName, 'a', 1), suspect(selfName, 'a', 2))
    core.command({ kind: 'setTags', id: 1, tags: { role: 'db' } })
    core.advanceTo(1000)
    expect(core.entry(selfName)?.incarnation).toBe(3)
    expect(core.eventsOf('refute')).toHaveLength(1)
  })

  it('GOS-155 accusations of the past are answered once an interval', () => {
    const core = new Core()
    core.know('a')
    core.tell(suspect(selfName, 'a', 1))
    core.advanceTo(8000)
    for (let times = 0; times < 5; times += 1) {
      core.state.broadcasts.byAbout.delete(selfName)
      core.tell(suspect(selfName, 'a', 1))
    }
    expect(core.counter('accusationsStale')).toBe(1)
  })

  it('GOS-156 a member in doubt of itself asks helpers later, as much as it probes later', () => {
    const core = new Core()
    core.know('a', 'b')
    core.state.awareness = 3
    core.advanceTo(1000)
    const at = core.sentOf('ping')[0]?.at ?? 0
    core.advanceTo(at + 1999)
    expect(core.sentOf('indirectPing')).toEqual([])
    core.advanceTo(at + 2000)
    expect(core.sentOf('indirectPing')).toHaveLength(1)
  })
})
