/**
 * Runs a target on bent inputs, keeps those that reach new code, and stops at the first input that
 * breaks a promise: an exception, too much memory at any moment, or too much time.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { crc32 } from 'node:zlib'
import { createRandom } from '@kith/interface'
import type { Random } from '@kith/interface'
import type { Coverage, Parts } from './coverage.ts'
import { peakBytes, resetPeak, residentBytes } from './memory.ts'
import { createBender } from './mutate.ts'
import type { FuzzTarget } from './target.ts'
import type { Watchdog } from './watchdog.ts'

/** Asking for the coverage costs a millisecond: often while much is found, then seldom. */
const batchSize = 256
const batchSizeLate = 1024
const lateAfter = 50_000
/** What any one input may add to the process at any moment. */
const growthBytesMax = 32 * 1024 * 1024
/** Processor time of one input, of which the least of three tries counts. */
const slowMsMax = 500
/** From here on it is looked at which input of a batch it was. */
const batchMsMax = 200

export interface FuzzFailure {
  readonly kind: 'threw' | 'memory' | 'slow'
  readonly input: Uint8Array
  readonly text: string
}

export interface FuzzResult {
  readonly inputs: number
  readonly ms: number
  /** Of the processor; the rest of the time others had it. */
  readonly processorMs: number
  /** How often each end was met. */
  readonly ends: Readonly<Record<string, number>>
  /** Characters of source that ran. */
  readonly characters: number
  /** What reached new code, in the order in which it was found. */
  readonly found: readonly Uint8Array[]
  /** The most by which memory grew within a batch of inputs. */
  readonly growthBytes: number
  /** The longest processor time of one input that was looked at; 0 where no batch was slow. */
  readonly slowestMs: number
  readonly failure?: FuzzFailure
}

export interface FuzzOptions {
  readonly target: FuzzTarget
  readonly corpus: readonly Uint8Array[]
  readonly inputs: number
  readonly seed: number
  readonly coverage: Coverage
  readonly watchdog: Watchdog
}

/** What an input takes by chance depends on the input alone. */
export function runInput(target: FuzzTarget, input: Uint8Array): string {
  return target.check(input, createRandom(crc32(input)))
}

export function fuzz(options: FuzzOptions): FuzzResult {
  return new Fuzzing(options).run()
}

class Fuzzing {
  readonly #options: FuzzOptions
  readonly #random: Random
  readonly #pool: Uint8Array[]
  readonly #ends = new Map<string, number>()
  readonly #found: Uint8Array[] = []
  #growthBytes = 0
  #slowestMs = 0
  #failure: FuzzFailure | undefined

  constructor(options: FuzzOptions) {
    this.#options = options
    this.#random = createRandom(options.seed)
    this.#pool = [...options.target.seeds(), ...options.corpus]
  }

