/** Two joined byte streams. What one writes the other reads, in segments the seed cuts. */
import type { Address, ByteStream } from '@kith/interface'
import type { Connection, Endpoint } from './endpoint.ts'
import { transportError } from './errors.ts'
import type { Links } from './links.ts'

/** Bytes written and not yet read, above which a writer waits. */
const windowBytes = 64 * 1024
const segmentBytesMax = 16 * 1024

interface Segment {
  /** Undefined is the end. */
  readonly bytes: Uint8Array | undefined
  arrived: boolean
}

interface Waiter {
  resolve(bytes: Uint8Array | undefined): void
  reject(cause: Error): void
}

/** Both ends of a fresh connection: the caller's, the callee's. */
export function openPair(
  links: Links,
  caller: Endpoint,
  callee: Endpoint,
  callerLife: number,
  calleeLife: number,
): [SimStream, SimStream] {
  const near = new SimStream(links, caller, callee, callerLife)
  const far = new SimStream(links, callee, caller, calleeLife)
  near.join(far)
  far.join(near)
  return [near, far]
}

export class SimStream implements ByteStream, Connection {
  readonly remote: Address
  readonly #links: Links
  readonly #here: Endpoint
  readonly #there: Endpoint
  readonly #life: number
  readonly #closedListeners: (() => void)[] = []
  #other: SimStream | undefined
  /** On the way to the other side, oldest first. */
  #outbound: Segment[] = []
  /** Arrived here, in order, not yet read. */
  #inbound: (Uint8Array | undefined)[] = []
  #unreadBytes = 0
  #reader: Waiter | undefined
  #writers: Waiter[] = []
  #endSent = false
  #endRead = false
  #broken: Error | undefined
  /** What is on the way may still arrive. */
  #flowing = true

  constructor(links: Links, here: Endpoint, there: Endpoint, life: number) {
    this.#links = links
    this.#here = here
    this.#there = there
    this.#life = life
    this.remote = there.address
    here.connections.add(this)
  }

  join(other: SimStream): void {
    this.#other = other
  }

  get closed(): boolean {
    return this.#broken !== undefined
  }

  onClosed(listener: () => void): void {
    this.#closedListeners.push(listener)
  }

  async read(): Promise<Uint8Array | undefined> {
    if (this.#reader !== undefined) throw transportError('misuse', this.remote)
    if (this.#inbound.length > 0) return this.#take()
    if (this.#endRead) return undefined
    if (this.#broken !== undefined) throw this.#broken
    return await new Promise((resolve, reject) => {
      this.#reader = { resolve, reject }
    })
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#broken !== undefined) throw this.#broken
    if (this.#endSent) throw transportError('misuse', this.remote)
    for (let start = 0; start < bytes.length;) {
      const { random } = this.#links
      const length = random.chance(0.5) ? segmentBytesMax : 1 + random.below(segmentBytesMax)
      const piece = bytes.slice(start, start + length)
      start += piece.length
      this.#send(piece)
    }
    if (!this.#full()) return
    await new Promise<unknown>((resolve, reject) => this.#writers.push({ resolve, reject }))
  }

  async end(): Promise<void> {
    if (this.#endSent || this.#broken !== undefined) return
    this.#endSent = true
    this.#send(undefined)
  }

  destroy(cause?: Error): void {
    if (this.#broken !== undefined) return
    // After `end` everything written still arrives, as a system sends on for a closed socket.
    this.#flowing = this.#endSent
    this.#break(transportError('reset', this.remote, cause))
    const other = this.#other
    if (this.#flowing || other === undefined || other.#broken !== undefined) return
    this.#links.carry(
      this.#here,
      this.#there,
      () => !other.closed,
      () => {
        this.#there.deliver(other.#life, () => other.#break(transportError('reset', other.remote)))
      },
    )
  }

  /** The process here died: the other side learns of it from its system. */
  cut(): void {
    this.#links.stats.reset += 1
    this.destroy()
  }

  #break(cause: Error): void {
    if (this.#broken !== undefined) return
    this.#broken = cause
    if (!this.#flowing) this.#outbound = []
    this.#inbound = []
    this.#here.connections.delete(this)
    const waiting = [...(this.#reader === undefined ? [] : [this.#reader]), ...this.#writers]
    this.#reader = undefined
    this.#writers = []
    // A dead process must not go on, so nobody of an older life is woken.
    if (this.#here.life === this.#life) for (const waiter of waiting) waiter.reject(cause)
    for (const listener of this.#closedListeners) listener()
  }

  #send(bytes: Uint8Array | undefined): void {
    const segment: Segment = { bytes, arrived: false }
    this.#outbound.push(segment)
    this.#links.stats.bytesSent += bytes?.length ?? 0
    const wanted = (): boolean => this.#flowing
    this.#links.carry(this.#here, this.#there, wanted, () => {
      segment.arrived = true
      this.#deliverArrived()
    })
  }

  /** Segments overtake each other on the way, never in what is read. */
  #deliverArrived(): void {
    const other = this.#other
    if (other === undefined) return
    if (other.#broken !== undefined) {
      this.#refuse()
      return
    }
    for (let head = this.#outbound[0]; head?.arrived === true; head = this.#outbound[0]) {
      this.#outbound.shift()
      other.#inbound.push(head.bytes)
      other.#unreadBytes += head.bytes?.length ?? 0
    }
    this.#there.deliver(other.#life, () => other.#wakeReader())
    this.#wakeWriters()
  }

  /** Bytes for a stream that is gone: the system there answers with a reset. */
  #refuse(): void {
    this.#flowing = false
    this.#links.carry(
      this.#there,
      this.#here,
      () => !this.closed,
      () => {
        this.#here.deliver(this.#life, () => this.#break(transportError('reset', this.remote)))
      },
    )
  }

  #wakeReader(): void {
    const reader = this.#reader
    if (reader === undefined || this.#inbound.length === 0) return
    this.#reader = undefined
    reader.resolve(this.#take())
  }

  #take(): Uint8Array | undefined {
    const bytes = this.#inbound.shift()
    this.#unreadBytes -= bytes?.length ?? 0
    if (bytes === undefined) {
      this.#endRead = true
      if (this.#endSent && this.#outbound.length === 0) this.#finish()
    }
    const other = this.#other
    if (other !== undefined) other.#wakeWriters()
    return bytes
  }

  /** Both directions ended well: nothing is left to break. */
  #finish(): void {
    this.#here.connections.delete(this)
    for (const listener of this.#closedListeners) listener()
  }

  #full(): boolean {
    const other = this.#other
    let bytes = other === undefined ? 0 : other.#unreadBytes
    for (const segment of this.#outbound) bytes += segment.bytes?.length ?? 0
    return bytes > windowBytes
  }

  #wakeWriters(): void {
    if (this.#writers.length === 0 || this.#full()) return
    const writers = this.#writers
    this.#writers = []
    this.#here.deliver(this.#life, () => {
      for (const writer of writers) writer.resolve(undefined)
    })
  }
}
