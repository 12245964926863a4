/** The simulated network: every fault happens, is counted, and happens again for the same seed. */
import type { Address } from '@kith/interface'
import { describe, expect, it } from 'vitest'
import { createSimRandom, createVirtualClock, SimNetwork } from '../src/index.ts'
import type { HostHandlers, LinkFaults, RequestOutcome, SimNetworkOptions } from '../src/index.ts'

const at = (port: number): Address => ({ host: '10.0.0.1', port })
const [a, b, c] = [at(1), at(2), at(3)]
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const bytes = (value: string): Uint8Array => new TextEncoder().encode(value)

function setUp(options: Partial<SimNetworkOptions> = {}) {
  const clock = createVirtualClock()
  const network = new SimNetwork({ seed: 1, clock, ...options })
  const got: string[] = []
  const host = (address: Address, more: HostHandlers = {}) =>
    network.attach(address, {
      packet: (from, data) =>
        void got.push(`${clock.now()} ${from.port}>${address.port} ${text(data)}`),
      ...more,
    })
  return { clock, network, got, host }
}

describe('packets', () => {
  it('arrive as copies after the latency', () => {
    const { clock, got, host } = setUp({ faults: { latencyMs: 5 } })
    const sender = host(a)
    host(b)
    const message = bytes('hello')
    sender.send(b, message)
    message.fill(0)
    clock.advanceBy(10)
    expect(got).toEqual(['5 1>2 hello'])
  })

  it('above the limit are refused at once and counted', () => {
    const { clock, network, host } = setUp({ packetBytesMax: 10 })
    const failed: string[] = []
    const sender = host(a, {
      sendFailed: (to, cause) => failed.push(`${to.port} ${cause.message}`),
    })
    sender.send(b, new Uint8Array(11))
    expect(failed).toEqual([])
    clock.advanceBy(0)
    expect(failed).toEqual(['2 memory transport: tooLarge (10.0.0.1:2)'])
    expect(network.stats).toMatchObject({ oversize: 1, packetsDelivered: 0 })
  })

  it('to nobody come back refused, or vanish where the address swallows', () => {
    const { clock, network, host } = setUp()
    const failed: number[] = []
    const sender = host(a, { sendFailed: (to) => failed.push(to.port) })
    host(c)
    network.crash(c, { afterwards: 'swallow' })
    sender.send(b, bytes('x'))
    sender.send(c, bytes('x'))
    clock.advanceBy(10)
    expect(failed).toEqual([2])
    expect(network.stats).toMatchObject({ refused: 1, blackholed: 1, crashes: 1 })
  })

  const faults: [keyof LinkFaults, string][] = [
    ['loss', 'lost'],
    ['duplicate', 'duplicated'],
    ['reorder', 'reordered'],
    ['straggler', 'straggled'],
    ['corrupt', 'corrupted'],
  ]
  it.each(faults)('suffer %s about as often as asked', (fault, counter) => {
    const { clock, network, host } = setUp({ faults: { [fault]: 0.2 } })
    const sender = host(a)
    host(b)
    for (let index = 0; index < 5000; index += 1) sender.send(b, bytes(`packet ${index}`))
    clock.advanceBy(10_000)
    const happened = network.stats[counter as keyof typeof network.stats]
    expect(happened / 5000).toBeGreaterThan(0.17)
    expect(happened / 5000).toBeLessThan(0.23)
    const { lost, duplicated, packetsDelivered } = network.stats
    expect(packetsDelivered).toBe(5000 - lost + duplicated)
  })

  it('overtake each other under reordering, with one bit flipped under corruption', () => {
    const { clock, got, host } = setUp({ faults: { reorder: 0.5, corrupt: 1 } })
    const sender = host(a)
    let flipped = 0
    host(b, {
      packet: (_, data) => {
        got.push(String(data[0]))
        const bits = data
          .slice(1)
          .reduce((sum, byte) => sum + byte.toString(2).split('1').length - 1, 0)
        flipped += bits
      },
    })
    for (let index = 0; index < 50; index += 1) {
      sender.send(b, Uint8Array.of(index, ...new Uint8Array(400)))
      clock.advanceBy(1)
    }
    clock.advanceBy(100)
    expect(got).not.toEqual([...got].sort((x, y) => Number(x) - Number(y)))
    expect(flipped).toBeGreaterThan(40)
  })
})

