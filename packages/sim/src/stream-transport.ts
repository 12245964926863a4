/** A `StreamTransport` over the simulated network: segments, back-pressure, resets, black holes. */
import type {
  Address,
  ByteStream,
  ConnectOptions,
  PluginContext,
  StreamHandlers,
  StreamTransport,
  StreamTransportFactory,
  TransportFailure,
  TransportStart,
} from '@kith/interface'
import type { Endpoint } from './endpoint.ts'
import { transportError } from './errors.ts'
import type { Links } from './links.ts'
import { isLiteral } from './packet-transport.ts'
import { dial } from './requests.ts'
import { openPair } from './stream.ts'
import type { SimStream } from './stream.ts'

export interface StreamNetwork {
  readonly links: Links
  /** Takes the stream side of an address; throws where it is taken. */
  bind(address: Address): Endpoint
  endpoint(address: Address): Endpoint
}

export function memoryStreams(address: Address, network: StreamNetwork): StreamTransportFactory {
  return (context) => new MemoryStreams(address, network, context)
}

class MemoryStreams implements StreamTransport {
  readonly #address: Address
  readonly #network: StreamNetwork
  readonly #context: PluginContext
  readonly #streams = new Set<SimStream>()
  readonly #attempts = new Set<(reason: TransportFailure) => void>()
  #endpoint: Endpoint | undefined
  #life = 0
  #state: 'new' | 'started' | 'stopped' = 'new'

  constructor(address: Address, network: StreamNetwork, context: PluginContext) {
    this.#address = address
    this.#network = network
    this.#context = context
  }

  async start(handlers: StreamHandlers, options: TransportStart = {}): Promise<Address> {
    if (this.#state !== 'new') throw transportError('misuse', this.#address)
    this.#state = 'started'
    options.signal?.throwIfAborted()
    const port = this.#address.port === 0 ? (options.port ?? 0) : this.#address.port
    const endpoint = this.#network.bind({ host: this.#address.host, port })
    this.#endpoint = endpoint
    this.#life = endpoint.life
    endpoint.accept = (offer) => this.#accept(handlers, offer as SimStream)
    return endpoint.address
  }

  async connect(to: Address, options: ConnectOptions = {}): Promise<ByteStream> {
    const endpoint = this.#endpoint
    if (this.#state !== 'started' || endpoint === undefined) throw transportError('stopped', to)
    if (!isLiteral(to)) throw transportError('address', to)
    const { signal, timeoutMs = 10_000 } = options
    if (signal?.aborted === true) throw transportError('aborted', to, signal.reason)
    const { links } = this.#network
    const target = this.#network.endpoint(to)
    const life = this.#life
    let open = true
    return await new Promise<ByteStream>((resolve, reject) => {
      const finish = (settle: () => void): void => {
        endpoint.deliver(life, () => {
          if (!open) return
          open = false
          stopTimer()
          signal?.removeEventListener('abort', onAbort)
          this.#attempts.delete(fail)
          settle()
        })
      }
      const fail = (reason: TransportFailure): void =>
        finish(() => reject(transportError(reason, to, signal?.reason)))
      const onAbort = (): void => fail('aborted')
      const stopTimer = endpoint.after(life, timeoutMs, () => {
        links.stats.requestsTimedOut += 1
        fail('timeout')
      })
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#attempts.add(fail)
      const listens = (): boolean => target.accept !== undefined
      const wanted = (): boolean => open && endpoint.life === life
      dial(links, endpoint, target, listens, wanted, (callee) => {
        if (callee === undefined) fail('refused')
        else finish(() => resolve(this.#open(endpoint, target, callee)))
      })
    })
  }

  async stop(): Promise<void> {
    const endpoint = this.#endpoint
    const alive = endpoint !== undefined && endpoint.life === this.#life
    if (this.#state === 'started' && alive) endpoint.accept = undefined
    this.#state = 'stopped'
    for (const fail of this.#attempts) fail('stopped')
    for (const stream of this.#streams) stream.destroy()
    this.#streams.clear()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  #open(endpoint: Endpoint, target: Endpoint, callee: number): ByteStream {
    const { links } = this.#network
    links.stats.streamsOpened += 1
    const [near, far] = openPair(links, endpoint, target, this.#life, callee)
    this.#keep(near)
    // Lives apart: whoever died in between finds the stream cut.
    links.carry(
      endpoint,
      target,
      () => !near.closed,
      () => {
        if (target.life !== callee || target.accept === undefined) far.destroy()
        else target.deliver(callee, () => target.accept?.(far))
      },
    )
    return near
  }

  #accept(handlers: StreamHandlers, stream: SimStream): void {
    this.#keep(stream)
    try {
      handlers.stream(stream)
    } catch (cause) {
      this.#context.logger.error({ cause }, 'a stream handler threw')
      stream.destroy()
    }
  }

  #keep(stream: SimStream): void {
    this.#streams.add(stream)
    stream.onClosed(() => this.#streams.delete(stream))
  }
}
