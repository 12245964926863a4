/** One thread of the pool: jobs in, results or what was thrown out. */
import { parentPort } from 'node:worker_threads'
import type { Answer, Job } from './pool.ts'

async function run({ key, module, run, argument }: Job): Promise<Answer> {
  const before = process.threadCpuUsage()
  try {
    const exported = (await import(module)) as Record<string, (argument: unknown) => unknown>
    const result = await exported[run]?.(argument)
    const { user, system } = process.threadCpuUsage(before)
    return { key, result, seconds: (user + system) / 1e6 }
  } catch (cause) {
    return { key, error: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause) }
  }
}

parentPort?.on('message', (job: Job) => {
  void run(job).then((answer) => parentPort?.postMessage(answer))
})
