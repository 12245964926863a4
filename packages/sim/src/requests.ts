/**
 * Whole messages over simulated streams, for cores that do no I/O: connect, send, maybe an answer.
 */
import type { CancelTimer, TransportFailure } from '@kith/interface'
import type { Connection, Endpoint, SimReply } from './endpoint.ts'
import type { Links } from './links.ts'

export interface RequestOptions {
  /** Milliseconds for everything together; default 10 000. */
  readonly timeoutMs?: number
  /** False: `done` comes with `end` as soon as the message arrived; default true. */
  readonly expectReply?: boolean
}

export type RequestOutcome =
  | { readonly kind: 'reply'; readonly bytes: Uint8Array }
  /** The far end closed without an answer, or none was expected. */
  | { readonly kind: 'end' }
  | { readonly kind: 'failed'; readonly reason: TransportFailure }

/**
 * Opens a connection: `done` gets the life that took it, or why not, unless `wanted` ends first.
 */
export function dial(
  links: Links,
  from: Endpoint,
  to: Endpoint,
  listens: () => boolean,
  wanted: () => boolean,
  done: (life: number | undefined) => void,
): void {
  const { stats, trace, clock } = links
  links.carry(from, to, wanted, () => {
    if (!listens()) {
      if (to.whenDown === 'swallow') {
        stats.blackholed += 1
        trace.add(clock.now(), 'swallow', from, to)
        return
      }
      stats.refused += 1
      trace.add(clock.now(), 'refuse', from, to)
      links.carry(to, from, wanted, () => done(undefined))
      return
    }
    // The system accepts for a paused process too, as a listening backlog does.
    const { life } = to
    links.carry(to, from, wanted, () => done(life))
  })
}

/** Calls `done` exactly once, in the caller's process, unless cancelled or the caller died. */
export function sendRequest(
  links: Links,
  from: Endpoint,
  to: Endpoint,
  bytes: Uint8Array,
  options: RequestOptions,
  done: (outcome: RequestOutcome) => void,
): CancelTimer {
  const request = new PendingRequest(links, from, to, done)
  request.begin(bytes.slice(), options)
  return () => request.close()
}

class PendingRequest implements Connection {
  readonly #links: Links
  readonly #from: Endpoint
  readonly #to: Endpoint
  readonly #life: number
  readonly #done: (outcome: RequestOutcome) => void
  readonly #wanted = (): boolean => this.#open && this.#from.life === this.#life
  #open = true
  #stopTimer: CancelTimer = () => {}

  constructor(links: Links, from: Endpoint, to: Endpoint, done: (outcome: RequestOutcome) => void) {
    this.#links = links
    this.#from = from
    this.#to = to
    this.#life = from.life
    this.#done = done
  }

  begin(message: Uint8Array, options: RequestOptions): void {
    const { stats } = this.#links
    const [from, to] = [this.#from, this.#to]
    stats.requestsSent += 1
    stats.bytesSent += message.length
    this.#stopTimer = from.after(this.#life, options.timeoutMs ?? 10_000, () => {
      if (!this.#open) return
      stats.requestsTimedOut += 1
      this.#settle({ kind: 'failed', reason: 'timeout' })
    })
    const listens = (): boolean => to.requests?.request !== undefined
    dial(this.#links, from, to, listens, this.#wanted, (callee) => {
      if (callee === undefined) this.#settle({ kind: 'failed', reason: 'refused' })
      else {
        const expectReply = options.expectReply ?? true
        const arrive = (): void => this.#arrive(callee, message, expectReply)
        this.#links.carry(from, to, this.#wanted, arrive)
      }
    })
  }

  close(): void {
    this.#open = false
    this.#stopTimer()
    this.#to.connections.delete(this)
  }

  /** The process at the far end died: its system says so. */
  cut(): void {
    this.#links.stats.reset += 1
    this.#return({ kind: 'failed', reason: 'reset' })
  }

  #arrive(callee: number, message: Uint8Array, expectReply: boolean): void {
    const [from, to] = [this.#from, this.#to]
    if (to.life !== callee) {
      this.cut()
      return
    }
    this.#links.trace.add(this.#links.clock.now(), 'request', from, to, message)
    to.connections.add(this)
    if (!expectReply) this.#settle({ kind: 'end' })
    const reply = this.#replyTo(callee)
    to.deliver(callee, () => to.requests?.request?.(from.address, message, reply))
  }

  #replyTo(callee: number): SimReply {
    let answered = false
    const answer = (outcome: RequestOutcome): void => {
      if (answered || this.#to.life !== callee) return
      answered = true
      if (outcome.kind === 'failed') this.#links.stats.reset += 1
      this.#return(outcome)
    }
    return {
      send: (reply) => answer({ kind: 'reply', bytes: reply.slice() }),
      end: () => answer({ kind: 'end' }),
      fail: () => answer({ kind: 'failed', reason: 'reset' }),
    }
  }

  #return(outcome: RequestOutcome): void {
    this.#links.carry(this.#to, this.#from, this.#wanted, () => this.#settle(outcome))
  }

  #settle(outcome: RequestOutcome): void {
    this.#from.deliver(this.#life, () => {
      if (!this.#wanted()) return
      this.close()
      const { stats, trace, clock } = this.#links
      const bytes = outcome.kind === 'reply' ? outcome.bytes : undefined
      const kind = outcome.kind === 'failed' ? 'fail' : 'reply'
      trace.add(clock.now(), kind, this.#to, this.#from, bytes)
      if (outcome.kind === 'reply') stats.requestsAnswered += 1
      this.#done(outcome)
    })
  }
}
