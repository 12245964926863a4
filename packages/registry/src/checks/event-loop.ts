/**
 * `event-loop`: how late this process answers its own timers. For a service in this process, whose
 * port still accepts connections while nobody comes to serve them.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { CheckKind, CheckResult } from '@kith/interface'
import { failure, OptionReader } from './problems.ts'

export interface EventLoopCheckOptions {
  /** Delay in milliseconds, at the 99th percentile, from which on it warns; default 100. */
  readonly warningMs: number
  /** The same for critical; default 1 000. */
  readonly criticalMs: number
  /** How long one run watches, in milliseconds; default 1 000, below the check's `timeoutMs`. */
  readonly windowMs: number
}

const resolutionMs = 10
/** In a window this long a loop that turns takes a sample; in a shorter one perhaps none. */
const sampledWindowMs = 4 * resolutionMs
const millisecondsMax = 600_000

export function eventLoopCheck(): CheckKind<EventLoopCheckOptions> {
  return {
    kind: 'event-loop',
    parse(options: unknown) {
      const reader = new OptionReader(options)
      const want = `an integer from 1 to ${millisecondsMax}`
      const warningMs = reader.field('warningMs', isMilliseconds, want, 100)
      const criticalMs = reader.field('criticalMs', isMilliseconds, want, 1_000)
      const windowMs = reader.field('windowMs', isMilliseconds, want, 1_000)
      reader.done()
      if (criticalMs >= warningMs) return Object.freeze({ warningMs, criticalMs, windowMs })
      throw failure(`criticalMs must be at least warningMs (${warningMs}), got ${criticalMs}`)
    },
    run: (options, signal, { clock }) =>
      new Promise<CheckResult>((resolve, reject) => {
        signal.throwIfAborted()
        const startedAt = clock.now()
        const histogram = monitorEventLoopDelay({ resolution: resolutionMs })
        histogram.enable()
        const stop = (): void => {
          histogram.disable()
          cancel()
          reject(failure('told to stop', signal.reason))
        }
        const cancel = clock.after(options.windowMs, () => {
          signal.removeEventListener('abort', stop)
          histogram.disable()
          const elapsedMs = clock.now() - startedAt
          // A loop that stood still all the while took no sample.
          const still = histogram.count === 0 && options.windowMs >= sampledWindowMs
          // Each sample holds the time that was waited for, and what it came late.
          const sampledMs = still ? elapsedMs : histogram.percentile(99) / 1e6 - resolutionMs
          resolve(judge(Math.max(0, sampledMs, elapsedMs - options.windowMs), options))
        })
        signal.addEventListener('abort', stop, { once: true })
      }),
  }
}

function judge(delayMs: number, { warningMs, criticalMs }: EventLoopCheckOptions): CheckResult {
  const output = `the event loop is ${delayMs.toFixed(1)} ms late (99th percentile)`
  const status = delayMs >= criticalMs ? 'critical' : delayMs >= warningMs ? 'warning' : 'passing'
  return { status, output }
}

function isMilliseconds(value: unknown): value is number {
  const whole = typeof value === 'number' && Number.isInteger(value)
  return whole && value >= 1 && value <= millisecondsMax
}
