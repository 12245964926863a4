/**
 * What arrives faster than its reader takes it: a bounded buffer that is read as an async iterable.
 * It never makes the sender wait; what finds no room is refused, and the owner says so.
 */

export interface InboxOptions<Item> {
  readonly itemsMax: number
  /** Bytes of all items together; default without bound. */
  readonly bytesMax?: number
  readonly bytesOf?: (item: Item) => number
  /** The reader left before the end. */
  readonly abandoned?: () => void
}

interface Waiting<Item> {
  resolve(result: IteratorResult<Item, undefined>): void
  reject(cause: Error): void
}

export class Inbox<Item> implements AsyncIterableIterator<Item, undefined> {
  readonly #options: InboxOptions<Item>
  readonly #items: Item[] = []
  readonly #waiting: Waiting<Item>[] = []
  #bytes = 0
  #ended = false
  #error: Error | undefined

  constructor(options: InboxOptions<Item>) {
    this.#options = options
  }

  get size(): number {
    return this.#items.length
  }

  /** False where there was no room, or nobody reads any more. */
  push(item: Item): boolean {
    if (this.#ended) return false
    const reader = this.#waiting.shift()
    if (reader !== undefined) {
      reader.resolve({ done: false, value: item })
      return true
    }
    const { itemsMax, bytesMax = Infinity, bytesOf = () => 0 } = this.#options
    const bytes = this.#bytes + bytesOf(item)
    if (this.#items.length >= itemsMax || bytes > bytesMax) return false
    this.#items.push(item)
    this.#bytes = bytes
    return true
  }

  /** Nothing more comes. What is there is still read; then the reader ends, maybe with an error. */
  end(error?: Error): void {
    if (this.#ended) return
    this.#ended = true
    this.#error = error
    for (const reader of this.#waiting.splice(0)) this.#finish(reader)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<Item, undefined>> {
    return new Promise((resolve, reject) => {
      const item = this.#items.shift()
      if (item !== undefined) {
        this.#bytes -= this.#options.bytesOf?.(item) ?? 0
        resolve({ done: false, value: item })
      } else if (this.#ended) this.#finish({ resolve, reject })
      else this.#waiting.push({ resolve, reject })
    })
  }

  return(): Promise<IteratorResult<Item, undefined>> {
    const early = !this.#ended
    this.#items.length = 0
    this.#error = undefined
    this.end()
    if (early) this.#options.abandoned?.()
    return Promise.resolve({ done: true, value: undefined })
  }

  /** The error is thrown once. */
  #finish({ resolve, reject }: Waiting<Item>): void {
    const error = this.#error
    this.#error = undefined
    if (error === undefined) resolve({ done: true, value: undefined })
    else reject(error)
  }
}
