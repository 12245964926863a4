/**
 * Runs the core: one input after another, one timer, outputs in order. Whatever an output sets off
 * comes back as an input of its own and waits its turn, so that the core is never entered twice.
 *
 * After the event loop was blocked its timers run before anything is read. So the engine keeps an
 * eye on the loop, tells the core of lost time before anything else, and has a deadline that comes
 * late wait until the sockets are empty: what others answered in time then counts as in time.
 */
import { releaseBytes } from '@kith/interface'
import type { CancelTimer, Clock } from '@kith/interface'
import { stallToleratedMs } from '../core/health.ts'
import { nextDeadline, step } from '../core/index.ts'
import type { Input, Output, State } from '../core/index.ts'

/** A timer may be this late without a cause worth mentioning. */
const lateMsMin = 20
/** A deadline that is this late waits for what the sockets still hold. */
const readFirstMs = 5
/** At most for this part of what the core tolerates, which would else give back that time too. */
const readFirstShare = 0.5
/** How often the loop is looked at, as a part of what a probe may take, and at most and least. */
const beatsPerProbe = 4
const beatMsMin = 50
const beatMsMax = 250

export interface Engine {
  /** Runs this input and all that follow from it. */
  run(input: Input): void
  /** No input has any effect from here on. */
  stop(): void
}

export interface EngineOptions {
  readonly state: State
  readonly clock: Clock
  readonly execute: (output: Output) => void
  /** The core or an output threw: a mistake of ours. The engine has stopped. */
  readonly broken: (cause: unknown) => void
}

export function createEngine(options: EngineOptions): Engine {
  const engine = new CoreEngine(options)
  return { run: (input) => engine.run(input), stop: () => engine.stop() }
}

class CoreEngine {
  readonly #options: EngineOptions
  readonly #inputs: Input[] = []
  readonly #beatMs: number
  readonly #readFirstMsMax: number
  #running = false
  #stopped = false
  #timerAt: number | undefined
  #cancelTimer: CancelTimer = () => {}
  #cancelBeat: CancelTimer = () => {}
  /** When the loop must have turned again. */
  #beatDueAt: number | undefined
  #packets = 0
  /** A late deadline waits for the sockets. */
  #reading = false

  constructor(options: EngineOptions) {
    this.#options = options
    const { timings } = options.state
    const { probeTimeoutMs } = timings
    this.#readFirstMsMax = stallToleratedMs(timings) * readFirstShare
    this.#beatMs = Math.min(beatMsMax, Math.max(beatMsMin, probeTimeoutMs / beatsPerProbe))
  }

  run(input: Input): void {
    if (this.#stopped) return
    if (this.#beatDueAt === undefined) this.#beat()
    else if (!this.#running) this.#noticeLost()
    this.#inputs.push(input)
    this.#work()
  }

  stop(): void {
    this.#stopped = true
    this.#inputs.length = 0
    this.#cancelTimer()
    this.#cancelBeat()
  }

  #work(): void {
    if (this.#running) return
    this.#running = true
    try {
      this.#drain()
      this.#setTimer()
    } catch (cause) {
      this.stop()
      this.#options.broken(cause)
    } finally {
      this.#running = false
    }
  }

  #drain(): void {
    const { state, clock, execute } = this.#options
    const inputs = this.#inputs
    // Read by index: an output of one input may append the next.
    for (let index = 0; index < inputs.length; index += 1) {
      const input = inputs[index]
      if (input === undefined) continue
      for (const output of step(state, input, clock.now())) execute(output)
      if (input.kind !== 'packet') continue
      this.#packets += 1
      // The core keeps copies of what it needs, so a flood leaves nothing to collect but objects.
      releaseBytes(input.bytes)
    }
    inputs.length = 0
  }

  #setTimer(): void {
    const { state, clock } = this.#options
    const at = nextDeadline(state)
    if (this.#stopped || this.#reading || at === this.#timerAt) return
    this.#cancelTimer()
    this.#timerAt = at
    if (at === undefined) return
    this.#cancelTimer = clock.after(Math.max(0, at - clock.now()), () => this.#due(at))
  }

  #due(at: number): void {
    const now = this.#options.clock.now()
    if (now - at <= readFirstMs) return this.#pass()
    this.#noticeLost()
    this.#work()
    if (!this.#stopped) this.#readFirst(now + this.#readFirstMsMax)
  }

  /** Each turn of the loop reads a few dozen packets; the first turn without any is the end. */
  #readFirst(until: number): void {
    const { clock } = this.#options
    const before = this.#packets
    this.#reading = true
    this.#cancelTimer()
    this.#cancelTimer = clock.after(0, () => {
      if (this.#packets !== before && clock.now() < until) this.#readFirst(until)
      else this.#pass()
    })
  }

  #pass(): void {
    this.#reading = false
    this.#timerAt = undefined
    this.run({ kind: 'deadline' })
  }

  #beat(): void {
    const { clock } = this.#options
    this.#beatDueAt = clock.now() + this.#beatMs
    this.#cancelBeat = clock.after(this.#beatMs, () => {
      this.#noticeLost()
      this.#work()
      if (!this.#stopped) this.#beat()
    })
  }

  /** Tells the core of time in which the loop did not turn, once. */
  #noticeLost(): void {
    const { clock } = this.#options
    const now = clock.now()
    const lateMs = now - (this.#beatDueAt ?? now)
    if (lateMs <= lateMsMin) return
    this.#beatDueAt = now
    this.#inputs.push({ kind: 'late', lateMs })
  }
}
