/** What came and was not consumed yet, as one iteration over it. */

interface Waiter<Item> {
  resolve(result: IteratorResult<Item, undefined>): void
  reject(cause: Error): void
}

export interface ItemQueue<Item> extends AsyncIterableIterator<Item, undefined> {
  readonly length: number
  push(item: Item): void
  /** Ends the iteration after what was pushed; with a cause it then rejects. Only once. */
  close(cause?: Error): void
}

export interface QueueHooks {
  /** The consumer took one. */
  taken(): void
  /** The consumer needs no more, or there is no more. */
  over(): void
}

export function createQueue<Item>({ taken, over }: QueueHooks): ItemQueue<Item> {
  const items: Item[] = []
  const waiters: Waiter<Item>[] = []
  let closed = false
  let failure: Error | undefined

  function finish(waiter: Waiter<Item>): void {
    const cause = failure
    // An iteration fails once; whoever asks again finds it ended.
    failure = undefined
    if (cause === undefined) waiter.resolve({ done: true, value: undefined })
    else waiter.reject(cause)
  }
  function close(cause?: Error): void {
    if (closed) return
    closed = true
    failure = cause
    for (const waiter of waiters.splice(0)) finish(waiter)
    over()
  }
  return {
    get length() {
      return items.length
    },
    push(item) {
      if (closed) return
      const waiter = waiters.shift()
      if (waiter === undefined) items.push(item)
      else waiter.resolve({ done: false, value: item })
    },
    close,
    next() {
      const item = items.shift()
      if (item !== undefined) {
        taken()
        return Promise.resolve({ done: false, value: item })
      }
      return new Promise((resolve, reject) => {
        const waiter = { resolve, reject }
        if (closed) finish(waiter)
        else waiters.push(waiter)
      })
    },
    return() {
      items.length = 0
      close()
      return Promise.resolve({ done: true, value: undefined })
    },
    throw(cause: Error) {
      items.length = 0
      close()
      return Promise.reject(cause)
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
