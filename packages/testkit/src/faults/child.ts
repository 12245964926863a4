/**
 * The program of a process that works on a store until its steps are done, a fault ends it, or
 * somebody kills it. Its only argument is a plan.
 */
import { existsSync, rmSync, writeSync } from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'
import { isKithError } from '@kith/interface'
import type { LogStore } from '@kith/interface'
import { ConformanceFailure } from '../expect.ts'
import { createHistory } from './history.ts'
import type { History } from './history.ts'
import { openJournal } from './journal.ts'
import type { Note } from './journal.ts'
import { judge, stepsOf, textOf } from './judge.ts'
import { loadStore } from './subject.ts'
import type { OpenLogStore } from './subject.ts'

export interface Plan {
  readonly module: string
  readonly export: string
  readonly directory: string
  /** Where it notes what it sees, outside of anything that fails. */
  readonly journal: string
  readonly seed: number
  readonly valueBytesMax: number
  /** Steps that are held for sure, and that may be. */
  readonly atLeast: number
  readonly atMost: number
  /** It goes on until so many steps are held. */
  readonly steps: number
  /** Prints a character for each step. */
  readonly progress: boolean
  /** A file that takes away space: removed at the first failure. */
  readonly filler?: string
}

/** Consecutive failures after which a fault is taken to be one that stays. */
const failuresMax = 4

class Life {
  private held: number
  private durable: number
  private failures = 0
  private store: LogStore | undefined
  private readonly plan: Plan
  private readonly open: OpenLogStore
  private readonly history: History
  private readonly note: Note

  constructor(plan: Plan, open: OpenLogStore, note: Note) {
    this.plan = plan
    this.open = open
    this.note = note
    this.history = createHistory(plan.seed, plan.valueBytesMax)
    this.durable = plan.atLeast
    this.held = plan.atMost
  }

  async run(): Promise<void> {
    while (this.failures < failuresMax) {
      this.store ??= await this.opened()
      if (this.store === undefined) continue
      if (this.held >= this.plan.steps) return await this.end(this.store)
      await this.commit(this.store)
      // What the store does beside its commits has its turn.
      await turn()
    }
    this.note({ kind: 'gave-up', why: `${failuresMax} failures in a row` })
    await this.close(this.store)
  }

  /** Undefined where it does not open; what it holds then is judged by whoever opens it next. */
  private async opened(): Promise<LogStore | undefined> {
    let store: LogStore | undefined
    try {
      store = this.open(this.plan.directory)
      const state = store.open()
      const bounds = { atLeast: this.durable, atMost: this.held }
      this.held = stepsOf(judge(store, state, this.history, bounds))
    } catch (cause) {
      // A fault may hit its readers as well; a broken promise is something else.
      if (cause instanceof ConformanceFailure) throw cause
      this.failed(cause)
      await this.close(store)
      return undefined
    }
    this.durable = this.held
    this.note({ kind: 'opened', steps: this.held })
    return store
  }

  private async commit(store: LogStore): Promise<void> {
    const { changes, flush } = this.history.step(this.held)
    try {
      store.commit(changes, flush)
    } catch (cause) {
      this.failed(cause)
      if (codeOf(cause) === 'ERR_LOG_STORE_FULL') await this.nothingChanged(store)
      else {
        // Whether it is stored nobody knows: that is found out by opening the store again.
        await this.close(store)
        this.held += 1
      }
      return
    }
    this.held += 1
    if (flush) this.durable = this.held
    this.failures = 0
    this.note({ kind: 'done', steps: this.held, flush })
    if (this.plan.progress) writeSync(1, '.')
  }

  private failed(cause: unknown): void {
    this.failures += 1
    const code = codeOf(cause)
    this.note({ kind: 'failed', steps: this.held, code })
    const { filler } = this.plan
    if (filler !== undefined && existsSync(filler)) rmSync(filler)
  }

  /** The store goes on as it is, once there is room. */
  private async nothingChanged(store: LogStore): Promise<void> {
    try {
      const reader = store.reader()
      const bounds = { atLeast: this.held, atMost: this.held }
      stepsOf(judge(store, reader.state(), this.history, bounds))
      reader.close()
    } catch (cause) {
      if (cause instanceof ConformanceFailure) throw cause
      this.failed(cause)
      await this.close(store)
    }
  }

  private async end(store: LogStore): Promise<void> {
    try {
      await ended(store)
      this.note({ kind: 'closed' })
    } catch (cause) {
      this.note({ kind: 'failed', steps: this.held, code: codeOf(cause) })
    }
  }

  /** A store that failed may fail in closing as well. */
  private async close(store: LogStore | undefined): Promise<void> {
    try {
      if (store !== undefined) await ended(store)
    } catch {
      // Whatever it is, the next opening has to cope with it.
    }
    this.store = undefined
  }
}

async function ended(store: LogStore & Partial<AsyncDisposable>): Promise<void> {
  const dispose = store[Symbol.asyncDispose]
  if (dispose === undefined) store.close()
  else await dispose.call(store)
}

function codeOf(cause: unknown): string {
  return isKithError(cause) ? cause.code : `untyped: ${textOf(cause).slice(0, 200)}`
}

const plan = JSON.parse(process.argv[2] ?? '{}') as Plan
const note = openJournal(plan.journal)
try {
  const open = await loadStore(plan)
  await new Life(plan, open, note).run()
} catch (cause) {
  note({ kind: 'wrong', why: textOf(cause) })
}
