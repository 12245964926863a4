/** One channel and one service: the registry is followed while the channel wants to know. */
import { randomInt } from 'node:crypto'
import type { ServiceInstance } from '@kith/interface'
import { placesOf } from './endpoints.ts'
import type { Answers, Resolution } from './experimental.ts'
import type { ResolvedOptions } from './options.ts'
import type { Wanted } from './target.ts'

export class Following implements Resolution {
  readonly #options: ResolvedOptions
  readonly #wanted: Wanted
  readonly #answers: Answers
  /** Each channel takes its own share of a large service. */
  readonly #seed = randomInt(2 ** 32)
  #watching: AbortController | undefined
  /** The places last told, as one text. */
  #told: string | undefined

  constructor(options: ResolvedOptions, wanted: Wanted, answers: Answers) {
    this.#options = options
    this.#wanted = wanted
    this.#answers = answers
  }

  update(): void {
    if (this.#watching !== undefined) return
    this.#watching = new AbortController()
    const { signal } = this.#watching
    void this.#watch(signal)
    void this.#ask(signal)
  }

  end(): void {
    this.#watching?.abort()
    this.#watching = undefined
    this.#told = undefined
  }

  /** The registry's word whenever it changes; goes on through failures where the registry does. */
  async #watch(signal: AbortSignal): Promise<void> {
    const { service, tags } = this.#wanted
    try {
      for await (const found of this.#options.registry.watch(service, { tags, signal })) {
        if (signal.aborted) return
        this.#tell(found)
      }
    } catch (cause) {
      this.#fail(signal, cause)
    }
    // A registry that stopped is asked again when the channel next wants to know.
    if (!signal.aborted) this.#watching = undefined
  }

  /** What is watched may wait for an agent without a word: whoever calls meanwhile is told. */
  async #ask(signal: AbortSignal): Promise<void> {
    const { service, tags } = this.#wanted
    try {
      const found = await this.#options.registry.resolve(service, { tags })
      if (!signal.aborted && this.#told === undefined) this.#tell(found)
    } catch (cause) {
      this.#fail(signal, cause)
    }
  }

  #tell(found: readonly ServiceInstance[]): void {
    const places = placesOf(found, this.#options, this.#seed)
    const text = JSON.stringify(places)
    if (text === this.#told) return
    this.#told = text
    const { service, tags } = this.#wanted
    const what = tags.length > 0 ? `${service} with ${tags.join(' and ')}` : service
    this.#answers.places(places, places.length > 0 ? '' : `no passing instance of ${what}`)
  }

  #fail(signal: AbortSignal, cause: unknown): void {
    if (signal.aborted || this.#told !== undefined) return
    const why = cause instanceof Error ? cause.message : String(cause)
    this.#answers.failure(`${this.#wanted.service} cannot be resolved: ${why}`)
  }
}
