/**
 * When the write-ahead log is copied into the file, and started over (LOG-28). A thread of its own
 * copies while commits go on, a little at a time: a flush of much takes so long that the flushes of
 * commits wait for it, behind it in the queue of the disk. Before the log is started over two
 * passes follow each other, so that little is left for the writer, whose commits wait meanwhile.
 */
import { Worker } from 'node:worker_threads'
import type { Clock } from '@kith/interface'
import { systemClock } from '@kith/interface/node'
import type { WalRestart } from '../store/figures.ts'
import type { CheckpointFigures } from './figures.ts'
import { threadEntry } from './thread-messages.ts'
import type { FromCheckpointer, ThreadData, ToCheckpointer } from './thread-messages.ts'

const mebibyte = 1024 * 1024
const passes = 2

/** Lengths of the write-ahead log, in bytes, roughly. */
export interface CheckpointLimits {
  /** The log is started over from here on: small ones never start the thread that copies. */
  readonly backgroundBytes: number
  /** Once that thread is there, it copies whenever so much is new. */
  readonly stepBytes: number
  /** Past this the log is started over at once, whatever the background is doing. */
  readonly walBytesMax: number
}

/** No option: what is gained or lost by other lengths is a matter of this machinery alone. */
const limitsOfLogs: CheckpointLimits = {
  backgroundBytes: 64 * mebibyte,
  stepBytes: mebibyte,
  walBytesMax: 128 * mebibyte,
}

/** How often it is tried between the two bounds, where a reader is in the way. */
const tries = 4

export interface Checkpoints {
  /**
   * Says how long the write-ahead log has become, and what of all that was ever written was new;
   * called after each commit.
   */
  grown(walBytes: number, freshBytes: number): void
  /** The writer started its write-ahead log over, or could not. */
  restarted(outcome: WalRestart): void
  figures(): CheckpointFigures
  close(): Promise<void>
}

/**
 * `restart` asks the writer to start its write-ahead log over; it answers with `restarted`. Where
 * that has time it is to wait for readers but a moment, because commits wait with it. Other
 * `limits` than those of a log are for tests, which have no time for so many bytes. `now` is
 * monotonic, in milliseconds.
 */
export function createCheckpoints(
  directory: string,
  restart: (hasTime: boolean) => void,
  limits: CheckpointLimits = limitsOfLogs,
  now: () => number = () => performance.now(),
): Checkpoints {
  return new BackgroundCheckpoints(directory, restart, limits, now)
}

class BackgroundCheckpoints implements Checkpoints {
  readonly #directory: string
  readonly #restart: (hasTime: boolean) => void
  readonly #limits: CheckpointLimits
  readonly #now: () => number
  #thread: Worker | undefined
  #passesLeft = 0
  /** The passes under way are the last before the log is started over. */
  #ending = false
  /** What was new when the last pass began. */
  #copiedAt = 0
  /** Length from which on it is to be started over. */
  #due: number
  #restarting = false
  #hasTime = false
  #broken = false
  #closed = false
  /** When the checkpoint under way began. */
  #began: number | undefined
  #done = 0
  #lastMs: number | undefined
  /** When the first of the checkpoints began that readers held up, one after the other. */
  #heldSince: number | undefined

  constructor(
    directory: string,
    restart: (hasTime: boolean) => void,
    limits: CheckpointLimits,
    now: () => number,
  ) {
    this.#directory = directory
    this.#due = limits.backgroundBytes
    this.#restart = restart
    this.#limits = limits
    this.#now = now
  }

  grown(walBytes: number, freshBytes: number): void {
    const { stepBytes, walBytesMax } = this.#limits
    if (this.#restarting || this.#closed) return
    if (walBytes >= walBytesMax) return this.#startOver(false)
    if (this.#passesLeft > 0 || this.#broken) return
    const step = this.#thread !== undefined && freshBytes >= this.#copiedAt + stepBytes
    this.#ending = walBytes >= this.#due
    if (!this.#ending && !step) return
    this.#copiedAt = freshBytes
    if (this.#ending) this.#began ??= this.#now()
    this.#run(this.#ending ? passes : 1)
  }

  restarted(outcome: WalRestart): void {
    this.#restarting = false
    const began = this.#began ?? this.#now()
    this.#began = undefined
    if (outcome === 'failed') return
    const { backgroundBytes, walBytesMax } = this.#limits
    if (outcome === 'held' && this.#hasTime) {
      this.#due += (walBytesMax - backgroundBytes) / tries
      return
    }
    this.#due = backgroundBytes
    this.#done += 1
    this.#lastMs = this.#now() - began
    this.#heldSince = outcome === 'held' ? (this.#heldSince ?? began) : undefined
  }

  figures(): CheckpointFigures {
    const last = this.#lastMs === undefined ? {} : { lastCheckpointMs: this.#lastMs }
    const heldMs = this.#heldSince === undefined ? 0 : this.#now() - this.#heldSince
    return { checkpoints: this.#done, ...last, heldMs }
  }

  #run(times: number): void {
    this.#passesLeft = times
    this.#thread ??= this.#startThread()
    this.#thread.postMessage({ kind: 'run' } satisfies ToCheckpointer)
  }

  #startThread(): Worker {
    const thread = startThread('checkpoint-thread', {
      directory: this.#directory,
      storage: 'sqlite',
    })
    thread.on('message', ({ kind }: FromCheckpointer) => {
      if (kind !== 'ran' || this.#closed) return
      if (this.#passesLeft > 1) return this.#run(this.#passesLeft - 1)
      this.#passesLeft = 0
      if (this.#ending) this.#startOver(true)
    })
    // Without it the writer still bounds its write-ahead log, only on the commit path.
    thread.on('error', () => {
      this.#thread = undefined
      this.#passesLeft = 0
      this.#broken = true
    })
    return thread
  }

  #startOver(hasTime: boolean): void {
    if (this.#restarting) return
    this.#restarting = true
    this.#hasTime = hasTime
    this.#began ??= this.#now()
    this.#restart(hasTime)
  }

  async close(): Promise<void> {
    this.#closed = true
    await endThread(this.#thread)
  }
}

export function startThread(name: string, workerData: ThreadData): Worker {
  const { url, execArgv } = threadEntry(name)
  return new Worker(url, { execArgv, workerData, name: `kith-log ${name}` })
}

export function exited(worker: Worker): Promise<void> {
  return new Promise((resolve) => worker.once('exit', () => resolve()))
}

/**
 * A last checkpoint of a large write-ahead log takes its time; a stuck disk must not hold up a
 * stop.
 */
const closeMsMax = 10_000

/** What a thread that was told to end at once has for that, unless the system keeps it. */
const terminateMsMax = 1_000

/**
 * Asks a thread to end, and ends it where it does not within its time. One that the system keeps
 * ends when that returns, and has the lock of its store until then; nobody waits for it.
 */
export async function endThread(
  thread: Worker | undefined,
  clock: Clock = systemClock,
): Promise<void> {
  if (thread === undefined || thread.threadId === -1) return
  const gone = exited(thread)
  thread.postMessage({ kind: 'close' })
  if (await happens(gone, closeMsMax, clock)) return
  void thread.terminate()
  if (!(await happens(gone, terminateMsMax, clock))) thread.unref()
}

function happens(event: Promise<void>, withinMs: number, clock: Clock): Promise<boolean> {
  return new Promise((resolve) => {
    const cancel = clock.after(withinMs, () => resolve(false))
    void event.then(() => {
      cancel()
      resolve(true)
    })
  })
}