describe('partitions', () => {
  it('are one way, end on their own, and add up', () => {
    const { clock, network, got, host } = setUp()
    const [first, second] = [host(a), host(b)]
    const heal = network.block([a], [b])
    const healAgain = network.block([a], [b], 'packets')
    const exchange = (label: string): void => {
      first.send(b, bytes(label))
      second.send(a, bytes(label))
      clock.advanceBy(10)
    }
    exchange('one')
    heal()
    heal()
    exchange('two')
    healAgain()
    exchange('three')
    const expected = ['1 2>1 one', '11 2>1 two', '21 1>2 three', '21 2>1 three']
    expect([...got].sort()).toEqual(expected.sort())
    expect(network.stats.partitioned).toBe(2)
  })

  it('catch what is on the way already', () => {
    const { clock, network, got, host } = setUp({ faults: { latencyMs: 10 } })
    const sender = host(a)
    host(b)
    sender.send(b, bytes('late'))
    clock.advanceBy(5)
    network.partition([[a], [b]])
    clock.advanceBy(20)
    expect(got).toEqual([])
    expect(network.stats.partitioned).toBe(1)
  })

  it('leave the other scope alone', () => {
    const { clock, network, got, host } = setUp()
    const sender = host(a)
    const outcomes: RequestOutcome[] = []
    host(b, { request: (_, data, reply) => reply.send(data) })
    network.block([a], [b], 'packets')
    sender.send(b, bytes('x'))
    sender.request(b, bytes('y'), {}, (outcome) => outcomes.push(outcome))
    clock.advanceBy(100)
    expect(got).toEqual([])
    expect(outcomes).toEqual([{ kind: 'reply', bytes: bytes('y') }])
  })
})

describe('requests', () => {
  function ask(request?: HostHandlers['request']) {
    const world = setUp()
    const sender = world.host(a)
    if (request !== undefined) world.host(b, { request })
    const outcomes: string[] = []
    const send = (options = {}): (() => void) =>
      sender.request(b, bytes('q'), options, (outcome) => {
        const what = outcome.kind === 'reply' ? text(outcome.bytes) : outcome.kind
        outcomes.push(`${world.clock.now()} ${outcome.kind === 'failed' ? outcome.reason : what}`)
      })
    return { ...world, outcomes, send }
  }

  it('take a connection, the message and the answer', () => {
    const world = ask((from, data, reply) => reply.send(bytes(`${from.port} said ${text(data)}`)))
    world.send()
    world.clock.advanceBy(100)
    expect(world.outcomes).toEqual(['4 1 said q'])
  })

  it('end without an answer, break, and are refused', () => {
    const ended = ask((_, __, reply) => reply.end())
    const broken = ask((_, __, reply) => reply.fail())
    const refused = ask()
    for (const world of [ended, broken, refused]) {
      world.send()
      world.clock.advanceBy(100)
    }
    expect([...ended.outcomes, ...broken.outcomes, ...refused.outcomes]).toEqual([
      '4 end',
      '4 reset',
      '2 refused',
    ])
  })

  it('time out where nobody answers, where all is swallowed, and behind a partition', () => {
    const silent = ask(() => {})
    const swallowed = ask(() => {})
    swallowed.network.crash(b, { afterwards: 'swallow' })
    const cut = ask((_, __, reply) => reply.end())
    cut.network.block([b], [a])
    for (const world of [silent, swallowed, cut]) {
      world.send({ timeoutMs: 500 })
      world.clock.advanceBy(10_000)
      expect(world.outcomes).toEqual(['500 timeout'])
      expect(world.network.stats.requestsTimedOut).toBe(1)
    }
  })

  it('survive loss by sending again', () => {
    const world = ask((_, __, reply) => reply.end())
    world.network.setFaults({ loss: 0.5 })
    for (let round = 0; round < 20; round += 1) world.send({ timeoutMs: 60_000 })
    world.clock.advanceBy(60_000)
    expect(world.outcomes.map((line) => line.split(' ')[1])).toEqual(Array(20).fill('end'))
    expect(world.network.stats.retransmitted).toBeGreaterThan(10)
  })

  it('break when the far process dies before it answered', () => {
    const world = ask(() => {})
    world.send()
    world.clock.advanceBy(10)
    world.network.crash(b)
    world.clock.advanceBy(10)
    expect(world.outcomes).toEqual(['11 reset'])
  })

  it('say nothing after a cancel, and answer once however often the handler does', () => {
    const world = ask((_, __, reply) => {
      reply.send(bytes('one'))
      reply.send(bytes('two'))
    })
    world.send()()
    world.send()
    world.clock.advanceBy(100)
    expect(world.outcomes).toEqual(['4 one'])
  })

  it('that expect no answer end when the message arrived', () => {
    const world = ask(() => {})
    world.send({ expectReply: false })
    world.clock.advanceBy(100)
    expect(world.outcomes).toEqual(['3 end'])
  })
})

