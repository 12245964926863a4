/** Talks to the attacked process: its reports, its memory, its end. */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { TargetReport } from './target.ts'

const script = fileURLToPath(new URL('target.ts', import.meta.url))
const pageBytes = 4096
/**
 * MiB of each half of V8's space for young objects. Left alone V8 takes 1 to 32, as it likes, which
 * would drown what the program itself holds on to; SECURITY.md says how to set it for a member.
 */
const youngHalfMiB = 8
/**
 * Bytes from which glibc gives a block back to the system when it is freed. Left alone it raises
 * this to the largest block it saw, up to 32 MiB, and keeps what was freed as resident memory: some
 * 15 MiB after all attacks, once 34.
 */
const keptBlockBytesMax = 128 * 1024

interface Question {
  resolve(answer: unknown): void
  reject(cause: Error): void
}

export class TargetProcess {
  readonly first: TargetReport
  readonly #child: ChildProcess
  readonly #questions: Question[]
  readonly #exited: Promise<unknown>
  #complaints = ''

  private constructor(child: ChildProcess, first: TargetReport, questions: Question[]) {
    this.#child = child
    this.first = first
    this.#questions = questions
    child.stderr?.on('data', (text: Buffer) => {
      this.#complaints = (this.#complaints + text.toString()).slice(-4_000)
    })
    child.on('message', (answer) => questions.shift()?.resolve(answer))
    this.#exited = once(child, 'exit').then(([code, signal]) => {
      const gone = new Error(`the target ended with ${code ?? signal}: ${this.#complaints}`)
      for (const question of questions.splice(0)) question.reject(gone)
    })
  }

  static start(name: string, ...seeds: readonly string[]): Promise<TargetProcess> {
    return TargetProcess.#start([name, ...seeds], {})
  }

  /** One whose gossip is encrypted with the keys of this file. */
  static startEncrypted(name: string, keyring: string): Promise<TargetProcess> {
    return TargetProcess.#start([name], { KITH_TARGET_KEYRING: keyring })
  }

  static async #start(
    args: readonly string[],
    env: Readonly<Record<string, string>>,
  ): Promise<TargetProcess> {
    const execArgv = [
      '--conditions=@kith/source',
      '--expose-gc',
      `--max-semi-space-size=${youngHalfMiB}`,
    ]
    const stdio: ('ignore' | 'pipe' | 'ipc')[] = ['ignore', 'ignore', 'pipe', 'ipc']
    const allocator = { MALLOC_MMAP_THRESHOLD_: String(keptBlockBytesMax) }
    const whole = { ...process.env, ...allocator, ...env }
    const child = fork(script, args, { execArgv, stdio, env: whole })
    const [first] = (await once(child, 'message')) as [TargetReport]
    return new TargetProcess(child, first, [])
  }

  get alive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Its last words on standard error. */
  get complaints(): string {
    return this.#complaints
  }

  /** Resident memory now, as the system sees it: also while the process is too busy to answer. */
  get rssBytes(): number {
    const [, resident = '0'] = readFileSync(`/proc/${this.#child.pid}/statm`, 'utf8').split(' ')
    return Number(resident) * pageBytes
  }

  report(): Promise<TargetReport> {
    return this.#ask('report')
  }

  /** A report after a collection of garbage, so that `rssBytes` is what is really kept. */
  collect(): Promise<TargetReport> {
    return this.#ask('collect')
  }

  /** Milliseconds that `agent.stop()` took, once it had left the cluster. */
  async stop(): Promise<number> {
    const { stoppedMs } = await this.#ask<{ stoppedMs: number }>('stop')
    return stoppedMs
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exited
  }

  /** One question at a time is answered, in order. */
  async #ask<Answer = TargetReport>(question: string): Promise<Answer> {
    if (!this.alive) throw new Error(`the target is gone: ${this.#complaints}`)
    return await new Promise<Answer>((resolve, reject) => {
      this.#questions.push({ resolve: (answer) => resolve(answer as Answer), reject })
      this.#child.send(question)
    })
  }
}

/** The highest resident memory while `work` ran, looked at every 20 ms. */
export async function peakRss(target: TargetProcess, work: () => Promise<void>): Promise<number> {
  let peak = target.rssBytes
  const look = setInterval(() => {
    if (target.alive) peak = Math.max(peak, target.rssBytes)
  }, 20)
  try {
    await work()
  } finally {
    clearInterval(look)
  }
  return Math.max(peak, target.rssBytes)
}
