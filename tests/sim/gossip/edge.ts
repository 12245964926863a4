/**
 * Where a member meets the network. Messages can be held up here, both ways, while its process runs
 * on: what comes waits and is handed over when the hold ends, and what it sends leaves only then.
 */
import type { Address, CancelTimer } from '@kith/interface'
import type { HostHandlers, RequestOutcome, SimHost, SimNetwork } from '@kith/sim'

/** What was held up, at all members together. */
export interface HeldCounts {
  outbound: number
  inbound: number
  /** Found no room among what waits to be read, as in a full socket. */
  overflowed: number
}

export interface EdgeOptions {
  readonly network: SimNetwork
  readonly address: Address
  readonly handlers: Required<HostHandlers>
  /** Messages that wait to be read; what comes on top is lost and counted. */
  readonly inboundMax: number
  readonly counts: HeldCounts
}

export interface Exchange {
  readonly to: Address
  readonly bytes: Uint8Array
  readonly expectReply: boolean
  /** Virtual milliseconds; the caller's own timer, which no hold stops. */
  readonly deadline: number
}

const timedOut: RequestOutcome = { kind: 'failed', reason: 'timeout' }

export class Edge {
  readonly host: SimHost
  readonly #inboundMax: number
  readonly #counts: HeldCounts
  #holds = false
  #inbound: (() => void)[] = []
  #outbound: (() => void)[] = []

  constructor({ network, address, handlers, inboundMax, counts }: EdgeOptions) {
    this.#inboundMax = inboundMax
    this.#counts = counts
    this.host = network.attach(address, {
      packet: (from, bytes) => this.#enter(() => handlers.packet(from, bytes)),
      sendFailed: (to, cause) => this.#enter(() => handlers.sendFailed(to, cause)),
      request: (from, bytes, reply) =>
        this.#enter(() =>
          handlers.request(from, bytes, {
            send: (answer) => this.#leave(() => reply.send(answer)),
            end: () => this.#leave(() => reply.end()),
            fail: () => this.#leave(() => reply.fail()),
          }),
        ),
    })
  }

  send(to: Address, bytes: Uint8Array): void {
    // A copy now, as a system makes it: its owner may use the bytes again before they leave.
    const sent = this.#holds ? bytes.slice() : bytes
    this.#leave(() => this.host.send(to, sent))
  }

  /** Calls `done` once, by its deadline also where question or answer still waits here. */
  request(exchange: Exchange, done: (outcome: RequestOutcome) => void): void {
    const { to, expectReply, deadline } = exchange
    const bytes = exchange.bytes.slice()
    const { clock } = this.host
    let open = true
    let stopTimer: CancelTimer = () => {}
    const settle = (outcome: RequestOutcome): void => {
      if (!open) return
      open = false
      stopTimer()
      done(outcome)
    }
    const limit = (): void => {
      stopTimer = clock.after(Math.max(0, deadline - clock.now()), () => settle(timedOut))
    }
    const begin = (): void => {
      // Whoever gave up meanwhile has closed the connection.
      if (!open) return
      stopTimer()
      const timeoutMs = Math.max(0, deadline - clock.now())
      this.host.request(to, bytes, { timeoutMs, expectReply }, (outcome) => {
        if (!this.#holds || (outcome.kind === 'failed' && outcome.reason === 'timeout')) {
          return settle(outcome)
        }
        limit()
        this.#enter(() => settle(outcome))
      })
    }
    if (this.#holds) limit()
    this.#leave(begin)
  }

  hold(): void {
    this.#holds = true
  }

  /** What waited goes, in its order: first what was to be sent, then what is to be read. */
  release(): void {
    this.#holds = false
    const waiting = [...this.#outbound, ...this.#inbound]
    this.#outbound = []
    this.#inbound = []
    for (const action of waiting) action()
  }

  #leave(action: () => void): void {
    if (!this.#holds) return action()
    this.#counts.outbound += 1
    this.#outbound.push(action)
  }

  #enter(action: () => void): void {
    if (!this.#holds) return action()
    if (this.#inbound.length >= this.#inboundMax) {
      this.#counts.overflowed += 1
      return
    }
    this.#counts.inbound += 1
    this.#inbound.push(action)
  }
}