  run(): FuzzResult {
    const { inputs, target, coverage } = this.#options
    const bend = createBender(target)
    const startedAt = performance.now()
    const processorAt = processorMs()
    let done = 0
    // What is known comes first: it is what the others are measured against.
    for (const input of this.#pool) this.#try(input)
    coverage.takeNew()
    while (done < inputs && this.#failure === undefined) {
      const size = done < lateAfter ? batchSize : batchSizeLate
      const batch = Array.from({ length: Math.min(size, inputs - done) }, () =>
        bend(this.#pick(), this.#random, this.#pick()),
      )
      this.#runBatch(batch)
      done += batch.length
    }
    return {
      inputs: done,
      ms: performance.now() - startedAt,
      processorMs: processorMs() - processorAt,
      ends: Object.fromEntries([...this.#ends].toSorted((a, b) => b[1] - a[1])),
      characters: coverage.characters,
      found: this.#found,
      growthBytes: this.#growthBytes,
      slowestMs: this.#slowestMs,
      ...(this.#failure === undefined ? {} : { failure: this.#failure }),
    }
  }

  /** Every third time one of what was found last. */
  #pick(): Uint8Array {
    const pool = this.#pool
    const recent = Math.min(pool.length, 32)
    const at =
      this.#random.below(3) === 0
        ? pool.length - 1 - this.#random.below(recent)
        : this.#random.below(pool.length)
    return pool[at] ?? new Uint8Array(0)
  }

  #runBatch(batch: readonly Uint8Array[]): void {
    resetPeak()
    const before = residentBytes()
    const startedAt = processorMs()
    for (const input of batch) this.#try(input)
    const grown = peakBytes() - before
    const spent = processorMs() - startedAt
    if (this.#failure !== undefined) return
    if (grown > growthBytesMax) this.#findLarge(batch)
    else this.#growthBytes = Math.max(this.#growthBytes, grown)
    if (spent > batchMsMax) this.#findSlow(batch)
    const fresh = this.#options.coverage.takeNew()
    if (fresh.size > 0) this.#attribute(batch, fresh)
  }

  #try(input: Uint8Array): void {
    if (this.#failure !== undefined) return
    this.#options.watchdog.note(input)
    try {
      const end = runInput(this.#options.target, input)
      this.#ends.set(end, (this.#ends.get(end) ?? 0) + 1)
    } catch (cause) {
      const text = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
      this.#failure = { kind: 'threw', input, text }
    }
  }

  /** Which inputs it was that reached `fresh`: they are worth bending further. */
  #attribute(batch: readonly Uint8Array[], fresh: Parts): void {
    const [only] = batch
    if (only !== undefined && batch.length === 1) {
      this.#found.push(only)
      this.#pool.push(only)
      return
    }
    const size = Math.ceil(batch.length / 8)
    const left = new Map(fresh)
    for (let at = 0; at < batch.length && left.size > 0; at += size) {
      const part = batch.slice(at, at + size)
      for (const input of part) runInput(this.#options.target, input)
      const reached = this.#options.coverage.takeOf(left)
      if (reached.size === 0) continue
      for (const name of reached.keys()) left.delete(name)
      this.#attribute(part, reached)
    }
  }

  /** Garbage of many inputs is nobody's fault: each is tried alone, with nothing to collect. */
  #findLarge(batch: readonly Uint8Array[]): void {
    const { target } = this.#options
    for (const input of batch) {
      const grown = least(() => {
        collectGarbage()
        resetPeak()
        const before = residentBytes()
        runInput(target, input)
        return peakBytes() - before
      }, growthBytesMax)
      this.#growthBytes = Math.max(this.#growthBytes, grown)
      if (grown <= growthBytesMax) continue
      const text = `${(grown / 1024 / 1024).toFixed(1)} MiB more at one moment`
      this.#failure = { kind: 'memory', input, text }
      return
    }
  }

  #findSlow(batch: readonly Uint8Array[]): void {
    const { target } = this.#options
    for (const input of batch) {
      const spent = least(() => {
        const startedAt = processorMs()
        runInput(target, input)
        return processorMs() - startedAt
      }, slowMsMax)
      this.#slowestMs = Math.max(this.#slowestMs, spent)
      if (spent <= slowMsMax) continue
      this.#failure = { kind: 'slow', input, text: `${spent.toFixed(0)} ms of processor time` }
      return
    }
  }
}

/** The least of three measurements; one is enough where it is within the bound. */
function least(measure: () => number, bound: number): number {
  let value = measure()
  for (let tries = 1; tries < 3 && value > bound; tries += 1) value = Math.min(value, measure())
  return value
}

/** Of this thread alone: what others do on the machine does not count. */
function processorMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

let collect: (() => void) | undefined

function collectGarbage(): void {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc')
    collect = runInNewContext('gc') as () => void
  }
  collect()
}

/** The smallest input that a few thousand tries find to fail in the same way. */
export function minimise(target: FuzzTarget, { kind, input, text }: FuzzFailure): Uint8Array {
  const first = (of: string): string => (of.split('\n')[0] ?? '').replaceAll(/\d+/g, '0')
  const fails = (bytes: Uint8Array): boolean => {
    try {
      runInput(target, bytes)
      return false
    } catch (cause) {
      return first(String(cause)) === first(text)
    }
  }
  let least = input
  if (kind !== 'threw' || !fails(input)) return input
  for (let size = Math.ceil(least.length / 2), tries = 0; size >= 1 && tries < 5000;) {
    let cut = false
    for (let at = 0; at < least.length && tries < 5000; tries += 1) {
      const shorter = Uint8Array.from([...least.subarray(0, at), ...least.subarray(at + size)])
      if (fails(shorter)) [least, cut] = [shorter, true]
      else at += size
    }
    if (!cut) size = Math.floor(size / 2)
  }
  return least
}
