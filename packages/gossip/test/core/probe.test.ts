/** Probing, helping others to probe, and what it says about ourselves. */
import { describe, expect, it } from 'vitest'
import { coreStats, nextDeadline } from '../../src/core/index.ts'
import { addressOf, alive, bytesOf, Core, dead, selfName, suspect } from './support.ts'

/** Goes to the moment of the first ping. */
function firstPing(core: Core): { at: number; sequenceNumber: number; node: string } {
  for (let ms = 1; ms <= 1000 && core.sentOf('ping').length === 0; ms += 1) core.advanceTo(ms)
  const [ping] = core.sentOf('ping')
  if (ping === undefined) throw new Error('no probe within an interval')
  return { at: ping.at, sequenceNumber: ping.message.sequenceNumber, node: ping.message.node }
}

function ack(sequenceNumber: number): { kind: 'ack'; sequenceNumber: number; payload: Uint8Array } {
  return { kind: 'ack', sequenceNumber, payload: new Uint8Array(0) }
}

describe('a probe', () => {
  it('GOS-55 one an interval, the first within the first, everyone once in a round', () => {
    const core = new Core()
    const names = ['a', 'b', 'c', 'd', 'e']
    core.know(...names)
    for (let second = 1; second <= 15; second += 1) {
      core.advanceTo(second * 1000)
      const last = core.sentOf('ping').at(-1)
      if (last !== undefined) core.tell(ack(last.message.sequenceNumber))
    }
    const pings = core.sentOf('ping').map(({ message }) => message.node)
    expect(pings).toHaveLength(15)
    for (let round = 0; round < 3; round += 1) {
      expect(pings.slice(round * 5, round * 5 + 5).toSorted()).toEqual(names)
    }
  })

  it('GOS-55 the dead and the left are not probed, and forgotten at the end of a round', () => {
    const core = new Core()
    core.know('a', 'b', 'c')
    core.tell(dead('b', 'a'))
    core.tell(dead('c', 'c'))
    for (let second = 1; second <= 33; second += 1) {
      core.advanceTo(second * 1000)
      const last = core.sentOf('ping').findLast(({ message }) => message.node === 'a')
      if (last !== undefined) core.tell(ack(last.message.sequenceNumber))
    }
    const pinged = (name: string): number =>
      core.sentOf('ping').filter(({ message }) => message.node === name).length
    expect(pinged('a')).toBe(coreStats(core.state).counters['probes'])
    // Asking whether somebody is back is no probe: nobody is suspected of not answering.
    expect(pinged('b')).toBe(coreStats(core.state).counters['lostProbes'])
    expect(pinged('c')).toBe(0)
    expect([...core.state.entries.keys()].toSorted()).toEqual(['a', 'self'])
    expect(core.status('b')).toBe('failed')
    expect(core.status('c')).toBe('left')
  })

  it('GOS-56 an ack in time ends it, and makes us trust ourselves more', () => {
    const core = new Core()
    core.know('m')
    core.tell(suspect(selfName, 'm'))
    expect(core.state.awareness).toBe(1)
    const { sequenceNumber, at } = firstPing(core)
    core.tell(ack(sequenceNumber))
    expect(core.state.awareness).toBe(0)
    core.advanceTo(at + 900)
    expect(core.requests().filter(({ message }) => message.kind === 'ping')).toEqual([])
    expect(core.sentOf('indirectPing')).toEqual([])
  })

  it('GOS-56 silence: helpers and a stream after the timeout, suspicion at the end', () => {
    const core = new Core()
    core.know('a', 'b', 'c', 'd')
    const { at, node, sequenceNumber } = firstPing(core)
    core.advanceTo(at + 500)
    const helpers = core.sentOf('indirectPing')
    expect(helpers).toHaveLength(3)
    expect(helpers.map(({ to }) => to)).not.toContainEqual(addressOf(node))
    expect(helpers[0]?.message).toMatchObject({ node, sequenceNumber, nack: true })
    const stream = core.requests().find(({ message }) => message.kind === 'ping')
    expect(stream?.to).toEqual(addressOf(node))
    expect(stream?.message).toMatchObject({ kind: 'ping', node, sequenceNumber })
    core.tell({ kind: 'nack', sequenceNumber })
    core.advanceTo(at + 1000)
    expect(core.entry(node)?.state).toBe('suspect')
    expect(core.eventsOf('suspect')).toEqual([
      {
        kind: 'suspect',
        name: node,
        from: 'self',
        incarnation: 1,
        via: 'probe',
        probe: {
          startedAgoMs: 1000,
          direct: 'silent',
          askedAgoMs: 500,
          helpers: expect.any(Array),
          indirect: 3,
          nacks: 1,
          nacksExpected: 3,
          stream: 'pending',
        },
      },
    ])
    // Two nacks of three are missing: that may well be our own fault.
    expect(core.state.awareness).toBe(2)
  })

  it('GOS-56 a late ack, direct or relayed, still counts', () => {
    const core = new Core()
    core.know('a', 'b')
    const { at, node, sequenceNumber } = firstPing(core)
    core.advanceTo(at + 900)
    core.tell(ack(sequenceNumber))
    core.advanceTo(at + 1100)
    expect(core.entry(node)?.state).toBe('alive')
  })

  it('GOS-56 who answers over a stream only is alive, and we say that its packets are lost', () => {
    const core = new Core()
    core.know('a', 'b')
    const { at, node, sequenceNumber } = firstPing(core)
    core.advanceTo(at + 600)
    const pinged = core.requests().find(({ message }) => message.kind === 'ping')
    core.input({ kind: 'reply', id: pinged?.id ?? 0, message: ack(sequenceNumber) })
    core.advanceTo(at + 1000)
    expect(core.entry(node)?.state).toBe('alive')
    expect(core.eventsOf('packetsBlocked').map(({ name }) => name)).toEqual([node])
  })

  it('GOS-56 a refused datagram asks the helpers at once', () => {
    const core = new Core()
    core.know('a', 'b')
    const { node, at } = firstPing(core)
    core.now = at + 1
    core.input({ kind: 'sendFailed', to: addressOf(node) })
    expect(core.sentOf('indirectPing')).toHaveLength(1)
  })

  it('GOS-56 a suspect is told of its suspicion with the ping, and nothing else beside it', () => {
    const core = new Core()
    core.know('m')
    core.tell(suspect('m', 'x'))
    core.advanceTo(1000)
    const [sent] = core.sent.filter(({ messages }) => messages[0]?.kind === 'ping')
    expect(sent?.messages.map(({ kind }) => kind)).toEqual(['ping', 'suspect'])
    expect(sent?.messages[1]).toMatchObject({ node: 'm', from: 'self', incarnation: 1 })
  })

  it('GOS-56 who refuted while it was probed is not accused again', () => {
    const core = new Core()
    core.know('m')
    const { at } = firstPing(core)
    core.now = at + 100
    core.tell(alive('m', { incarnation: 2 }))
    core.advanceTo(at + 1000)
    expect(core.entry('m')).toEqual({ state: 'alive', incarnation: 2 })
  })

  it('GOS-58 GOS-156 doubt is bounded, slows the next probes down and waits longer for acks', () => {
    const core = new Core()
    core.know('m')
    core.state.awareness = 6
    core.tell(suspect(selfName, 'm', 1))
    expect(core.state.awareness).toBe(7)
    core.now = 1
    core.tell(suspect(selfName, 'm', 2))
    expect(core.state.awareness).toBe(7)
    const { at } = firstPing(core)
    core.advanceTo(at + 7999)
    expect(core.entry('m')?.state).toBe('alive')
    core.advanceTo(at + 8000)
    expect(core.entry('m')?.state).toBe('suspect')
  })

  it('GOS-58 with every nack there the fault is not ours', () => {
    const core = new Core()
    core.know('a', 'b')
    const { at, sequenceNumber } = firstPing(core)
    core.advanceTo(at + 600)
    core.tell({ kind: 'nack', sequenceNumber })
    core.tell({ kind: 'nack', sequenceNumber })
    core.advanceTo(at + 1000)
    expect(core.state.awareness).toBe(0)
    expect(core.counter('nackUnknown')).toBe(1)
  })

  it('GOS-59 unasked acks and nacks are counted and change nothing', () => {
    const core = new Core()
    core.know('m')
    core.tell(ack(77))
    core.tell({ kind: 'nack', sequenceNumber: 77 })
    expect(core.counter('ackUnknown')).toBe(1)
    expect(core.counter('nackUnknown')).toBe(1)
    expect(core.state.awareness).toBe(0)
  })
})

