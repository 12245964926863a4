/** A stream transport inside one process, whole or broken in one named way. */
import type {
  Address,
  ByteStream,
  ConnectOptions,
  Logger,
  StreamHandlers,
  StreamTransport,
  TransportFailure,
} from '@kith/interface'
import { KithError, silentLogger } from '@kith/interface'
import { systemClock } from '@kith/interface/node'
import type { StreamTransportSubject } from '../src/index.ts'

export type StreamFault =
  | 'port of start is ignored'
  | 'starts twice'
  | 'ignores the signal'
  | 'mixes bytes up'
  | 'wrong remote'
  | 'forgets the end'
  | 'keeps the bytes of the writer'
  | 'no back-pressure'
  | 'two readers'
  | 'all streams are one'
  | 'lets a handler throw'
  | 'connects to nobody'
  | 'cannot be aborted'
  | 'waits for the silent'
  | 'connects before start'
  | 'destroy throws'
  | 'destroy is not told'
  | 'writes to nobody'
  | 'writes after the end'
  | 'never stops'
  | 'stop leaves streams open'
  | 'stop leaves connects hanging'
  | 'accepts after stop'
  | 'keeps its address'

const failure = (reason: TransportFailure, address?: Address): KithError =>
  new KithError('ERR_TINY', reason, { details: { reason, address } })

const silentPort = 9

interface Waiter {
  resolve(bytes: Uint8Array | undefined): void
  reject(cause: Error): void
}

class TinyStream implements ByteStream {
  readonly remote: Address
  readonly #fault: StreamFault | undefined
  #other: TinyStream | undefined
  #inbox: (Uint8Array | undefined)[] = []
  #unread = 0
  #reader: Waiter | undefined
  #writers: Waiter[] = []
  #ended = false
  #endSeen = false
  broken: Error | undefined

  constructor(remote: Address, fault: StreamFault | undefined) {
    this.remote = remote
    this.#fault = fault
  }

  static pair(a: Address, b: Address, fault: StreamFault | undefined): [TinyStream, TinyStream] {
    const [near, far] = [new TinyStream(b, fault), new TinyStream(a, fault)]
    near.#other = far
    far.#other = near
    return [near, far]
  }

  #far(): TinyStream {
    if (this.#other === undefined) throw new Error('a stream of one')
    return this.#other
  }

