/** Whole messages over simulated streams, for cores that do no I/O: connect, send, maybe an answer. */
import type { CancelTimer, TransportFailure } from '@kith/interface'
import type { Endpoint, SimReply } from './endpoint.ts'
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

/** Opens a connection: `done` gets the life that took it, or why not, unless `wanted` ends first. */
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
  const { stats, trace, clock } = links
  const { life } = from
  const message = bytes.slice()
  stats.requestsSent += 1
  stats.bytesSent += message.length
  let open = true
  const wanted = (): boolean => open && from.life === life
  const connection = {
    cut(): void {
      stats.reset += 1
      links.carry(to, from, wanted, () => settle({ kind: 'failed', reason: 'reset' }))
    },
  }
  const close = (): void => {
    open = false
    stopTimer()
    to.connections.delete(connection)
  }
  const settle = (outcome: RequestOutcome): void => {
    from.deliver(life, () => {
      if (!wanted()) return
      close()
      if (outcome.kind === 'failed') trace.add(clock.now(), 'fail', to, from)
      else trace.add(clock.now(), 'reply', to, from, 'bytes' in outcome ? outcome.bytes : undefined)
      if (outcome.kind === 'reply') stats.requestsAnswered += 1
      done(outcome)
    })
  }
  const stopTimer = from.after(life, options.timeoutMs ?? 10_000, () => {
    if (!open) return
    stats.requestsTimedOut += 1
    settle({ kind: 'failed', reason: 'timeout' })
  })
  const replyTo = (callee: number): SimReply => {
    let answered = false
    const answer = (outcome: RequestOutcome): void => {
      if (answered || to.life !== callee) return
      answered = true
      if (outcome.kind === 'failed') stats.reset += 1
      links.carry(to, from, wanted, () => settle(outcome))
    }
    return {
      send: (reply) => answer({ kind: 'reply', bytes: reply.slice() }),
      end: () => answer({ kind: 'end' }),
      fail: () => answer({ kind: 'failed', reason: 'reset' }),
    }
  }
  const arrive = (callee: number): void => {
    if (to.life !== callee) {
      connection.cut()
      return
    }
    trace.add(clock.now(), 'request', from, to, message)
    to.connections.add(connection)
    if (options.expectReply === false) settle({ kind: 'end' })
    to.deliver(callee, () => to.requests?.request?.(from.address, message, replyTo(callee)))
  }
  dial(
    links,
    from,
    to,
    () => to.requests?.request !== undefined,
    wanted,
    (callee) => {
      if (callee === undefined) settle({ kind: 'failed', reason: 'refused' })
      else links.carry(from, to, wanted, () => arrive(callee))
    },
  )
  return close
}
