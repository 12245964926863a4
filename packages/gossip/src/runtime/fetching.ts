/** Asking an extension of another member over a stream: a few at a time, each within its time. */
import { formatAddress } from '@kith/interface'
import type { Address, Clock, StreamTransport } from '@kith/interface'
import { member } from '../core/index.ts'
import type { State } from '../core/index.ts'
import { GossipError } from '../errors.ts'
import { encodeStream } from '../wire/codec.ts'
import type { Envelope } from '../wire/codec.ts'
import type { FetchMessage } from '../wire/message.ts'
import { ask, reasonOf } from './exchange.ts'
import { problemText } from './refusal.ts'

const runningMax = 16
const waitingMax = 4096

const timeoutMsDefault = 10_000

export interface FetchOptions {
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

export interface Fetcher {
  /** Rejects with `ERR_GOSSIP_FETCH_FAILED`, or `ERR_GOSSIP_ABORTED` where the caller did. */
  fetch(
    to: Address,
    message: FetchMessage,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Uint8Array>
}

/**
 * What `extension` of another member answers. Rejects with `ERR_GOSSIP_MEMBER_UNKNOWN` where it is
 * not there or no Kith member.
 */
export async function fetchFrom(
  state: State,
  fetcher: Fetcher,
  { node, extension, request }: Pick<FetchMessage, 'node' | 'extension' | 'request'>,
  { timeoutMs = timeoutMsDefault, signal }: FetchOptions & { readonly signal: AbortSignal },
): Promise<Uint8Array> {
  const target = member(state, node)
  if (target?.tags['kith.v'] === undefined || target.status !== 'alive') {
    throw new GossipError('ERR_GOSSIP_MEMBER_UNKNOWN', `${node} is no living Kith member`)
  }
  const message = { kind: 'fetch', extension, from: state.name, node, request } as const
  return fetcher.fetch(target.address, message, timeoutMs, signal)
}

export function createFetcher(streams: StreamTransport, clock: Clock, envelope: Envelope): Fetcher {
  return new QueuedFetcher(streams, clock, envelope)
}

class QueuedFetcher implements Fetcher {
  readonly #streams: StreamTransport
  readonly #clock: Clock
  readonly #envelope: Envelope
  readonly #waiting = new Set<() => void>()
  #running = 0

  constructor(streams: StreamTransport, clock: Clock, envelope: Envelope) {
    this.#streams = streams
    this.#clock = clock
    this.#envelope = envelope
  }

  async fetch(
    to: Address,
    message: FetchMessage,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const deadline = this.#clock.now() + timeoutMs
    try {
      await this.#turn(deadline, signal)
      try {
        return await this.#fetch(to, message, deadline, signal)
      } finally {
        this.#running -= 1
        const [next] = this.#waiting
        next?.()
      }
    } catch (cause) {
      const code = signal.aborted ? 'ERR_GOSSIP_ABORTED' : 'ERR_GOSSIP_FETCH_FAILED'
      const what = `fetching ${message.extension} from ${message.node}`
      throw new GossipError(code, `${what} at ${formatAddress(to)} failed: ${reasonOf(cause)}`, {
        cause,
      })
    }
  }

  async #fetch(
    to: Address,
    message: FetchMessage,
    deadline: number,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const [streams, clock, envelope] = [this.#streams, this.#clock, this.#envelope]
    const options = { streams, clock, envelope, deadline, signal }
    const step = await ask(to, encodeStream(message), options)
    if (step.kind === 'failed') throw new Error(problemText(step.problem.kind, this.#envelope))
    if (step.kind !== 'message') throw new Error('the answer was cut off')
    if (step.message.kind !== 'fetchReply') throw new Error('the answer was not to a fetch')
    if (step.message.refused) throw new Error(`refused: ${step.message.text.slice(0, 200)}`)
    return step.message.body
  }

  /** Resolves when this fetch may run, having counted it. */
  #turn(deadline: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted()
      if (this.#waiting.size >= waitingMax) throw new Error('too many fetches are waiting')
      const end = (settle: () => void): void => {
        this.#waiting.delete(go)
        cancel()
        signal.removeEventListener('abort', abort)
        settle()
      }
      const go = (): void =>
        end(() => {
          this.#running += 1
          resolve()
        })
      const abort = (): void => end(() => reject(signal.reason as Error))
      const cancel = this.#clock.after(Math.max(0, deadline - this.#clock.now()), () =>
        end(() => reject(new Error('too many fetches run'))),
      )
      signal.addEventListener('abort', abort, { once: true })
      if (this.#running < runningMax) go()
      else this.#waiting.add(go)
    })
  }
}
