/**
 * Runs of the simulator on every processor: each is a function of its own module, called with what
 * can be cloned, in a worker thread that is used for one after another.
 */
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'

export interface Job {
  /** Names the job in a journal; unique within a list. */
  readonly key: string
  /** URL of the module, and the name of the function it exports. */
  readonly module: string
  readonly run: string
  readonly argument: unknown
}

/** What a worker answers. */
export type Answer =
  /** `seconds` of a processor. */
  | { readonly key: string; readonly result: unknown; readonly seconds: number }
  | { readonly key: string; readonly error: string }

export interface PoolOptions {
  /** Worker threads; default one for each processor. */
  readonly workers?: number
  /** No further job is begun once this is true. */
  readonly enough?: () => boolean
}

/** Hands each result to `done` as it comes; rejects with the first job that threw. */
export async function runJobs<Result>(
  jobs: readonly Job[],
  done: (job: Job, result: Result, seconds: number) => void,
  options: PoolOptions = {},
): Promise<void> {
  const waiting = [...jobs].toReversed()
  const byKey = new Map(jobs.map((job) => [job.key, job]))
  const count = Math.min(options.workers ?? availableParallelism(), Math.max(1, jobs.length))
  const work = async (): Promise<void> => {
    const worker = new Worker(new URL('worker.ts', import.meta.url), {
      execArgv: ['--conditions=@kith/source'],
    })
    try {
      for (;;) {
        const job = options.enough?.() === true ? undefined : waiting.pop()
        if (job === undefined) return
        const answer = await ask(worker, job)
        if ('error' in answer) throw new Error(answer.error)
        const asked = byKey.get(answer.key)
        if (asked !== undefined) done(asked, answer.result as Result, answer.seconds)
      }
    } catch (cause) {
      waiting.length = 0
      throw cause
    } finally {
      await worker.terminate()
    }
  }
  const ends = await Promise.allSettled(Array.from({ length: count }, work))
  const failed = ends.find((end) => end.status === 'rejected')
  if (failed !== undefined) throw failed.reason
}

function ask(worker: Worker, job: Job): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const settle = (): void => void worker.off('message', heard).off('error', died)
    const heard = (answer: Answer): void => (settle(), resolve(answer))
    const died = (cause: Error): void => (settle(), reject(cause))
    worker.on('message', heard).on('error', died)
    worker.postMessage(job)
  })
}
