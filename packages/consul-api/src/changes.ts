/**
 * What changed last, and who waits for it. An index is the wall time of the last change in
 * milliseconds, or one more than the index before: so it grows, also over a restart, and means
 * nothing to others.
 */
import type { Clock } from '@kith/interface'

/** All members, the names of all services, or one service. */
export type Topic = 'members' | 'services' | `service/${string}`

/** Changes that come within so many milliseconds of the first are told as one. */
const GATHER_MS = 10

export class Changes {
  readonly #clock: Clock
  #latest: number
  #members: number
  #services: number
  /** Of services that there are no more, or never were. */
  #gone: number
  readonly #byService = new Map<string, number>()
  readonly #waiting = new Map<Topic, Set<() => void>>()
  readonly #touched = new Set<Topic>()
  #cancelTimer: (() => void) | undefined

  constructor(clock: Clock) {
    this.#clock = clock
    const start = Math.max(1, clock.wallNow())
    this.#latest = this.#members = this.#services = this.#gone = start
  }

  /** Of whatever changed last among these. */
  index(topics: readonly Topic[]): number {
    return Math.max(...topics.map((topic) => this.#indexOf(topic)))
  }

  #indexOf(topic: Topic): number {
    if (topic === 'members') return this.#members
    if (topic === 'services') return this.#services
    return this.#byService.get(topic.slice('service/'.length)) ?? this.#gone
  }

  memberChanged(): void {
    this.#members = this.#next()
    this.#touch('members')
  }

  /** `there` says whether it has instances now. */
  serviceChanged(service: string, there: boolean): void {
    const index = this.#next()
    this.#services = index
    if (there) {
      this.#byService.set(service, index)
    } else {
      this.#byService.delete(service)
      this.#gone = index
    }
    this.#touch('services')
    this.#touch(`service/${service}`)
  }

  /** Resolves after the next change of one of them, or when the signal aborts. */
  async next(topics: readonly Topic[], signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    let wake = (): void => {}
    const woken = new Promise<void>((resolve) => {
      wake = resolve
    })
    for (const topic of topics) {
      const waiting = this.#waiting.get(topic) ?? new Set()
      this.#waiting.set(topic, waiting.add(wake))
    }
    signal.addEventListener('abort', wake, { once: true })
    try {
      await woken
    } finally {
      signal.removeEventListener('abort', wake)
      for (const topic of topics) this.#leave(topic, wake)
    }
  }

  stop(): void {
    this.#cancelTimer?.()
  }

  #leave(topic: Topic, wake: () => void): void {
    const waiting = this.#waiting.get(topic)
    waiting?.delete(wake)
    if (waiting?.size === 0) this.#waiting.delete(topic)
  }

  #next(): number {
    this.#latest = Math.max(this.#latest + 1, this.#clock.wallNow())
    return this.#latest
  }

  #touch(topic: Topic): void {
    if (!this.#waiting.has(topic)) return
    this.#touched.add(topic)
    this.#cancelTimer ??= this.#clock.after(GATHER_MS, () => this.#tell())
  }

  #tell(): void {
    this.#cancelTimer = undefined
    const wakes = [...this.#touched].flatMap((topic) => [...(this.#waiting.get(topic) ?? [])])
    this.#touched.clear()
    for (const wake of wakes) wake()
  }
}
