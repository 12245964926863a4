/** A network that exists only in memory and misbehaves exactly as its seed says. */
import type {
  Address,
  CancelTimer,
  Clock,
  PacketTransportFactory,
  StreamTransportFactory,
  TransportFailure,
  Unsubscribe,
} from '@kith/interface'
import { describeProblems, formatAddress } from '@kith/interface'
import type { VirtualClock } from './clock.ts'
import { Copies } from './copies.ts'
import { Endpoint } from './endpoint.ts'
import type { HostHandlers } from './endpoint.ts'
import { SimError, transportError } from './errors.ts'
import { createStats } from './faults.ts'
import type { LinkFaults, NetworkStats } from './faults.ts'
import { Links } from './links.ts'
import type { PartitionScope } from './links.ts'
import { memoryPackets } from './packet-transport.ts'
import { createSimRandom } from './random.ts'
import { sendRequest } from './requests.ts'
import type { RequestOptions, RequestOutcome } from './requests.ts'
import { memoryStreams } from './stream-transport.ts'
import { Trace } from './trace.ts'
import type { NetworkEvent } from './trace.ts'

export interface SimNetworkOptions {
  /** Decides everything that chance decides. */
  readonly seed: number
  readonly clock: VirtualClock
  /** Faults of every direction from the start; see `setFaults`. */
  readonly faults?: Partial<LinkFaults>
  /** Largest packet that is carried, bytes; default 65 507, what UDP over IPv4 takes. */
  readonly packetBytesMax?: number
  /** Deliveries a paused member keeps for later; default 1024. More are dropped and counted. */
  readonly heldInboundMax?: number
  /** What addresses do to which nobody ever attached; default `refuse`. */
  readonly unknownAddresses?: 'refuse' | 'swallow'
}

export interface CrashOptions {
  /**
   * `refuse` (default): only the process died, its machine answers that nobody listens and open
   * connections break. `swallow`: the machine is gone too, and nobody ever hears of it.
   */
  readonly afterwards?: 'refuse' | 'swallow'
}

/** One attached process, for cores that do no I/O. Of no effect after its crash or `detach`. */
export interface SimHost {
  readonly address: Address
  /** Use this for all timers: they wait while the process is paused and end with it. */
  readonly clock: Clock
  /** Packets: copied, maybe lost, late, twice or damaged. */
  send(to: Address, bytes: Uint8Array): void
  /** A whole message over a stream of its own; `done` runs once, unless cancelled. */
  request(
    to: Address,
    bytes: Uint8Array,
    options: RequestOptions,
    done: (outcome: RequestOutcome) => void,
  ): CancelTimer
  /** Leaves without a trace of failure: connections break, the address refuses. */
  detach(): void
}

export class SimNetwork {
  readonly clock: VirtualClock
  readonly stats: NetworkStats = createStats()
  readonly #links: Links
  readonly #trace = new Trace()
  readonly #copies = new Copies()
  readonly #endpoints = new Map<string, Map<number, Endpoint>>()
  readonly #packetBytesMax: number
  readonly #heldInboundMax: number
  readonly #unknown: 'refuse' | 'swallow'
  #nextId = 1
  #nextPort = 20_000

  constructor(options: SimNetworkOptions) {
    const { seed, packetBytesMax = 65_507, heldInboundMax = 1024 } = options
    checkLimits({ seed, packetBytesMax, heldInboundMax })
    this.clock = options.clock
    this.#packetBytesMax = packetBytesMax
    this.#heldInboundMax = heldInboundMax
    this.#unknown = options.unknownAddresses ?? 'refuse'
    const random = createSimRandom(seed, 'network')
    this.#links = new Links(options.clock, random, this.stats, this.#trace)
    this.#links.setEverywhere(options.faults ?? {})
  }

  /** Largest packet that is carried, bytes. */
  get packetBytesMax(): number {
    return this.#packetBytesMax
  }

