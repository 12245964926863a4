/**
 * Runs the core: one input after another, one timer, outputs in order. Whatever an output sets off
 * comes back as an input of its own and waits its turn, so that the core is never entered twice.
 */
import { releaseBytes } from '@kith/interface'
import type { CancelTimer, Clock } from '@kith/interface'
import { nextDeadline, step } from '../core/index.ts'
import type { Input, Output, State } from '../core/index.ts'

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

export function createEngine({ state, clock, execute, broken }: EngineOptions): Engine {
  const inputs: Input[] = []
  let running = false
  let stopped = false
  let timerAt: number | undefined
  let cancelTimer: CancelTimer = () => {}

  const stop = (): void => {
    stopped = true
    inputs.length = 0
    cancelTimer()
  }
  const setTimer = (): void => {
    const at = nextDeadline(state)
    if (stopped || at === timerAt) return
    cancelTimer()
    timerAt = at
    if (at === undefined) return
    cancelTimer = clock.after(Math.max(0, at - clock.now()), () => {
      timerAt = undefined
      run({ kind: 'deadline' })
    })
  }
  const drain = (): void => {
    // Read by index: an output of one input may append the next.
    for (let index = 0; index < inputs.length; index += 1) {
      const input = inputs[index]
      if (input === undefined) continue
      for (const output of step(state, input, clock.now())) execute(output)
      // The core keeps copies of what it needs, so a flood leaves nothing to collect but objects.
      if (input.kind === 'packet') releaseBytes(input.bytes)
    }
    inputs.length = 0
  }
  const run = (input: Input): void => {
    if (stopped) return
    inputs.push(input)
    if (running) return
    running = true
    try {
      drain()
      setTimer()
    } catch (cause) {
      stop()
      broken(cause)
    } finally {
      running = false
    }
  }
  return { run, stop }
}