describe('being probed', () => {
  const source = { sourceAddress: bytesOf(addressOf('a')), sourcePort: 7946, sourceNode: 'a' }

  it('GOS-59 a ping is answered to where its sender says it is', () => {
    const core = new Core()
    core.tell({ kind: 'ping', sequenceNumber: 5, node: selfName, ...source })
    const [answer] = core.sentOf('ack')
    expect(answer?.to).toEqual(addressOf('a'))
    expect(answer?.message.sequenceNumber).toBe(5)
  })

  it('GOS-59 a ping without a source is answered to where it came from, another name is not', () => {
    const core = new Core()
    const bare = { sourceAddress: new Uint8Array(0), sourcePort: 0, sourceNode: '' }
    core.tell({ kind: 'ping', sequenceNumber: 5, node: '', ...bare })
    expect(core.sentOf('ack').map(({ to }) => to)).toEqual([addressOf('x')])
    core.tell({ kind: 'ping', sequenceNumber: 6, node: 'other', ...bare })
    expect(core.sentOf('ack')).toHaveLength(1)
    expect(core.counter('pingForOther')).toBe(1)
  })

  function helping(): Core {
    const core = new Core({ timings: { helperProbesMax: 2 } })
    core.know('a', 'm')
    return core
  }
  const target = { target: bytesOf(addressOf('m')), port: 7946, node: 'm', nack: true }
  const request = { kind: 'indirectPing', sequenceNumber: 40, ...target, ...source } as const

  it('GOS-57 a helper pings, and passes the ack on under the number of the asker', () => {
    const core = helping()
    core.tell(request)
    const [ping] = core.sentOf('ping')
    expect(ping?.to).toEqual(addressOf('m'))
    core.tell(ack(ping?.message.sequenceNumber ?? 0))
    expect(core.sentOf('ack').map(({ to, message }) => [to, message.sequenceNumber])).toEqual([
      [addressOf('a'), 40],
    ])
  })

  it('GOS-57 a silent target gives a nack at four fifths of the time, and a late ack still passes', () => {
    const core = helping()
    core.tell(request)
    const [ping] = core.sentOf('ping')
    core.advanceTo(399)
    expect(core.sentOf('nack')).toEqual([])
    core.advanceTo(400)
    expect(core.sentOf('nack').map(({ to, message }) => [to, message.sequenceNumber])).toEqual([
      [addressOf('a'), 40],
    ])
    core.tell(ack(ping?.message.sequenceNumber ?? 0))
    expect(core.sentOf('ack')).toHaveLength(1)
    core.advanceTo(600)
    expect(core.state.helperProbes.size).toBe(0)
  })

  it('GOS-57 strangers are no targets, and helping has a limit', () => {
    const core = helping()
    core.tell({ ...request, node: 'stranger' })
    core.tell({ ...request, port: 9 })
    expect(core.counter('indirectPingUnknown')).toBe(2)
    for (let times = 0; times < 3; times += 1) core.tell(request)
    expect(core.counter('helperProbesFull')).toBe(1)
    expect(core.state.helperProbes.size).toBe(2)
  })

  it('GOS-76 time in which we did not run is not held against others', () => {
    const core = new Core()
    core.know('m', 'a', 'b')
    core.tell(suspect('m', 'a'))
    core.now = 60_000
    core.input({ kind: 'deadline' })
    expect(core.eventsOf('paused')).toHaveLength(1)
    expect(core.entry('m')?.state).toBe('suspect')
    expect(core.state.awareness).toBeGreaterThan(0)
    core.tell(alive('m', { incarnation: 2 }))
    expect(core.eventsOf('fail')).toEqual([])
    expect(nextDeadline(core.state)).toBeGreaterThan(60_000)
  })
})
