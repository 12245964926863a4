/** A packet transport inside one process, whole or broken in one named way. */
import type {
  Address,
  Logger,
  PacketHandlers,
  PacketTransport,
  TransportFailure,
} from '@kith/interface'
import { KithError, silentLogger } from '@kith/interface'
import { systemClock } from '@kith/interface/node'
import type { PacketTransportSubject } from '../src/index.ts'

export type PacketFault =
  | 'port 0 is announced'
  | 'port of start is ignored'
  | 'starts twice'
  | 'ignores the signal'
  | 'shares addresses'
  | 'wrong sender'
  | 'cuts large packets'
  | 'sends above the limit'
  | 'reuses one buffer'
  | 'hands over the bytes of the sender'
  | 'lets a handler throw'
  | 'throws for a bad address'
  | 'throws after stop'
  | 'silent about refusals'
  | 'never stops'
  | 'delivers after stop'
  | 'comes up although stopped'
  | 'keeps its address'

class Bus {
  readonly members = new Map<number, TinyPackets>()
  nextPort = 1_000
}

const failure = (reason: TransportFailure, address?: Address): KithError =>
  new KithError('ERR_TINY', reason, { details: { reason, address } })

class TinyPackets implements PacketTransport {
  readonly packetBytesMax = 2_000
  readonly #shared = new Uint8Array(2_000)
  readonly #bus: Bus
  readonly #port: number
  readonly #fault: PacketFault | undefined
  readonly #logger: Logger
  #handlers: PacketHandlers | undefined
  #address: Address | undefined
  #stopped = false

  constructor(bus: Bus, port: number, fault: PacketFault | undefined, logger: Logger) {
    this.#bus = bus
    this.#port = port
    this.#fault = fault
    this.#logger = logger
  }

  #is(fault: PacketFault): boolean {
    return this.#fault === fault
  }

  async start(handlers: PacketHandlers, options: { port?: number; signal?: AbortSignal } = {}) {
    const used = this.#handlers !== undefined || this.#stopped
    if (used && !this.#is('starts twice')) throw failure('misuse')
    this.#handlers = handlers
    if (!this.#is('ignores the signal')) options.signal?.throwIfAborted()
    const given = this.#is('port of start is ignored') ? 0 : (options.port ?? 0)
    const port = this.#port || given || this.#bus.nextPort++
    await Promise.resolve()
    if (this.#stopped && !this.#is('comes up although stopped')) throw failure('stopped')
    const taken = this.#bus.members.has(port) && !this.#is('shares addresses')
    if (taken) throw failure('address')
    this.#bus.members.set(port, this)
    this.#address = { host: '127.0.0.1', port }
    return this.#is('port 0 is announced') ? { ...this.#address, port: 0 } : this.#address
  }

  send(to: Address, bytes: Uint8Array): void {
    if (this.#stopped && this.#is('throws after stop')) throw failure('stopped', to)
    if (this.#address === undefined || this.#stopped) return this.#failed(to, 'stopped')
    const good = to.host === '127.0.0.1' && Number.isInteger(to.port) && to.port > 0
    if (!good || to.port > 65_535) {
      if (this.#is('throws for a bad address')) throw failure('address', to)
      return this.#failed(to, 'address')
    }
    if (bytes.length > this.packetBytesMax && !this.#is('sends above the limit')) {
      return this.#failed(to, 'tooLarge')
    }
    const cut = this.#is('cuts large packets') ? bytes.slice(0, 1_000) : bytes.slice()
    const packet = this.#is('hands over the bytes of the sender') ? bytes : cut
    const port = this.#is('wrong sender') ? 1 : this.#address.port
    queueMicrotask(() => {
      const target = this.#bus.members.get(to.port)
      if (target !== undefined) target.#receive({ host: '127.0.0.1', port }, packet)
      else if (!this.#is('silent about refusals')) this.#failed(to, 'refused')
    })
  }

  async stop(): Promise<void> {
    this.#stopped = true
    if (this.#is('never stops')) await new Promise(() => {})
    const stays = this.#is('keeps its address') || this.#is('delivers after stop')
    if (this.#address !== undefined && !stays) this.#bus.members.delete(this.#address.port)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  #receive(from: Address, bytes: Uint8Array): void {
    if (this.#stopped && !this.#is('delivers after stop')) return
    let handed = bytes
    if (this.#is('reuses one buffer')) {
      this.#shared.set(bytes)
      handed = this.#shared.subarray(0, bytes.length)
    }
    try {
      this.#handlers?.packet(from, handed)
    } catch (cause) {
      // "Throws" as an event loop would: nothing is logged and the transport is gone.
      if (this.#is('lets a handler throw')) void this.stop()
      else this.#logger.error({ cause }, 'a packet handler threw')
    }
  }

  #failed(to: Address, reason: TransportFailure): void {
    queueMicrotask(() => this.#handlers?.sendFailed?.(to, failure(reason, to)))
  }
}

export function openTinyPackets(fault?: PacketFault): PacketTransportSubject {
  const bus = new Bus()
  let errors = 0
  const logger = { ...silentLogger, error: () => void (errors += 1) }
  return {
    clock: systemClock,
    open: (port = 0) => new TinyPackets(bus, port, fault, logger),
    errorsLogged: () => errors,
  }
}