  /** Puts a core at an address. Throws where somebody is attached already. */
  attach(address: Address, handlers: HostHandlers): SimHost {
    const endpoint = this.#endpoint(address)
    if (endpoint.attached) {
      throw new SimError('ERR_SIM_ADDRESS_IN_USE', `${formatAddress(address)} is attached already`)
    }
    this.#wake(endpoint)
    endpoint.packets = handlers
    endpoint.requests = handlers
    const { life } = endpoint
    const alive = (): boolean => endpoint.life === life
    return {
      address: endpoint.address,
      clock: endpoint.clock(),
      send: (to, bytes) => {
        if (alive()) this.#send(endpoint, to, bytes)
      },
      request: (to, bytes, options, done) =>
        alive()
          ? sendRequest(this.#links, endpoint, this.#endpoint(to), bytes, options, done)
          : () => {},
      detach: () => {
        if (alive()) endpoint.end(true)
      },
    }
  }

  /** A transport at this address; port 0 takes a free one. Several live in one network. */
  packetTransport(address: Address = { host: '10.0.0.1', port: 0 }): PacketTransportFactory {
    return memoryPackets(address, {
      clock: this.clock,
      packetBytesMax: this.#packetBytesMax,
      bind: (wanted) => this.#bind(wanted, (endpoint) => endpoint.packets !== undefined),
      send: (from, to, bytes) => this.#send(from, to, bytes),
    })
  }

  streamTransport(address: Address = { host: '10.0.0.1', port: 0 }): StreamTransportFactory {
    return memoryStreams(address, {
      links: this.#links,
      bind: (wanted) => this.#bind(wanted, (endpoint) => endpoint.accept !== undefined),
      endpoint: (to) => this.#endpoint(to),
    })
  }

  /**
   * The clock for everything that runs at this address now: give it to a runtime as its `clock`.
   */
  clockAt(address: Address): Clock {
    return this.#endpoint(address).clock()
  }

  /** Changes the faults of every direction that has none of its own; the rest stays as it was. */
  setFaults(changes: Partial<LinkFaults>): void {
    this.#links.setEverywhere(changes)
  }

  /** Changes one direction; undefined gives it the common faults again. */
  setLink(from: Address, to: Address, changes: Partial<LinkFaults> | undefined): void {
    this.#links.setOne(this.#endpoint(from), this.#endpoint(to), changes)
  }

  /** Stops everything from `from` to `to`, one way, until the returned function is called. */
  block(
    from: readonly Address[],
    to: readonly Address[],
    scope: PartitionScope = 'all',
  ): Unsubscribe {
    const places = (list: readonly Address[]): Endpoint[] => list.map((at) => this.#endpoint(at))
    return this.#links.block(places(from), places(to), scope)
  }

  /** Cuts every group off every other, both ways. Returns what heals it. */
  partition(groups: readonly (readonly Address[])[], scope: PartitionScope = 'all'): Unsubscribe {
    const heals = groups.flatMap((group, index) =>
      groups.filter((_, other) => other !== index).map((rest) => this.block(group, rest, scope)),
    )
    return () => {
      for (const heal of heals) heal()
    }
  }

  /** No partition and no fault of a single direction is left; the common faults stay. */
  healAll(): void {
    this.#links.healAll()
    this.#links.clearOwn()
  }

  /** Holds back everything that would run in the process at this address, as SIGSTOP does. */
  pause(address: Address): void {
    this.#endpoint(address).pause()
  }

  resume(address: Address): void {
    this.#endpoint(address).resume()
  }

  /** Ends the process at this address without a word. Attach again to restart it. */
  crash(address: Address, options: CrashOptions = {}): void {
    const endpoint = this.#endpoint(address)
    if (!endpoint.attached) return
    this.stats.crashes += 1
    this.#trace.add(this.clock.now(), 'crash', endpoint, endpoint)
    endpoint.whenDown = options.afterwards ?? 'refuse'
    endpoint.crashed = true
    endpoint.end(endpoint.whenDown === 'refuse')
  }

  /** 16 hex digits over all that happened: equal for equal seeds and equal behaviour. */
  traceDigest(): string {
    return this.#trace.digest()
  }

  /** Hears every event on the network; costs nothing while nobody listens. */
  tap(listener: (event: NetworkEvent) => void): Unsubscribe {
    return this.#trace.tap(listener)
  }

  #endpoint(address: Address): Endpoint {
    const ports = this.#endpoints.get(address.host) ?? new Map<number, Endpoint>()
    if (ports.size === 0) this.#endpoints.set(address.host, ports)
    let endpoint = ports.get(address.port)
    if (endpoint === undefined) {
      endpoint = new Endpoint(this.#nextId, address, this.#links, this.#heldInboundMax)
      endpoint.whenDown = this.#unknown
      this.#nextId += 1
      ports.set(address.port, endpoint)
    }
    return endpoint
  }

  /** The endpoint for a transport; packets and streams of one member share it. */
  #bind(wanted: Address, taken: (endpoint: Endpoint) => boolean): Endpoint {
    let address = wanted
    while (address.port === 0 || (wanted.port === 0 && this.#endpoint(address).attached)) {
      address = { host: wanted.host, port: this.#nextPort }
      this.#nextPort += 1
    }
    const endpoint = this.#endpoint(address)
    if (taken(endpoint)) throw transportError('address', address)
    if (!endpoint.attached) this.#wake(endpoint)
    return endpoint
  }

  #wake(endpoint: Endpoint): void {
    if (endpoint.crashed) this.stats.restarts += 1
    endpoint.crashed = false
    endpoint.whenDown = 'refuse'
    this.#trace.add(this.clock.now(), 'attach', endpoint, endpoint)
  }

  #send(from: Endpoint, toAddress: Address, bytes: Uint8Array): void {
    const { stats, clock } = this
    const links = this.#links
    const to = this.#endpoint(toAddress)
    stats.packetsSent += 1
    stats.bytesSent += bytes.length
    if (bytes.length > this.#packetBytesMax) {
      stats.oversize += 1
      this.#trace.add(clock.now(), 'oversize', from, to)
      this.#report(from, to, 'tooLarge', 0)
      return
    }
    if (links.packetsBlocked(from, to)) {
      stats.partitioned += 1
      this.#trace.add(clock.now(), 'partition', from, to)
      return
    }
    const link = links.faults(from, to)
    if (links.random.chance(link.loss)) {
      stats.lost += 1
      this.#trace.add(clock.now(), 'lose', from, to)
      return
    }
    this.#fly(from, to, link, bytes)
    if (links.random.chance(link.duplicate)) {
      stats.duplicated += 1
      this.#fly(from, to, link, bytes)
    }
  }

  #fly(from: Endpoint, to: Endpoint, link: LinkFaults, bytes: Uint8Array): void {
    const { random } = this.#links
    const copy = this.#copies.of(bytes)
    let delay = this.#links.delay(link)
    if (random.chance(link.reorder)) {
      this.stats.reordered += 1
      delay += random.float() * link.reorderMs
    }
    if (copy.length > 0 && random.chance(link.corrupt)) {
      this.stats.corrupted += 1
      const at = random.below(copy.length)
      copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8))
    }
    this.clock.post(this.clock.now() + delay, () => this.#arrive(from, to, copy))
  }

  #arrive(from: Endpoint, to: Endpoint, bytes: Uint8Array): void {
    const now = this.clock.now()
    if (this.#links.packetsBlocked(from, to)) {
      this.stats.partitioned += 1
      this.#trace.add(now, 'partition', from, to)
      return
    }
    if (to.packets === undefined) {
      this.#bounce(from, to)
      return
    }
    const taken = to.deliver(to.life, () => {
      this.stats.packetsDelivered += 1
      this.#trace.add(this.clock.now(), 'deliver', from, to, bytes)
      to.packets?.packet?.(from.address, bytes)
    })
    if (!taken) this.#trace.add(now, 'overflow', from, to)
  }

  #bounce(from: Endpoint, to: Endpoint): void {
    if (to.whenDown === 'swallow') {
      this.stats.blackholed += 1
      this.#trace.add(this.clock.now(), 'swallow', from, to)
      return
    }
    this.stats.refused += 1
    this.#trace.add(this.clock.now(), 'refuse', from, to)
    if (this.#links.packetsBlocked(to, from)) return
    this.#report(from, to, 'refused', this.#links.faults(to, from).latencyMs)
  }

  /** Later even after 0 ms, because whoever sends is in the middle of something. */
  #report(from: Endpoint, to: Endpoint, reason: TransportFailure, delayMs: number): void {
    const { life } = from
    this.clock.post(this.clock.now() + delayMs, () => {
      from.deliver(life, () => {
        from.packets?.sendFailed?.(to.address, transportError(reason, to.address))
      })
    })
  }
}

function checkLimits(limits: Readonly<Record<string, number>>): void {
  const problems = Object.entries(limits)
    .filter(([, value]) => !Number.isSafeInteger(value) || value < 0)
    .map(([field, value]) => ({ field, got: String(value), want: 'an integer of at least 0' }))
  if (problems.length > 0) {
    throw new SimError('ERR_SIM_OPTIONS', describeProblems(problems), { details: problems })
  }
}
