/**
 * Many whole members in one process: gossip and registry as an agent runs them, over a simulated
 * network without faults, in virtual time.
 */
import { createGossip, type Gossip } from '@kith/gossip'
import {
  type Address,
  createRandom,
  type Clock,
  type ExtensionHost,
  type GossipExtension,
  type PacketTransportFactory,
} from '@kith/interface'
import { createRegistry, type Registry, type RegistrySettings } from '@kith/registry'
import { createVirtualClock, SimNetwork, type VirtualClock } from '@kith/sim'

export interface Party {
  readonly gossip: Gossip
  readonly registry: Registry
  readonly turns: Turns
}

/** When a registry spoke, and how long it then was until its next turn. */
export interface Turns {
  /** Of its last broadcast; virtual. */
  spokeAt: number | undefined
  /** From there to what it next waits for: at rest that is its turn to announce itself. */
  periodMs: number | undefined
}

/** Bytes that all members together sent. */
export interface Traffic {
  readonly packets: number
  readonly streams: number
}

export interface WorldOptions {
  /**
   * Until all know all, what a registry fetches comes from the other one itself, not over a stream
   * of the network. With 1,000 members these are a million streams, which nobody measures.
   */
  readonly formsByHand?: boolean
  /** False: gossip alone; default true. */
  readonly registries?: boolean
  /** Of the registries, where it is not what they take themselves. */
  readonly settings?: Partial<RegistrySettings>
}

type Serve = (registry: Registry, index: number) => Promise<void>

const seed = 1
/** Between two exchanges of `introduce`, so that the first member has a few at a time. */
const exchangeEveryMs = 10

export class World {
  readonly clock: VirtualClock = createVirtualClock()
  readonly network: SimNetwork
  readonly parties: readonly Party[]
  readonly random = createRandom(seed)
  readonly #answering = new Map<string, GossipExtension>()
  readonly #settings: Partial<RegistrySettings>
  readonly #registries: boolean
  #byHand: boolean
  /** No packet leaves anybody. */
  #mute = false
  #packetBytes = 0

  constructor(members: number, options: WorldOptions = {}) {
    const { formsByHand = false, registries = true, settings = {} } = options
    this.#byHand = formsByHand
    this.#registries = registries
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
      packets: this.#packets(this.network.packetTransport(address)),
      streams: this.network.streamTransport(address),
      join: index === 0 ? [] : [textOf(addressOf(this.random.below(index)))],
      context: { clock: this.network.clockAt(address), random: createRandom(seed + index) },
    })
    const turns: Turns = { spokeAt: undefined, periodMs: undefined }
    const registry = createRegistry({
      settings: this.#settings,
      membership: gossip,
      extensions: this.#extensionsOf(name, gossip, turns),
      clock: noting(this.network.clockAt(address), turns),
      random: createRandom(-1 - index),
    })
    return { gossip, registry, turns }
  }

  /** Counts, and holds back what is not to leave. */
  #packets(create: PacketTransportFactory): PacketTransportFactory {
    return (context) => {
      const inner = create(context)
      return {
        packetBytesMax: inner.packetBytesMax,
        start: (handlers, options) => inner.start(handlers, options),
        send: (to, bytes) => {
          if (this.#mute) return
          this.#packetBytes += bytes.length
          inner.send(to, bytes)
        },
        stop: () => inner.stop(),
        [Symbol.asyncDispose]: () => inner.stop(),
      }
    }
  }

  #extensionsOf(own: string, gossip: Gossip, turns: Turns): ExtensionHost {
    return {
      extend: (name, extension) => {
        this.#answering.set(own, extension)
        return gossip.extend(name, extension)
      },
      broadcastBytesMax: (name) => gossip.broadcastBytesMax(name),
      broadcast: (name, bytes) => {
        turns.spokeAt = this.clock.now()
        gossip.broadcast(name, bytes)
      },
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
    await this.#begin(withinMs, serve)
    await this.#knownTo(this.parties, instances)
    this.#byHand = false
  }

  /**
   * Comes to the state that `form` comes to when its greetings are over, without everybody telling
   * everybody of everybody: that takes the square of the members in messages, each sent a dozen
   * times. Until all know all no packet leaves anybody. They exchange states with the first one
   * instead, over streams, as joining members do: once for the first to know all, and once more to
   * hear it from there. Then `greetingMs` pass, in which registries greet whom they met, and what
   * waits to be told grows old. Members whose packets were lost have just the same behind them.
   */
  async introduce(instances: number, serve: Serve, greetingMs: number): Promise<void> {
    this.#mute = true
    const { parties } = this
    await this.#begin(parties.length * exchangeEveryMs, serve)
    await this.#exchangeWithFirst()
    await this.#knownTo(parties.slice(0, 1), instances)
    await this.#exchangeWithFirst()
    await this.#knownTo(parties, instances)
    await this.pass(greetingMs)
    await this.until('empty queues', () => this.waiting() === 0)
    this.#mute = false
    this.#byHand = false
  }

  async #begin(withinMs: number, serve: Serve): Promise<void> {
    const { parties, clock } = this
    for (const [index, { gossip, registry }] of parties.entries()) {
      clock.post((index * withinMs) / parties.length, () => {
        const started = gossip.start()
        if (this.#registries)
          void started.then(() => registry.start()).then(() => serve(registry, index))
      })
    }
    await this.pass(withinMs)
  }

  async #exchangeWithFirst(): Promise<void> {
    const first = textOf(addressOf(0))
    const from = this.clock.now()
    const exchanges = this.parties.slice(1).map(async ({ gossip }, index) => {
      await new Promise<void>((resolve) => {
        this.clock.post(from + index * exchangeEveryMs, resolve)
      })
      await gossip.join([first])
    })
    await this.#during(Promise.all(exchanges))
  }

  async #knownTo(parties: readonly Party[], instances: number): Promise<void> {
    const members = this.parties.length
    const all = this.#registries ? instances * members : 0
    await this.until('all members', () =>
      parties.every(({ gossip }) => gossip.members().length === members),
    )
    await this.until('all services', () =>
      parties.every(({ registry }) => registry.stats().instances === all),
    )
  }

  /** Broadcasts that wait to be sent, over all members. */
  waiting(): number {
    return this.parties.reduce((sum, { gossip }) => {
      const { members, intents, queries, events } = gossip.stats().queues
      return sum + members + intents + queries + events
    }, 0)
  }

  traffic(): Traffic {
    const packets = this.#packetBytes
    return { packets, streams: this.network.stats.bytesSent - packets }
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

/** Notes for what a registry waits after it spoke: it has one timer. */
function noting(clock: Clock, turns: Turns): Clock {
  return {
    now: () => clock.now(),
    wallNow: () => clock.wallNow(),
    after: (delayMs, callback) => {
      if (turns.spokeAt === clock.now()) turns.periodMs = delayMs
      return clock.after(delayMs, callback)
    },
  }
}

function addressOf(index: number): Address {
  return { host: `10.0.${index >> 8}.${index & 255}`, port: 7946 }
}

function textOf({ host, port }: Address): string {
  return `${host}:${port}`
}
