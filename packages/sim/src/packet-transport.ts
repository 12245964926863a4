/** A `PacketTransport` over the simulated network. */
import type {
  Address,
  PacketHandlers,
  PacketTransport,
  PacketTransportFactory,
  PluginContext,
  TransportFailure,
  TransportStart,
} from '@kith/interface'
import type { VirtualClock } from './clock.ts'
import type { Endpoint } from './endpoint.ts'
import { transportError } from './errors.ts'

/** What a memory transport needs of its network. */
export interface PacketNetwork {
  readonly clock: VirtualClock
  readonly packetBytesMax: number
  /** Takes the packet side of an address; throws where it is taken. */
  bind(address: Address): Endpoint
  send(from: Endpoint, to: Address, bytes: Uint8Array): void
}

export function memoryPackets(address: Address, network: PacketNetwork): PacketTransportFactory {
  return (context) => new MemoryPackets(address, network, context)
}

class MemoryPackets implements PacketTransport {
  readonly packetBytesMax: number
  readonly #address: Address
  readonly #network: PacketNetwork
  readonly #context: PluginContext
  #handlers: PacketHandlers | undefined
  #endpoint: Endpoint | undefined
  #life = 0
  #state: 'new' | 'started' | 'stopped' = 'new'

  constructor(address: Address, network: PacketNetwork, context: PluginContext) {
    this.#address = address
    this.#network = network
    this.#context = context
    this.packetBytesMax = network.packetBytesMax
  }

  async start(handlers: PacketHandlers, options: TransportStart = {}): Promise<Address> {
    if (this.#state !== 'new') throw transportError('misuse', this.#address)
    this.#state = 'started'
    options.signal?.throwIfAborted()
    const port = this.#address.port === 0 ? (options.port ?? 0) : this.#address.port
    const endpoint = this.#network.bind({ host: this.#address.host, port })
    this.#handlers = handlers
    this.#endpoint = endpoint
    this.#life = endpoint.life
    endpoint.packets = {
      packet: (from, bytes) => this.#guard(() => handlers.packet(from, bytes)),
      sendFailed: (to, cause) => this.#guard(() => handlers.sendFailed?.(to, cause)),
    }
    return endpoint.address
  }

  send(to: Address, bytes: Uint8Array): void {
    const endpoint = this.#endpoint
    // A crashed process does nothing any more, not even fail.
    if (endpoint !== undefined && endpoint.life !== this.#life) return
    if (endpoint === undefined || this.#state === 'stopped') {
      this.#failed(to, 'stopped')
      return
    }
    if (!isLiteral(to)) {
      this.#failed(to, 'address')
      return
    }
    this.#network.send(endpoint, to, bytes)
  }

  async stop(): Promise<void> {
    if (this.#state === 'started' && this.#endpoint?.life === this.#life) {
      this.#endpoint.packets = undefined
    }
    this.#state = 'stopped'
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  #failed(to: Address, reason: TransportFailure): void {
    const { clock } = this.#network
    clock.post(clock.now(), () => {
      this.#guard(() => this.#handlers?.sendFailed?.(to, transportError(reason, to)))
    })
  }

  #guard(handler: () => void): void {
    try {
      handler()
    } catch (cause) {
      this.#context.logger.error({ cause }, 'a packet handler threw')
    }
  }
}

/** The rule of real packet transports, so that code tested here does not lean on names. */
export function isLiteral(address: Address): boolean {
  const host = /^(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)$/.test(address.host)
  return host && Number.isInteger(address.port) && address.port > 0 && address.port < 65_536
}
