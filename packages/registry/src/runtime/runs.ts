/** Runs of checks: starts what the core asks for and reports each end exactly once. */
import type { CheckResult, PluginContext } from '@kith/interface'
import { failure } from '../checks/problems.ts'
import type { BoundCheck } from './definition.ts'

export type RunEnded = (id: string, run: number, result: CheckResult) => void

const statuses: readonly unknown[] = ['passing', 'warning', 'critical']

export class CheckRuns {
  readonly #context: PluginContext
  readonly #ended: RunEnded
  readonly #running = new Map<number, { abort: AbortController; done: Promise<void> }>()

  constructor(context: PluginContext, ended: RunEnded) {
    this.#context = context
    this.#ended = ended
  }

  start(id: string, run: number, check: BoundCheck): void {
    const abort = new AbortController()
    const done = this.#attempt(check, abort.signal).then((result) => {
      this.#running.delete(run)
      this.#ended(id, run, result)
    })
    this.#running.set(run, { abort, done })
  }

  stop(run: number): void {
    this.#running.get(run)?.abort.abort(failure('told to stop'))
  }

  /** Tells all to stop; resolves when they did, which a check kind might never do. */
  async stopAll(): Promise<void> {
    const all = [...this.#running.values()]
    for (const { abort } of all) abort.abort(failure('the registry stops'))
    await Promise.all(all.map(({ done }) => done))
  }

  async #attempt(check: BoundCheck, signal: AbortSignal): Promise<CheckResult> {
    try {
      const result = await check.kind.run(check.options, signal, this.#context)
      if (statuses.includes(result?.status) && typeof result.output === 'string') return result
      return { status: 'critical', output: `the ${check.kind.kind} check gave no valid result` }
    } catch (cause) {
      const output = cause instanceof Error ? cause.message : String(cause)
      return { status: 'critical', output }
    }
  }
}
