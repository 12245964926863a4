/** A request's body, and whether all of it is still there for another try. */
import { Readable } from 'node:stream'

export class Body {
  readonly #given: unknown
  readonly #flows: boolean
  #begun = false

  constructor(given: unknown) {
    this.#given = given
    this.#flows = isFlow(given)
  }

  /** False once something was taken of a body that comes only once. */
  get isWhole(): boolean {
    return !this.#begun
  }

  /** For one try. A stream is passed on behind a screen: a try that fails unread spares it. */
  next(): unknown {
    if (!this.#flows) return this.#given
    const begin = (): AsyncIterator<unknown> => {
      this.#begun = true
      return iterate(this.#given as AsyncIterable<unknown> | Iterable<unknown>)
    }
    return { [Symbol.asyncIterator]: begin }
  }

  /** Nobody will read it any more. */
  drop(cause: Error): void {
    if (!(this.#given instanceof Readable) || this.#given.destroyed) return
    // Whoever made it hears of the failure from the request.
    this.#given.once('error', () => {})
    this.#given.destroy(cause)
  }
}

async function* iterate(
  given: AsyncIterable<unknown> | Iterable<unknown>,
): AsyncGenerator<unknown, void, undefined> {
  yield* given
}

/** Streams and iterators can be read once. Bytes, texts, forms and blobs can be read again. */
function isFlow(body: unknown): boolean {
  if (typeof body !== 'object' || body === null) return false
  if (ArrayBuffer.isView(body) || Object.prototype.toString.call(body) === '[object FormData]') {
    return false
  }
  return Symbol.asyncIterator in body || Symbol.iterator in body
}