describe('processes', () => {
  it('paused keep inbound up to a bound and their timers, and run them when resumed', () => {
    const { clock, network, got, host } = setUp({ heldInboundMax: 3 })
    const sender = host(a)
    const receiver = host(b)
    let fired = 0
    receiver.clock.after(5, () => (fired = clock.now()))
    network.pause(b)
    for (const label of ['1', '2', '3', '4', '5']) sender.send(b, bytes(label))
    clock.advanceBy(50)
    expect([got, fired]).toEqual([[], 0])
    network.resume(b)
    clock.advanceBy(1)
    expect(got).toEqual(['50 1>2 1', '50 1>2 2', '50 1>2 3'])
    expect(fired).toBe(50)
    const counted = { pauses: 1, heldInbound: 3, inboundOverflow: 2, heldTimers: 1 }
    expect(network.stats).toMatchObject(counted)
  })

  it('crashed run nothing of their old life, and a restart begins anew', () => {
    const { clock, network, got, host } = setUp()
    const old = host(a)
    host(b)
    old.clock.after(5, () => got.push('a dead timer ran'))
    network.crash(a)
    old.send(b, bytes('from the dead'))
    const again = host(a)
    again.clock.after(5, () => got.push('timer'))
    again.send(b, bytes('back'))
    clock.advanceBy(10)
    expect(got).toEqual(['1 1>2 back', 'timer'])
    expect(network.stats).toMatchObject({ crashes: 1, restarts: 1 })
  })

  it('refuse a second attachment', () => {
    const { host } = setUp()
    host(a)
    expect(() => host(a)).toThrow(expect.objectContaining({ code: 'ERR_SIM_ADDRESS_IN_USE' }))
  })
})

describe('determinism', () => {
  function chatter(seed: number): string {
    const clock = createVirtualClock()
    const faults = { jitterMs: 20, loss: 0.1, duplicate: 0.1, reorder: 0.1, corrupt: 0.05 }
    const network = new SimNetwork({ seed, clock, faults })
    const random = createSimRandom(seed, 'chatter')
    const addresses = Array.from({ length: 8 }, (_, index) => at(index + 1))
    for (const address of addresses) {
      const host = network.attach(address, {
        packet: (from, data) => {
          if ((data[0] ?? 0) > 0) host.send(from, data.with(0, (data[0] ?? 0) - 1))
        },
        request: (_, data, reply) => reply.send(data),
      })
      const tick = (): void => {
        host.send(random.pick(addresses), Uint8Array.of(random.below(5), random.below(256)))
        host.request(random.pick(addresses), Uint8Array.of(1), { timeoutMs: 900 }, () => {})
        host.clock.after(random.between(5, 50), tick)
      }
      tick()
    }
    clock.after(500, () => network.pause(addresses[0] as Address))
    clock.after(900, () => network.resume(addresses[0] as Address))
    clock.after(700, () => network.crash(addresses[1] as Address))
    clock.advanceTo(2_000)
    return network.traceDigest()
  }

  it('gives the same digest for the same seed and another for another', () => {
    const digests = [1, 2, 3].map(chatter)
    expect([1, 2, 3].map(chatter)).toEqual(digests)
    expect(new Set(digests).size).toBe(3)
  })

  it('forks by label, independent of draws', () => {
    const one = createSimRandom(7)
    const two = createSimRandom(7)
    one.uint32()
    expect(one.fork('x').uint32()).toBe(two.fork('x').uint32())
    expect(one.fork('x').uint32()).not.toBe(one.fork('y').uint32())
  })
})
