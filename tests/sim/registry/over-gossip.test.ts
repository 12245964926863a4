/**
 * Whole registries on whole gossip runtimes over the simulated network: what the stand-in of the
 * other scenario takes for granted (size of a broadcast, anti-entropy, fetches, statuses) is real
 * here.
 */
import { createGossip, type Gossip } from '@kith/gossip'
import { type Address, createRandom } from '@kith/interface'
import { createRegistry, type Registry } from '@kith/registry'
import { createVirtualClock, SimNetwork, type VirtualClock } from '@kith/sim'
import { afterEach, describe, expect, it } from 'vitest'

interface Party {
  readonly name: string
  readonly address: Address
  readonly gossip: Gossip
  readonly registry: Registry
}

const undo: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const each of undo.splice(0).reverse()) await each()
})

class World {
  readonly clock: VirtualClock = createVirtualClock()
  readonly network: SimNetwork
  readonly parties = new Map<number, Party>()

  constructor(seed: number) {
    this.network = new SimNetwork({
      seed,
      clock: this.clock,
      faults: { latencyMs: 2, jitterMs: 10, loss: 0.1, duplicate: 0.05, reorder: 0.1 },
    })
  }

  /** Time passes while the work waits for it. */
  async during<Value>(work: Promise<Value>): Promise<Value> {
    const abort = new AbortController()
    const pump = this.clock.pump(abort.signal)
    try {
      return await work
    } finally {
      abort.abort()
      await pump
    }
  }

  async start(index: number): Promise<Party> {
    const name = `m${index}`
    const address = { host: `10.0.0.${index}`, port: 7946 }
    const clock = this.network.clockAt(address)
    const random = createRandom(index * 7919 + Math.floor(this.clock.now()))
    const gossip = createGossip({
      name,
      packets: this.network.packetTransport(address),
      streams: this.network.streamTransport(address),
      join: ['10.0.0.1:7946', '10.0.0.2:7946'],
      context: { clock, random },
    })
    await this.during(gossip.start())
    const registry = createRegistry({ membership: gossip, extensions: gossip, clock, random })
    await this.during(registry.start())
    const party = { name, address, gossip, registry }
    this.parties.set(index, party)
    undo.push(() =>
      this.during(
        (async () => {
          await registry.stop()
          await gossip.stop()
        })(),
      ),
    )
    return party
  }

  party(index: number): Party {
    const party = this.parties.get(index)
    if (party === undefined) throw new Error(`m${index} does not run`)
    return party
  }

  /** In order of their start. */
  get living(): Party[] {
    return [...this.parties.values()]
  }

  async until(what: string, holds: () => boolean, ms: number): Promise<number> {
    const from = this.clock.now()
    await this.clock.run({ until: from + ms, stopWhen: holds })
    expect(holds(), `${what} within ${ms} ms`).toBe(true)
    return this.clock.now() - from
  }
}

const idsOf = ({ registry }: Party, service = 'web'): string[] =>
  registry.resolve(service).map(({ member, id }) => `${member}/${id}`)

async function five(seed: number): Promise<World> {
  const world = new World(seed)
  for (let index = 1; index <= 5; index += 1) {
    const { registry } = await world.start(index)
    await registry.register({ service: 'web', port: 80 + index })
  }
  const all = [1, 2, 3, 4, 5].map((index) => `m${index}/web`)
  await world.until(
    'all resolve all',
    () => world.living.every((party) => idsOf(party).join() === all.join()),
    60_000,
  )
  return world
}

describe.each([1, 2, 3])('registries over gossip, seed %i', (seed) => {
  it(
    'REG-4: carry instances of every size to all, and removals too',
    { timeout: 120_000 },
    async () => {
      const world = await five(seed)
      const first = world.party(1)
      const meta = { one: 'x'.repeat(1_000), two: 'y'.repeat(1_000), three: 'z'.repeat(1_000) }
      for (let count = 0; count < 30; count += 1) {
        const more = count % 3 === 0 ? { meta } : {}
        await first.registry.register({ service: 'many', id: `i${count}`, port: 80, ...more })
      }
      const counts = (): number[] => world.living.map((party) => idsOf(party, 'many').length)
      await world.until('30 everywhere', () => counts().every((count) => count === 30), 60_000)
      for (let count = 0; count < 20; count += 1) await first.registry.deregister(`i${count}`)
      await world.until('10 everywhere', () => counts().every((count) => count === 10), 60_000)
      for (const { registry } of world.living) {
        expect(registry.stats()).toMatchObject({ malformed: 0, unsupported: 0, foreign: 0 })
      }
    },
  )

  it(
    'REG-7 and REG-8: follow a member that crashes, and one that comes back',
    { timeout: 120_000 },
    async () => {
      const world = await five(seed)
      const gone = world.party(5)
      world.network.crash(gone.address)
      world.parties.delete(5)
      const without = ['m1/web', 'm2/web', 'm3/web', 'm4/web'].join()
      await world.until(
        'nobody resolves it',
        () => world.living.every((party) => idsOf(party).join() === without),
        60_000,
      )
      const again = await world.start(5)
      await again.registry.register({ service: 'web', id: 'second', port: 90 })
      const back = `${without},m5/second`
      await world.until(
        'all resolve what it offers now',
        () => world.living.every((party) => idsOf(party).join() === back),
        60_000,
      )
    },
  )

  it('REG-9 and REG-10: follow a member that drains and leaves', { timeout: 120_000 }, async () => {
    const world = await five(seed)
    const leaver = world.party(4)
    await leaver.registry.drain()
    const without = ['m1/web', 'm2/web', 'm3/web', 'm5/web'].join()
    await world.until(
      'nobody resolves it while it is still there',
      () => world.living.every((party) => idsOf(party).join() === without),
      30_000,
    )
    await world.during(leaver.gossip.leave())
    world.parties.delete(4)
    await world.until(
      'all know that it left',
      () => world.living.every(({ gossip }) => gossip.member('m4')?.status === 'left'),
      30_000,
    )
    for (const party of world.living) expect(idsOf(party).join()).toBe(without)
  })

  it(
    'REG-5: agree again after a partition in which both sides changed',
    { timeout: 120_000 },
    async () => {
      const world = await five(seed)
      const addresses = world.living.map(({ address }) => address)
      const heal = world.network.partition([addresses.slice(0, 2), addresses.slice(2)])
      const [one, last] = [world.party(1), world.party(5)]
      await one.registry.register({ service: 'web', id: 'new', port: 1 })
      await last.registry.deregister('web')
      await world.until(
        'the far side is failed',
        () => idsOf(one).join() === 'm1/new,m1/web,m2/web',
        90_000,
      )
      heal()
      const all = 'm1/new,m1/web,m2/web,m3/web,m4/web'
      await world.until(
        'all agree',
        () => world.living.every((party) => idsOf(party).join() === all),
        120_000,
      )
    },
  )
})
