/** Own queries between the core and their readers, and the queries that came to this member. */
import type { Output, Question, QueryReceived, QuerySummary } from '../core/index.ts'
import { GossipError } from '../errors.ts'
import { Inbox } from './inbox.ts'
import type { Query, QueryOptions, QueryResponse, ReceivedQuery } from './talk-types.ts'
import type { CountOf } from './counters.ts'

/** Answers that wait for a reader, all of one query together. */
const responseBytesMax = 16_777_216
const responsesMaxDefault = 1024
/** Acks that wait; each is a name. */
const acksMax = 65_536

type Answer = Output & { readonly kind: 'answer' }

export interface QueriesOptions {
  readonly takeId: () => number
  /** Sends the query; rejects where the core refuses it after all. */
  readonly begin: (id: number, question: Question) => Promise<unknown>
  readonly cancel: (id: number) => void
  readonly count: CountOf
  /** Told once for each query that a reader is too slow for. */
  readonly behind: (name: string) => void
}

export interface Queries {
  ask(question: Question, options: QueryOptions): Query
  answer(answer: Answer): void
  end(id: number, summary: QuerySummary): void
  /** Ends all of them with this error. */
  close(error: Error): void
}

export function createQueries(options: QueriesOptions): Queries {
  const running = new Map<number, RunningQuery>()
  return {
    ask(question, { signal, responsesMax = responsesMaxDefault }) {
      signal?.throwIfAborted()
      const query = new RunningQuery(question.name, responsesMax, options)
      const id = options.takeId()
      running.set(id, query)
      query.follow(signal, () => options.cancel(id))
      options.begin(id, question).catch((error: Error) => {
        running.delete(id)
        query.fail(error)
      })
      return query
    },
    answer({ id, from, payload }) {
      running.get(id)?.take(from, payload)
    },
    end(id, summary) {
      running.get(id)?.finish(summary)
      running.delete(id)
    },
    close(error) {
      for (const query of running.values()) query.fail(error)
      running.clear()
    },
  }
}

class RunningQuery implements Query {
  readonly summary: Promise<QuerySummary>
  readonly #options: QueriesOptions
  readonly #name: string
  readonly #responses: Inbox<QueryResponse>
  readonly #acks: Inbox<string>
  #dropped = 0
  #cancel: () => void = () => {}
  #unfollow: () => void = () => {}
  #resolve: (summary: QuerySummary) => void = () => {}
  #reject: (error: Error) => void = () => {}

  constructor(name: string, responsesMax: number, options: QueriesOptions) {
    this.#name = name
    this.#options = options
    this.#responses = new Inbox({
      itemsMax: responsesMax,
      bytesMax: responseBytesMax,
      bytesOf: ({ payload }) => payload.length,
      abandoned: () => this.cancel(),
    })
    this.#acks = new Inbox({ itemsMax: acksMax })
    this.summary = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    // Who only reads the answers hears of an error there.
    this.summary.catch(() => {})
  }

  get acks(): AsyncIterable<string> {
    return this.#acks
  }

  [Symbol.asyncIterator](): AsyncIterator<QueryResponse> {
    return this.#responses
  }

  cancel(): void {
    this.#cancel()
  }

  follow(signal: AbortSignal | undefined, cancel: () => void): void {
    this.#cancel = cancel
    signal?.addEventListener('abort', cancel, { once: true })
    this.#unfollow = () => signal?.removeEventListener('abort', cancel)
  }

  take(from: string, payload: Uint8Array | undefined): void {
    if (payload === undefined) {
      this.#acks.push(from)
      return
    }
    if (this.#responses.push({ from, payload })) return
    if (this.#dropped === 0) this.#options.behind(this.#name)
    this.#dropped += 1
    this.#options.count('queryResponsesDropped')
  }

  finish(summary: QuerySummary): void {
    this.#unfollow()
    this.#responses.end()
    this.#acks.end()
    this.#resolve(Object.freeze({ ...summary, dropped: this.#dropped }))
  }

  fail(error: Error): void {
    this.#unfollow()
    this.#responses.end(error)
    this.#acks.end(error)
    this.#reject(error)
  }
}

/** What listeners get; `send` rejects with what the core refused the answer for. */
export function receivedQuery(
  query: QueryReceived,
  send: (queryId: number, payload: Uint8Array) => Promise<unknown>,
): ReceivedQuery {
  const { id, kind, name, payload, from, lamportTime, timeoutMs } = query
  let answered = false
  const respond = async (answer: Uint8Array): Promise<void> => {
    if (answered) throw new GossipError('ERR_GOSSIP_RESPONSE_TWICE', 'response already sent')
    answered = true
    try {
      await send(id, answer)
    } catch (cause) {
      answered = false
      throw cause
    }
  }
  return Object.freeze({ kind, name, payload, from, lamportTime, timeoutMs, respond })
}
