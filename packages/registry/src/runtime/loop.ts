/**
 * Keeps one core running: one timer, inputs in the order they come, outputs in the order they
 * left.
 */
import type { Clock } from '@kith/interface'
import { nextDeadline, step } from '../core/step.ts'
import type { Input, Output, State } from '../core/types.ts'

export class CoreLoop {
  readonly state: State
  readonly #clock: Clock
  readonly #carryOut: (output: Output) => void
  readonly #queue: Output[] = []
  #carrying = false
  #stopped = false
  #cancelTimer: (() => void) | undefined
  #timerAt: number | undefined

  constructor(state: State, clock: Clock, carryOut: (output: Output) => void) {
    this.state = state
    this.#clock = clock
    this.#carryOut = carryOut
  }

  /**
   * Steps at once; what comes out is carried out now too, or after the outputs before it where this
   * call came from one of them.
   */
  input(input: Input): void {
    if (this.#stopped) return
    this.#queue.push(...step(this.state, input, this.#clock.now()))
    this.#drain()
  }

  /** For inputs that are answered with bytes on the spot. */
  ask(input: Input): Uint8Array | undefined {
    if (this.#stopped) return undefined
    let answer: Uint8Array | undefined
    for (const output of step(this.state, input, this.#clock.now())) {
      if (output.kind === 'localState' || output.kind === 'fetchReply') answer = output.bytes
      else this.#queue.push(output)
    }
    this.#drain()
    return answer
  }

  stop(): void {
    this.#stopped = true
    this.#cancelTimer?.()
  }

  #drain(): void {
    if (this.#carrying) return
    this.#carrying = true
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        this.#carryOut(next)
      }
    } finally {
      this.#carrying = false
    }
    this.#setTimer()
  }

  #setTimer(): void {
    const at = this.#stopped ? undefined : nextDeadline(this.state)
    if (at === this.#timerAt) return
    this.#cancelTimer?.()
    this.#timerAt = at
    if (at === undefined) return
    this.#cancelTimer = this.#clock.after(Math.max(0, at - this.#clock.now()), () => {
      this.#timerAt = undefined
      this.input({ kind: 'deadline' })
    })
  }
}
