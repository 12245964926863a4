/**
 * Many whole members in one process: gossip and registry as an agent runs them, over a simulated
 * network without faults, in virtual time.
 */
import { createGossip, type Gossip } from '@kith/gossip'
import {
  type Address,
  createRandom,
  type ExtensionHost,
  type GossipExtension,
} from '@kith/interface'
import { createRegistry, type Registry, type RegistrySettings } from '@kith/registry'
import { createVirtualClock, SimNetwork, type VirtualClock } from '@kith/sim'

export interface Party {
  readonly gossip: Gossip
  readonly registry: Registry
}

export interface WorldOptions {
  /**
   * Until all know all, what a registry fetches comes from the other one itself, not over a stream
   * of the network. With 1,000 members these are a million streams, which nobody measures.
   */
  readonly formsByHand?: boolean
  /** Of the registries, where it is not what they take themselves. */
  readonly settings?: Partial<RegistrySettings>
}

type Serve = (registry: Registry, index: number) => Promise<void>

const seed = 1

export class World {
  readonly clock: VirtualClock = createVirtualClock()
  readonly network: SimNetwork
  readonly parties: readonly Party[]
  readonly random = createRandom(seed)
  readonly #answering = new Map<string, GossipExtension>()
  readonly #settings: Partial<RegistrySettings>
  #byHand: boolean

  constructor(members: number, { formsByHand = false, settings = {} }: WorldOptions = {}) {
    this.#byHand = formsByHand
    this.#settings = settings
    const { clock } = this
    const faults = { latencyMs: 0.5, jitterMs: 2 }
    this.network = new SimNetwork({ seed, clock, faults, packetBytesMax: 1_500 })
    this.parties = Array.from({ length: members }, (_, index) => this.#create(index))
  }

  #create(index: number): Party {
    const name = `member-${index}`
    const address = addressOf(index)
    const gossip = createGossip({
      name,
      packets: this.network.packetTransport(address),
      streams: this.network.streamTransport(address),
      join: index === 0 ? [] : [textOf(addressOf(this.random.below(index)))],
      context: { clock: this.network.clockAt(address), random: createRandom(seed + index) },
    })
    const registry = createRegistry({
      settings: this.#settings,
      membership: gossip,
      extensions: this.#extensionsOf(name, gossip),
      clock: this.network.clockAt(address),
      random: createRandom(-1 - index),
    })
    return { gossip, registry }
  }

  #extensionsOf(own: string, gossip: Gossip): ExtensionHost {
    return {
      extend: (name, extension) => {
        this.#answering.set(own, extension)
        return gossip.extend(name, extension)
      },
      broadcastBytesMax: (name) => gossip.broadcastBytesMax(name),
      broadcast: (name, bytes) => gossip.broadcast(name, bytes),
      fetch: async (member, name, request, options) => {
        if (!this.#byHand) return await gossip.fetch(member, name, request, options)
        const answer = this.#answering.get(member)?.onFetch?.(request, own)
        if (answer === undefined) throw new Error(`${member} does not answer`)
        return answer
      },
    }
  }

  /**
   * Starts all within `withinMs`, each as an agent does: gossip, then the registry, then its
   * services. Resolves when everybody knows every member and `instances` of each.
   */
  async form(withinMs: number, instances: number, serve: Serve): Promise<void> {
    const { parties, clock } = this
    for (const [index, { gossip, registry }] of parties.entries()) {
      clock.post((index * withinMs) / parties.length, () => {
        void gossip
          .start()
          .then(() => registry.start())
          .then(() => serve(registry, index))
      })
    }
    await this.pass(withinMs)
    const [members, all] = [parties.length, instances * parties.length]
    await this.until('all members', () =>
      parties.every(({ gossip }) => gossip.members().length === members),
    )
    await this.until('all services', () =>
      parties.every(({ registry }) => registry.instances().length === all),
    )
    this.#byHand = false
  }

  registryOf(index: number): Registry {
    const registry = this.parties[index]?.registry
    if (registry === undefined) throw new Error(`there is no member ${index}`)
    return registry
  }

  async pass(ms: number): Promise<void> {
    await this.clock.run({ until: this.clock.now() + ms })
  }

  /** Virtual milliseconds that it took. */
  async until(what: string, holds: () => boolean, withinMs = 600_000): Promise<number> {
    const from = this.clock.now()
    while (!holds()) {
      if (this.clock.now() - from > withinMs) throw new Error(`not within ${withinMs} ms: ${what}`)
      await this.pass(100)
    }
    return this.clock.now() - from
  }

  /** Gossip goes on alone. */
  async stopRegistries(): Promise<void> {
    await this.#during(Promise.all(this.parties.map(({ registry }) => registry.stop())))
  }

  async stop(): Promise<void> {
    await this.stopRegistries()
    await this.#during(Promise.all(this.parties.map(({ gossip }) => gossip.stop())))
  }

  /** Time passes meanwhile. */
  async #during(work: Promise<unknown>): Promise<void> {
    const abort = new AbortController()
    const pump = this.clock.pump(abort.signal)
    await work
    abort.abort()
    await pump
  }
}

function addressOf(index: number): Address {
  return { host: `10.0.${index >> 8}.${index & 255}`, port: 7946 }
}

function textOf({ host, port }: Address): string {
  return `${host}:${port}`
}
