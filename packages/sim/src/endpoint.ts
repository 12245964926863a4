/**
 * One address and the process behind it. A process can be paused, which holds back everything that
 * would run in it, and it can die, after which nothing of that life ever runs again.
 */
import type { Address, CancelTimer, Clock } from '@kith/interface'
import type { Links } from './links.ts'
import type { Place } from './trace.ts'

/** How a member answers a request that came over a stream. Only the first call counts. */
export interface SimReply {
  /** Sends the whole answer. */
  send(bytes: Uint8Array): void
  /** Ends the stream without an answer. */
  end(): void
  /** Breaks the stream. */
  fail(): void
}

export interface HostHandlers {
  /** One datagram; `bytes` is a copy that belongs to the handler. */
  packet?(from: Address, bytes: Uint8Array): void
  sendFailed?(to: Address, cause: Error): void
  /** One whole message over a stream; without this handler streams are refused. */
  request?(from: Address, bytes: Uint8Array, reply: SimReply): void
}

/** Something open to this process that its death cuts. */
export interface Connection {
  cut(): void
}

export class Endpoint implements Place {
  readonly id: number
  readonly address: Address
  /** Raised by each death; whatever belongs to an older life is ignored. */
  life = 1
  paused = false
  /** What the address does while nobody listens: answer so, or say nothing. */
  whenDown: 'refuse' | 'swallow' = 'refuse'
  crashed = false
  packets: HostHandlers | undefined
  requests: HostHandlers | undefined
  /** Takes a connection of a memory stream transport. */
  accept: ((offer: unknown) => void) | undefined
  readonly connections: Set<Connection> = new Set()
  readonly #links: Links
  readonly #inboundMax: number
  #inbound: (() => void)[] = []
  #timers: (() => void)[] = []

  constructor(id: number, address: Address, links: Links, inboundMax: number) {
    this.id = id
    this.address = Object.freeze({ host: address.host, port: address.port })
    this.#links = links
    this.#inboundMax = inboundMax
  }

  get attached(): boolean {
    return this.packets !== undefined || this.requests !== undefined || this.accept !== undefined
  }

  /**
   * Runs `action` in this process: now, after a pause, or never. False where the queue was full.
   */
  deliver(life: number, action: () => void): boolean {
    if (life !== this.life) return true
    if (!this.paused) {
      action()
      return true
    }
    if (this.#inbound.length >= this.#inboundMax) {
      this.#links.stats.inboundOverflow += 1
      return false
    }
    this.#links.stats.heldInbound += 1
    this.#inbound.push(action)
    return true
  }

  after(life: number, delayMs: number, callback: () => void): CancelTimer {
    let wanted = true
    const fire = (): void => {
      if (!wanted || life !== this.life) return
      if (this.paused) {
        this.#links.stats.heldTimers += 1
        this.#timers.push(fire)
        return
      }
      wanted = false
      callback()
    }
    const cancel = this.#links.clock.after(delayMs, fire)
    return () => {
      wanted = false
      cancel()
    }
  }

  /** Time as this process sees it: its timers wait while it is paused and die with it. */
  clock(): Clock {
    const life = this.life
    const { clock } = this.#links
    return {
      now: () => clock.now(),
      wallNow: () => clock.wallNow(),
      after: (delayMs, callback) => this.after(life, delayMs, callback),
    }
  }

  pause(): void {
    if (this.paused) return
    this.paused = true
    this.#links.stats.pauses += 1
    this.#links.trace.add(this.#links.clock.now(), 'pause', this, this)
  }

  /** What was held back runs in one go; whether timers or messages come first is up to the seed. */
  resume(): void {
    const { clock, random, trace } = this.#links
    const { life } = this
    clock.post(clock.now(), () => {
      if (!this.paused || life !== this.life) return
      this.paused = false
      trace.add(clock.now(), 'resume', this, this)
      const [first, second] = random.chance(0.5)
        ? [this.#timers, this.#inbound]
        : [this.#inbound, this.#timers]
      this.#timers = []
      this.#inbound = []
      // Each action passes the gate again: an earlier one may pause or end the process.
      for (const action of [...first, ...second]) this.deliver(life, action)
    })
  }

  /** Ends this life: queues, timers and connections go. */
  end(cut: boolean): void {
    this.life += 1
    this.paused = false
    this.#inbound = []
    this.#timers = []
    this.packets = undefined
    this.requests = undefined
    this.accept = undefined
    const open = [...this.connections]
    this.connections.clear()
    if (cut) for (const connection of open) connection.cut()
  }
}
