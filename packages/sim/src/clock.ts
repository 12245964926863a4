/** Time that passes only when a test says so, with every timer run in one defined order. */
import type { CancelTimer, Clock } from '@kith/interface'
import { SimError } from './errors.ts'

export interface RunOptions {
  /** The virtual millisecond at which to stop; every timer due until then has run. */
  readonly until: number
  /** Asked after each turn; true stops early, with the clock at the last timer that ran. */
  readonly stopWhen?: () => boolean
  /**
   * Lets asynchronous code react between two moments of virtual time. The default waits one turn of
   * the event loop, after which every chain of promises without real I/O has run to its end.
   */
  readonly settle?: () => Promise<void>
}

export interface VirtualClock extends Clock {
  /** Runs every timer due until `ms`, oldest deadline first, equal deadlines as they were set. */
  advanceTo(ms: number): void
  /** `advanceTo(now() + ms)`. */
  advanceBy(ms: number): void
  /** Deadline of the next timer; undefined where none is pending. */
  nextTimerAt(): number | undefined
  /** Timers that would still run. */
  readonly pendingTimers: number
  /** `after` for callers that never cancel, at an absolute time (the past means now): cheaper. */
  post(atMs: number, callback: () => void): void
  /** As `advanceTo`, with a chance for promises to settle between moments. */
  run(options: RunOptions): Promise<void>
  /** Runs timers as they come until `signal` aborts, as fast as the machine allows. */
  pump(signal: AbortSignal, settle?: () => Promise<void>): Promise<void>
}

export interface VirtualClockOptions {
  /** Wall time at virtual zero, milliseconds since 1970; default 2026-01-01T00:00:00Z. */
  readonly wallStartMs?: number
  /**
   * Timers that may run without time passing before it counts as an endless loop; default 1 000
   * 000.
   */
  readonly instantTimersMax?: number
}

interface Timer {
  readonly at: number
  readonly order: number
  callback: (() => void) | undefined
}

/** A clock that stands still at `startMs` until it is advanced. */
export function createVirtualClock(startMs = 0, options: VirtualClockOptions = {}): VirtualClock {
  return new HeapClock(startMs, options)
}

function earlier(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}

const oneTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

class HeapClock implements VirtualClock {
  #now: number
  #order = 0
  #cancelled = 0
  #heap: Timer[] = []
  #running = false
  readonly #wallStartMs: number
  readonly #instantTimersMax: number

  constructor(startMs: number, options: VirtualClockOptions) {
    this.#now = startMs
    this.#wallStartMs = (options.wallStartMs ?? 1_767_225_600_000) - startMs
    this.#instantTimersMax = options.instantTimersMax ?? 1_000_000
  }

  now(): number {
    return this.#now
  }

  wallNow(): number {
    return Math.floor(this.#wallStartMs + this.#now)
  }

  after(delayMs: number, callback: () => void): CancelTimer {
    const timer = this.#push(this.#now + Math.max(0, delayMs), callback)
    return () => {
      if (timer.callback === undefined) return
      timer.callback = undefined
      this.#cancelled += 1
      if (this.#cancelled > 256 && this.#cancelled * 2 > this.#heap.length) this.#compact()
    }
  }

  post(atMs: number, callback: () => void): void {
    this.#push(Math.max(this.#now, atMs), callback)
  }

  get pendingTimers(): number {
    return this.#heap.length - this.#cancelled
  }

  nextTimerAt(): number | undefined {
    for (let head = this.#heap[0]; head !== undefined; head = this.#heap[0]) {
      if (head.callback !== undefined) return head.at
      this.#pop()
      this.#cancelled -= 1
    }
    return undefined
  }

  advanceBy(ms: number): void {
    this.advanceTo(this.#now + ms)
  }

  advanceTo(ms: number): void {
    if (this.#running) throw new SimError('ERR_SIM_CLOCK', 'a timer must not advance the clock')
    if (!(ms >= this.#now)) {
      throw new SimError('ERR_SIM_CLOCK', `cannot go from ${this.#now} back to ${ms}`)
    }
    this.#running = true
    try {
      let instant = 0
      for (let at = this.nextTimerAt(); at !== undefined && at <= ms; at = this.nextTimerAt()) {
        instant = at > this.#now ? 0 : instant + 1
        this.#checkProgress(instant)
        this.#now = at
        this.#fire()
      }
      this.#now = ms
    } finally {
      this.#running = false
    }
  }

  async run(options: RunOptions): Promise<void> {
    const settle = options.settle ?? oneTurn
    await settle()
    for (let instant = 0; options.stopWhen?.() !== true;) {
      const at = this.nextTimerAt()
      if (at === undefined || at > options.until) {
        this.advanceTo(Math.max(this.#now, options.until))
        break
      }
      instant = at > this.#now ? 0 : instant + 1
      this.#checkProgress(instant)
      this.advanceTo(at)
      await settle()
    }
    await settle()
  }

  async pump(signal: AbortSignal, settle: () => Promise<void> = oneTurn): Promise<void> {
    while (!signal.aborted) {
      await settle()
      const at = this.nextTimerAt()
      if (at !== undefined && !signal.aborted) this.advanceTo(at)
    }
  }

  #checkProgress(instant: number): void {
    if (instant <= this.#instantTimersMax) return
    const text = `${instant} timers ran at ${this.#now} ms without time passing`
    throw new SimError('ERR_SIM_NO_PROGRESS', text)
  }

  #fire(): void {
    const timer = this.#pop()
    const callback = timer?.callback
    if (timer === undefined || callback === undefined) return
    timer.callback = undefined
    callback()
  }

  #push(at: number, callback: () => void): Timer {
    if (Number.isNaN(at)) throw new SimError('ERR_SIM_CLOCK', 'a timer needs a number as its time')
    const timer: Timer = { at, order: this.#order, callback }
    this.#order += 1
    this.#heap.push(timer)
    this.#rise(this.#heap.length - 1)
    return timer
  }

  #pop(): Timer | undefined {
    const heap = this.#heap
    const head = heap[0]
    const last = heap.pop()
    if (last !== undefined && last !== head) {
      heap[0] = last
      this.#sink(0)
    }
    return head
  }

  #rise(start: number): void {
    const heap = this.#heap
    const timer = heap[start] as Timer
    let index = start
    while (index > 0) {
      const above = (index - 1) >> 1
      const parent = heap[above] as Timer
      if (!earlier(timer, parent)) break
      heap[index] = parent
      index = above
    }
    heap[index] = timer
  }

  #sink(start: number): void {
    const heap = this.#heap
    const timer = heap[start] as Timer
    let index = start
    for (;;) {
      let below = 2 * index + 1
      if (below >= heap.length) break
      const right = below + 1
      if (right < heap.length && earlier(heap[right] as Timer, heap[below] as Timer)) below = right
      const child = heap[below] as Timer
      if (!earlier(child, timer)) break
      heap[index] = child
      index = below
    }
    heap[index] = timer
  }

  /** Cancelled timers stay in the heap until they are due; when they are most of it, they go. */
  #compact(): void {
    this.#heap = this.#heap.filter((timer) => timer.callback !== undefined)
    this.#cancelled = 0
    for (let index = (this.#heap.length >> 1) - 1; index >= 0; index -= 1) this.#sink(index)
  }
}
