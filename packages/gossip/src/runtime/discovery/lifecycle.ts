/** What every discovery has in common, so that each has to say only how it looks. */
import type { Discovery, DiscoveryHandlers, PluginContext } from '@kith/interface'
import { GossipError } from '../../errors.ts'

/** Seeds one look may find. */
export const seedsFoundMax = 1024

export interface DiscoveryParts {
  readonly name: string
  /** What there is now; the list is used once. Rejections become `ERR_GOSSIP_DISCOVERY`. */
  readonly look: () => Promise<readonly string[]>
  /**
   * Runs until `signal` aborts; resolves when every change from then on will be noticed. Never
   * rejects.
   */
  readonly watch?: (changed: () => void, signal: AbortSignal) => Promise<void>
}

export function createDiscovery(parts: DiscoveryParts, context: PluginContext): Discovery {
  return new PartsDiscovery(parts, context)
}

class PartsDiscovery implements Discovery {
  readonly #parts: DiscoveryParts
  readonly #context: PluginContext
  readonly #stopping = new AbortController()
  #started = false

  constructor(parts: DiscoveryParts, context: PluginContext) {
    this.#parts = parts
    this.#context = context
  }

  get name(): string {
    return this.#parts.name
  }

  async start(
    handlers: DiscoveryHandlers,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    options.signal?.throwIfAborted()
    if (this.#started || this.#stopping.signal.aborted) throw this.#misuse('starts once')
    this.#started = true
    const changed = (): void => {
      try {
        handlers.changed()
      } catch (cause) {
        this.#context.logger.error({ err: cause }, `whoever watches ${this.name} threw`)
      }
    }
    await this.#parts.watch?.(changed, this.#stopping.signal)
  }

  async find(signal?: AbortSignal): Promise<string[]> {
    const stopped = this.#stopping.signal
    if (!this.#started || stopped.aborted) throw this.#misuse('does not run')
    const ended = signal === undefined ? stopped : AbortSignal.any([signal, stopped])
    ended.throwIfAborted()
    let end = (): void => {}
    const aborted = new Promise<never>((_, reject) => {
      end = (): void => reject(toError(ended.reason))
    })
    ended.addEventListener('abort', end, { once: true })
    try {
      const found = await Promise.race([this.#look(), aborted])
      return [...new Set(found)].slice(0, seedsFoundMax)
    } finally {
      ended.removeEventListener('abort', end)
    }
  }

  async #look(): Promise<readonly string[]> {
    try {
      return await this.#parts.look()
    } catch (cause) {
      throw new GossipError('ERR_GOSSIP_DISCOVERY', `${this.name}: ${toError(cause).message}`, {
        cause,
      })
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort(this.#misuse('was stopped'))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  #misuse(what: string): GossipError {
    return new GossipError('ERR_GOSSIP_NOT_RUNNING', `the discovery ${this.name} ${what}`)
  }
}

function toError(cause: unknown): Error {
  return cause instanceof Error ? cause : new Error(String(cause))
}
