/** Between the core and streams: its requests go out and come back as inputs, and so do others'. */
import type { Address, Clock, StreamTransport } from '@kith/interface'
import type { Input, Output } from '../core/index.ts'
import type { AnyStreamMessage, Envelope, StreamStep } from '../wire/codec.ts'
import type { StreamMessage } from '../wire/message.ts'
import { ask, reasonOf, tell } from './exchange.ts'
import { problemText } from './refusal.ts'
import type { CountOf } from './counters.ts'

type CoreRequest = Output & { readonly kind: 'request' }

export interface ExchangesOptions {
  readonly streams: StreamTransport
  readonly clock: Clock
  readonly envelope: Envelope
  readonly signal: AbortSignal
  readonly run: (input: Input) => void
  readonly count: CountOf
}

export interface Exchanges {
  /** Does what the core asked and answers it exactly once, whatever the far end does. */
  request(request: CoreRequest): Promise<void>
  /** Hands a message to the core and resolves with its answer; undefined ends the stream. */
  answer(message: StreamMessage, from: Address): Promise<Uint8Array | undefined>
  /** The core's answer. */
  respond(id: number, bytes: Uint8Array | undefined): void
  /** Nobody will answer any more. */
  close(): void
}

export function createExchanges(options: ExchangesOptions): Exchanges {
  return new CoreExchanges(options)
}

class CoreExchanges implements Exchanges {
  readonly #options: ExchangesOptions
  readonly #answers = new Map<number, (bytes: Uint8Array | undefined) => void>()
  #nextId = 1

  constructor(options: ExchangesOptions) {
    this.#options = options
  }

  async request({ id, to, bytes, expectReply, deadline }: CoreRequest): Promise<void> {
    const { count, run } = this.#options
    const options = { ...this.#options, deadline }
    count('streamsOut')
    try {
      if (expectReply) run(this.#outcome(id, await ask(to, bytes, options)))
      else {
        await tell(to, bytes, options)
        run({ kind: 'requestSent', id })
      }
    } catch (cause) {
      count('streamsOutFailed')
      run({ kind: 'requestFailed', id, reason: reasonOf(cause) })
    }
  }

  #outcome(id: number, step: StreamStep): Input {
    const { count, envelope } = this.#options
    if (step.kind === 'message' && isForCore(step.message)) {
      for (const problem of step.problems) count(`stream.${problem.kind}`, problem.count)
      return { kind: 'reply', id, message: step.message }
    }
    const problem = step.kind === 'failed' ? step.problem.kind : 'typeMisplaced'
    count(`stream.${problem}`)
    return { kind: 'requestFailed', id, reason: problemText(problem, envelope), problem }
  }

  answer(message: StreamMessage, from: Address): Promise<Uint8Array | undefined> {
    const id = this.#nextId
    this.#nextId += 1
    return new Promise((resolve) => {
      this.#answers.set(id, resolve)
      this.#options.run({ kind: 'streamMessage', id, from, message })
    })
  }

  respond(id: number, bytes: Uint8Array | undefined): void {
    const resolve = this.#answers.get(id)
    this.#answers.delete(id)
    resolve?.(bytes)
  }

  close(): void {
    for (const id of this.#answers.keys()) this.respond(id, undefined)
  }
}

/** Fetches are between runtimes; the core never sees one. */
export function isForCore(message: AnyStreamMessage): message is StreamMessage {
  return message.kind !== 'fetch' && message.kind !== 'fetchReply'
}
