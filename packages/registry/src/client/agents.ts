/** The agents a client may ask: the one that answered last first, then the others in turn. */
import { isKithError } from '@kith/interface'
import { RegistryError } from '../errors.ts'

export class AgentRing {
  readonly #bases: readonly URL[]
  #first = 0

  constructor(bases: readonly URL[]) {
    this.#bases = bases
  }

  get size(): number {
    return this.#bases.length
  }

  /** The agent to follow now. */
  current(): URL {
    return this.#bases[this.#first] as URL
  }

  /** Goes on to the next one, unless somebody did so already. */
  leave(base: URL): void {
    if (this.current() === base) this.#first = (this.#first + 1) % this.#bases.length
  }

  /** The answer of the first that gives one. A wrong question is wrong at all of them. */
  async ask<Answer>(
    one: (base: URL) => Promise<Answer>,
    signal: AbortSignal | undefined,
  ): Promise<Answer> {
    const failures: unknown[] = []
    const start = this.#first
    for (let turn = 0; turn < this.#bases.length; turn += 1) {
      const index = (start + turn) % this.#bases.length
      signal?.throwIfAborted()
      try {
        const answer = await one(this.#bases[index] as URL)
        this.#first = index
        return answer
      } catch (cause) {
        signal?.throwIfAborted()
        if (isRefusal(cause)) throw cause
        failures.push(cause)
      }
    }
    throw nobodyAnswered(failures)
  }
}

export function isRefusal(cause: unknown): boolean {
  return isKithError(cause) && cause.code === 'ERR_REGISTRY_CLIENT_REFUSED'
}

export function nobodyAnswered(failures: readonly unknown[]): RegistryError {
  const text = failures.map((cause) => (cause instanceof Error ? cause.message : String(cause)))
  return new RegistryError(
    'ERR_REGISTRY_CLIENT_UNAVAILABLE',
    `no agent answered: ${text.join('; ')}`,
    { cause: new AggregateError(failures) },
  )
}
