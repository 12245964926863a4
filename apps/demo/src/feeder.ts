/**
 * Feeds lines to one member: each request has a producer id and a number, and is repeated until
 * it is stored.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { append, Refusal } from './api.ts'
import type { CorpusLine } from './corpus.ts'

export interface FeedOptions {
  /** Where to send; asked for each attempt, because a restarted member may answer elsewhere. */
  readonly http: () => string
  readonly producer: string
  readonly lines: readonly CorpusLine[]
  /** Lines in one request. */
  readonly recordsMax: number
  /** Milliseconds between two requests; 0 sends the next one at once. */
  readonly paceMs: number
  readonly signal: AbortSignal
  /** Keeps on repeating a request for this long. */
  readonly retryMs: number
}

export interface Feed {
  /** Lines whose request was answered as stored. */
  acknowledged(): readonly CorpusLine[]
  readonly total: number
  readonly retries: () => number
  /** Resolves when all is stored or the signal aborted; rejects when one is refused for good. */
  readonly done: Promise<void>
}

export function feed(options: FeedOptions): Feed {
  const { lines, signal } = options
  let stored = 0
  let retries = 0

  async function run(): Promise<void> {
    let sequence = 1
    while (stored < lines.length && !signal.aborted) {
      const chunk = lines.slice(stored, stored + options.recordsMax)
      const body = chunk.map((line) => `${JSON.stringify(line)}\n`).join('')
      if (!(await send(body, sequence))) return
      sequence += 1
      stored += chunk.length
      if (options.paceMs > 0) await delay(options.paceMs, undefined, { signal }).catch(() => {})
    }
  }
  /** True once stored; false when the signal aborted before. */
  async function send(body: string, sequence: number): Promise<boolean> {
    const giveUpAt = performance.now() + options.retryMs
    for (let waitMs = 20; !signal.aborted; waitMs = Math.min(2 * waitMs, 500)) {
      try {
        await append(options.http(), body, { id: options.producer, sequence })
        return true
      } catch (cause) {
        const final = cause instanceof Refusal && !cause.passing
        if (final || performance.now() > giveUpAt) throw cause
        retries += 1
        await delay(waitMs, undefined, { signal }).catch(() => {})
      }
    }
    return false
  }
  const done = run()
  // Whoever awaits it later still sees the failure; until then it is nobody's unhandled one.
  done.catch(() => {})
  return {
    acknowledged: () => lines.slice(0, stored),
    total: lines.length,
    retries: () => retries,
    done,
  }
}
