/** All that a member was told about where others are: its seeds, and what discoveries find now. */
import type { Address, CancelTimer, Clock, Discovery } from '@kith/interface'
import { parseSeed } from './options.ts'
import { resolveSeeds } from './resolve.ts'
import type { CountOf } from './counters.ts'

/** Addresses of all sources together. */
const foundMax = 1024
/** Bound on one look; a discovery that takes longer has found nothing this time. */
const findMsMax = 10_000

export interface Found {
  readonly addresses: readonly Address[]
  /** One line for each name without an address, and for each discovery that could not tell. */
  readonly failures: readonly string[]
}

export interface SourcesOptions {
  readonly clock: Clock
  readonly seeds: readonly string[]
  readonly discoveries: readonly Discovery[]
  readonly defaultPort: number
  readonly count: CountOf
  /** Told once for each time that a discovery begins to fail. */
  readonly failed: (name: string, cause: unknown) => void
}

export interface Sources {
  find(): Promise<Found>
  stop(): Promise<void>
}

export function createSources(options: SourcesOptions): Sources {
  return new AllSources(options)
}

class AllSources implements Sources {
  readonly #options: SourcesOptions
  readonly #failing = new Set<Discovery>()
  readonly #abort = new AbortController()

  constructor(options: SourcesOptions) {
    this.#options = options
  }

  async find(): Promise<Found> {
    const { seeds, discoveries, defaultPort, count } = this.#options
    const failures: string[] = []
    const lists = await Promise.all(discoveries.map((one) => this.#look(one, failures)))
    const named = new Set([...seeds, ...lists.flat()])
    const usable: string[] = []
    for (const seed of named) {
      if (typeof seed !== 'string' || parseSeed(seed, defaultPort) === undefined) {
        count('discoveredUnusable')
      } else if (usable.length < foundMax) usable.push(seed)
      else count('discoveredTooMany')
    }
    const resolved = await resolveSeeds(usable, defaultPort)
    return { addresses: resolved.addresses, failures: [...failures, ...resolved.failures] }
  }

  async #look(discovery: Discovery, failures: string[]): Promise<readonly string[]> {
    const { count, failed } = this.#options
    try {
      const found = await this.#bounded(discovery)
      this.#failing.delete(discovery)
      return found
    } catch (cause) {
      count('discoveryFailures')
      const message = cause instanceof Error ? cause.message : String(cause)
      failures.push(`${discovery.name}: ${message}`)
      if (!this.#failing.has(discovery) && !this.#abort.signal.aborted) {
        this.#failing.add(discovery)
        failed(discovery.name, cause)
      }
      return []
    }
  }

  async #bounded(discovery: Discovery): Promise<readonly string[]> {
    const { clock } = this.#options
    const abort = new AbortController()
    let cancel: CancelTimer = () => {}
    const late = new Promise<never>((_, reject) => {
      const end = (why: Error): void => {
        abort.abort(why)
        reject(why)
      }
      cancel = clock.after(findMsMax, () => end(new Error(`no answer within ${findMsMax} ms`)))
      this.#abort.signal.addEventListener('abort', () => end(new Error('stopped')), {
        signal: abort.signal,
      })
    })
    late.catch(() => {})
    try {
      return await Promise.race([discovery.find(abort.signal), late])
    } finally {
      cancel()
      abort.abort()
    }
  }

  async stop(): Promise<void> {
    this.#abort.abort()
    await Promise.all(this.#options.discoveries.map((discovery) => discovery.stop()))
  }
}
