/** Following one service: the current instances first, then each change, none of them stale. */
import type { ServiceInstance } from '@kith/interface'

/** Wakes everybody who waits for one service; a closed hub ends them. */
export class ChangeHub {
  readonly #waiting = new Map<string, Set<() => void>>()
  closed = false

  notify(service: string): void {
    const waiting = this.#waiting.get(service)
    this.#waiting.delete(service)
    for (const wake of waiting ?? []) wake()
  }

  close(): void {
    this.closed = true
    for (const service of [...this.#waiting.keys()]) this.notify(service)
  }

  /** Resolves at the next change, when the signal aborts, or when the hub closes. */
  async next(service: string, signal: AbortSignal | undefined): Promise<void> {
    if (this.closed || signal?.aborted === true) return
    let wake = (): void => {}
    const woken = new Promise<void>((resolve) => {
      wake = resolve
    })
    const waiting = this.#waiting.get(service) ?? new Set()
    this.#waiting.set(service, waiting.add(wake))
    signal?.addEventListener('abort', wake, { once: true })
    try {
      await woken
    } finally {
      signal?.removeEventListener('abort', wake)
      waiting.delete(wake)
      if (waiting.size === 0 && this.#waiting.get(service) === waiting)
        this.#waiting.delete(service)
    }
  }
}

/**
 * Yields what `read` gives now, and again whenever that changed. Changes that come while the
 * consumer is busy are one: it always gets the latest. Ends when the signal aborts or the hub
 * closes.
 */
export async function* follow(
  hub: ChangeHub,
  service: string,
  read: () => readonly ServiceInstance[],
  signal: AbortSignal | undefined,
): AsyncGenerator<readonly ServiceInstance[], void, undefined> {
  let last: readonly ServiceInstance[] | undefined
  while (!hub.closed && signal?.aborted !== true) {
    const current = read()
    if (last === undefined || !sameInstances(last, current)) {
      last = current
      yield current
    } else {
      await hub.next(service, signal)
    }
  }
}

/** Instances are immutable: a changed one is another object. */
function sameInstances(a: readonly ServiceInstance[], b: readonly ServiceInstance[]): boolean {
  return a === b || (a.length === b.length && a.every((instance, index) => instance === b[index]))
}