  async read(): Promise<Uint8Array | undefined> {
    if (this.#reader && this.#fault !== 'two readers') throw failure('misuse')
    if (this.#inbox.length > 0) return this.#take()
    if (this.#endSeen) return undefined
    if (this.broken) throw this.broken
    return await new Promise((resolve, reject) => void (this.#reader = { resolve, reject }))
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.broken && this.#fault !== 'writes to nobody') throw this.broken
    if (this.#ended && this.#fault !== 'writes after the end') throw failure('misuse')
    if (bytes.length === 0) return
    const kept = this.#fault === 'keeps the bytes of the writer' ? bytes : bytes.slice()
    if (this.#fault === 'mixes bytes up' && kept.length > 1_000) kept.reverse()
    const other = this.#far()
    other.#put(kept)
    if (other.#unread < 65_536 || this.#fault === 'no back-pressure') return
    await new Promise<unknown>((resolve, reject) => void this.#writers.push({ resolve, reject }))
  }

  async end(): Promise<void> {
    if (this.#ended || this.broken) return
    this.#ended = true
    if (this.#fault !== 'forgets the end') this.#far().#put(undefined)
  }

  destroy(): void {
    if (this.broken && this.#fault === 'destroy throws') throw failure('reset')
    this.#break()
    if (!this.#ended && this.#fault !== 'destroy is not told') this.#far().#break()
  }

  #break(): void {
    if (this.broken) return
    this.broken = failure('reset')
    for (const waiter of [this.#reader, ...this.#writers]) waiter?.reject(this.broken)
    this.#reader = undefined
    this.#writers = []
  }

  #put(bytes: Uint8Array | undefined): void {
    this.#inbox.push(bytes)
    this.#unread += bytes?.length ?? 0
    const reader = this.#reader
    this.#reader = undefined
    // Later, as from a wire: what a writer changes after `write` must not show here.
    if (reader) setImmediate(() => reader.resolve(this.#take()))
  }

  #take(): Uint8Array | undefined {
    const bytes = this.#inbox.shift()
    this.#unread -= bytes?.length ?? 0
    if (bytes === undefined) this.#endSeen = true
    const other = this.#other
    if (other && this.#unread < 65_536) {
      for (const writer of other.#writers.splice(0)) writer.resolve(undefined)
    }
    return bytes
  }
}

class Bus {
  readonly members = new Map<number, TinyStreams>()
  nextPort = 1_000
}

class TinyStreams implements StreamTransport {
  readonly #bus: Bus
  readonly #port: number
  readonly #fault: StreamFault | undefined
  readonly #logger: Logger
  readonly #streams: TinyStream[] = []
  #handlers: StreamHandlers | undefined
  #address: Address | undefined
  #stopped = false

  constructor(bus: Bus, port: number, fault: StreamFault | undefined, logger: Logger) {
    this.#bus = bus
    this.#port = port
    this.#fault = fault
    this.#logger = logger
  }

  async start(handlers: StreamHandlers, options: { port?: number; signal?: AbortSignal } = {}) {
    const used = this.#handlers !== undefined || this.#stopped
    if (used && this.#fault !== 'starts twice') throw failure('misuse')
    this.#handlers = handlers
    if (this.#fault !== 'ignores the signal') options.signal?.throwIfAborted()
    const asked = this.#fault === 'port of start is ignored' ? 0 : (options.port ?? 0)
    const port = this.#port || asked || this.#bus.nextPort++
    if (this.#bus.members.has(port)) throw failure('address')
    this.#bus.members.set(port, this)
    this.#address = { host: '127.0.0.1', port }
    return this.#address
  }

  async connect(to: Address, options: ConnectOptions = {}): Promise<ByteStream> {
    const ready = this.#address !== undefined || this.#fault === 'connects before start'
    if (!ready || this.#stopped) throw failure('stopped', to)
    if (!Number.isInteger(to.port) || to.port < 1 || to.port > 65_535) throw failure('address', to)
    const check = (): void => {
      if (this.#fault === 'cannot be aborted') return
      if (options.signal?.aborted) throw failure('aborted', to)
    }
    check()
    await Promise.resolve()
    check()
    const silent = to.port === silentPort
    if (silent) await new Promise((resolve) => setTimeout(resolve, options.timeoutMs))
    if (silent && this.#fault === 'waits for the silent') await new Promise(() => {})
    if (silent) throw failure('timeout', to)
    const target = this.#bus.members.get(to.port)
    if (this.#stopped && this.#fault === 'stop leaves connects hanging') await new Promise(() => {})
    if (this.#stopped) throw failure('stopped', to)
    const here = this.#address ?? { host: '127.0.0.1', port: 1 }
    const remote = this.#fault === 'wrong remote' ? here : to
    const first = this.#streams[0]
    if (this.#fault === 'all streams are one' && first) return first
    const [near, far] = TinyStream.pair(here, remote, this.#fault)
    if (target === undefined && this.#fault !== 'connects to nobody') throw failure('refused', to)
    this.#streams.push(near)
    if (target !== undefined) target.#accept(far)
    return near
  }

  async stop(): Promise<void> {
    this.#stopped = true
    if (this.#fault === 'never stops') await new Promise(() => {})
    const kept = this.#fault === 'keeps its address' || this.#fault === 'accepts after stop'
    const free = this.#address !== undefined && !kept
    if (free) this.#bus.members.delete(this.#address?.port ?? 0)
    if (this.#fault !== 'stop leaves streams open') for (const one of this.#streams) one.destroy()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  #accept(stream: TinyStream): void {
    this.#streams.push(stream)
    try {
      this.#handlers?.stream(stream)
    } catch (cause) {
      if (this.#fault === 'lets a handler throw') return
      this.#logger.error({ cause }, 'a stream handler threw')
      stream.destroy()
    }
  }
}

export function openTinyStreams(fault?: StreamFault): StreamTransportSubject {
  const bus = new Bus()
  let errors = 0
  const logger = { ...silentLogger, error: () => void (errors += 1) }
  return {
    clock: systemClock,
    open: (port = 0) => new TinyStreams(bus, port, fault, logger),
    errorsLogged: () => errors,
    silentAddress: () => ({ host: '127.0.0.1', port: silentPort }),
  }
}
