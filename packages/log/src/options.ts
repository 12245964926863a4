/** Options of a log: defaults, limits and the check that reports everything wrong at once. */
import { describeProblems } from '@kith/interface'
import type {
  Clock,
  Digests,
  Logger,
  LogStoreFactory,
  OptionProblem,
  Random,
} from '@kith/interface'
import type { RetentionPolicy } from './core/retain.ts'
import { LogError } from './errors.ts'

/** Bounds on what is kept, looked after by the log itself. */
export interface RetentionOptions extends RetentionPolicy {
  /**
   * Milliseconds between two looks, 10 to 3 600 000. Less keeps closer to the bounds; each look
   * costs a read of the oldest batch. Default 10 000.
   */
  readonly checkMs?: number
}

/** How the log looks for damage by itself. */
export interface ScrubOptions {
  /** Bytes of batches read and checked a second, 1 024 to 1 GiB. Default 8 MiB. */
  readonly bytesPerSecond?: number
  /**
   * Milliseconds between two passes, counted over restarts, 1 000 to 604 800 000. Default
   * 86 400 000: a day.
   */
  readonly everyMs?: number
}

/** What a log in a directory is kept in. */
export type LogStorage = 'sqlite' | 'segment'

export interface LogOptions {
  /** Keeps the log in this directory, made where missing. Absent: a memory store. */
  readonly directory?: string
  /**
   * How a new log is kept in `directory`: `sqlite`, in one SQLite file; or `segment`, in files of
   * batches with a SQLite index, which takes more appends a second, and frees whole files when
   * retention drops. A log that is there stays as it is; asked for by the other name it is
   * `ERR_LOG_FORMAT`. Default: as the log there, `sqlite` where there is none.
   */
  readonly storage?: LogStorage
  /** A store of your own; excludes `directory` and runs with the `inline` writer. */
  readonly store?: LogStoreFactory
  /**
   * Looks at the log in `directory` while another process, or another log of this one, writes it or
   * nobody does: reads, tails and verifies; what would change it is `ERR_LOG_READ_ONLY`. Excludes
   * `store`, `writer`, `gate`, `retention` and `scrub`. Default false.
   */
  readonly readOnly?: boolean
  /**
   * Milliseconds between two looks for new records where a tail waits, 1 to 60 000; only with
   * `readOnly`. Less sees them sooner; each look that finds some costs a flush. Default 20.
   */
  readonly pollMs?: number
  /** The member's name, kept as the label of the own origin. Default: empty. */
  readonly member?: string
  /**
   * Where commits run: `worker` keeps the caller's event loop free and is the default for a
   * directory; `inline` blocks it for each commit and is the only choice for other stores.
   */
  readonly writer?: 'worker' | 'inline'
  /**
   * `wait` where other members are expected: after a start with a stored history appends answer
   * `ERR_LOG_NOT_READY` until `openGate()` or `gateMs`. Default `open`.
   */
  readonly gate?: 'open' | 'wait'
  /**
   * Milliseconds a waiting gate waits, 10 to 600 000. Less risks a needless rotation. Default 5
   * 000.
   */
  readonly gateMs?: number
  /** One encoded record with key and headers, in bytes, 1 to 1 MiB. Default 1 MiB. */
  readonly recordBytesMax?: number
  /**
   * All records of one append, in bytes, at least `recordBytesMax`, at most 256 MiB. Default 16
   * MiB.
   */
  readonly appendBytesMax?: number
  /**
   * Bytes that may wait for their commit, at least `appendBytesMax`, at most 4 GiB. Beyond it calls
   * are refused at once with `ERR_LOG_OVERLOADED`. Default 64 MiB.
   */
  readonly queuedBytesMax?: number
  /** Bytes of recent batches kept for readers, 0 to 1 GiB. Default 8 MiB. */
  readonly cacheBytesMax?: number
  /** Producers remembered; the one unused the longest is forgotten. 1 to 65 536. Default 4 096. */
  readonly producersMax?: number
  /** What the log drops by itself. Default: nothing. */
  readonly retention?: RetentionOptions
  /** Looks over all batches again and again; a pass goes on where the last run left it. */
  readonly scrub?: ScrubOptions
  readonly clock?: Clock
  readonly random?: Random
  readonly logger?: Logger
  readonly digests?: Digests
}

export interface ResolvedLimits {
  readonly gateMs: number
  readonly pollMs: number
  readonly recordBytesMax: number
  readonly appendBytesMax: number
  readonly queuedBytesMax: number
  readonly cacheBytesMax: number
  readonly producersMax: number
}

export interface ResolvedOptions extends ResolvedLimits {
  readonly readOnly: boolean
  readonly directory: string | undefined
  readonly storage: LogStorage | undefined
  readonly store: LogStoreFactory | undefined
  readonly member: string
  readonly writer: 'worker' | 'inline'
  readonly gate: 'open' | 'wait'
  readonly retention: (RetentionPolicy & { readonly checkMs: number }) | undefined
  readonly scrub: Required<ScrubOptions> | undefined
}

const mebibyte = 1024 * 1024

const ranges: Readonly<Record<keyof ResolvedLimits, readonly [number, number, number]>> = {
  gateMs: [5_000, 10, 600_000],
  pollMs: [20, 1, 60_000],
  recordBytesMax: [mebibyte, 1, mebibyte],
  appendBytesMax: [16 * mebibyte, 1, 256 * mebibyte],
  queuedBytesMax: [64 * mebibyte, 1, 4096 * mebibyte],
  cacheBytesMax: [8 * mebibyte, 0, 1024 * mebibyte],
  producersMax: [4_096, 1, 65_536],
}

const optionNames: ReadonlySet<string> = new Set<keyof LogOptions>([
  'directory',
  'storage',
  'store',
  'readOnly',
  'pollMs',
  'member',
  'writer',
  'gate',
  'gateMs',
  'recordBytesMax',
  'appendBytesMax',
  'queuedBytesMax',
  'cacheBytesMax',
  'producersMax',
  'retention',
  'scrub',
  'clock',
  'random',
  'logger',
  'digests',
])

/** Pure; throws `ERR_LOG_OPTIONS` naming every problem. Never writes into what it was given. */
export function resolveOptions(options: LogOptions): ResolvedOptions {
  const problems: OptionProblem[] = Object.entries(options)
    .filter(([field]) => !optionNames.has(field))
    .map(([field, value]) => problem(field, value, 'left out: it is not an option'))
  const limits = resolveLimits(options, problems)
  const { directory, storage, store, member = '', gate = 'open' } = options
  const writer = options.writer ?? (directory === undefined ? 'inline' : 'worker')
  if (directory !== undefined && (typeof directory !== 'string' || directory === '')) {
    problems.push(problem('directory', directory, 'a path'))
  }
  if (store !== undefined && typeof store !== 'function') {
    problems.push(problem('store', store, 'a store factory'))
  }
  if (directory !== undefined && store !== undefined) {
    problems.push({ field: 'store', got: 'a directory as well', want: 'given without a directory' })
  }
  if (storage !== undefined && storage !== 'sqlite' && storage !== 'segment') {
    problems.push(problem('storage', storage, "'sqlite' or 'segment'"))
  } else if (storage !== undefined && directory === undefined) {
    problems.push(problem('storage', storage, 'left out where no directory is given'))
  }
  if (typeof member !== 'string' || member.length > 128) {
    problems.push(problem('member', member, 'a string of at most 128 characters'))
  }
  if (writer !== 'worker' && writer !== 'inline') {
    problems.push(problem('writer', writer, "'worker' or 'inline'"))
  } else if (writer === 'worker' && directory === undefined) {
    problems.push(problem('writer', writer, "'inline' where no directory is given"))
  }
  if (gate !== 'open' && gate !== 'wait') problems.push(problem('gate', gate, "'open' or 'wait'"))
  const retention = resolveRetention(options.retention, problems)
  const scrub = resolveScrub(options.scrub, problems)
  const readOnly = resolveReadOnly(options, problems)
  if (problems.length > 0) {
    throw new LogError('ERR_LOG_OPTIONS', describeProblems(problems), { details: problems })
  }
  const places = { readOnly, directory, storage, store, member, writer, gate }
  return Object.freeze({ ...limits, ...places, retention, scrub })
}

function resolveLimits(options: LogOptions, problems: OptionProblem[]): ResolvedLimits {
  const values: Record<string, number> = {}
  for (const [field, [fallback, low, high]] of Object.entries(ranges)) {
    const value = options[field as keyof ResolvedLimits] ?? fallback
    values[field] = value
    if (!Number.isInteger(value) || value < low || value > high) {
      problems.push(problem(field, value, `an integer from ${low} to ${high}`))
    }
  }
  const limits = values as unknown as ResolvedLimits
  const { recordBytesMax, appendBytesMax, queuedBytesMax } = limits
  if (appendBytesMax < recordBytesMax) {
    problems.push(problem('appendBytesMax', appendBytesMax, 'at least recordBytesMax'))
  }
  if (queuedBytesMax < appendBytesMax) {
    problems.push(problem('queuedBytesMax', queuedBytesMax, 'at least appendBytesMax'))
  }
  return limits
}

function resolveReadOnly(options: LogOptions, problems: OptionProblem[]): boolean {
  const { readOnly = false } = options
  if (typeof readOnly !== 'boolean') problems.push(problem('readOnly', readOnly, 'true or false'))
  if (readOnly !== true) {
    if (options.pollMs !== undefined) {
      problems.push(problem('pollMs', options.pollMs, 'left out without readOnly'))
    }
    return false
  }
  if (options.directory === undefined) {
    problems.push({ field: 'directory', got: 'nothing', want: 'a path, with readOnly' })
  }
  for (const field of ['store', 'writer', 'gate', 'retention', 'scrub'] as const) {
    if (options[field] === undefined) continue
    problems.push({ field, got: 'readOnly as well', want: 'left out with readOnly' })
  }
  return true
}

const checkMsDefault = 10_000

function resolveRetention(
  given: RetentionOptions | undefined,
  problems: OptionProblem[],
): ResolvedOptions['retention'] {
  if (given === undefined) return undefined
  for (const { field, ...rest } of retentionProblems(given)) {
    problems.push({ field: field === '' ? 'retention' : `retention.${field}`, ...rest })
  }
  return Object.freeze({ ...given, checkMs: given.checkMs ?? checkMsDefault })
}

/** What a scrub does where nothing else is said. */
export const scrubDefaults: Required<ScrubOptions> = {
  bytesPerSecond: 8 * mebibyte,
  everyMs: 86_400_000,
}

const scrubRanges: Readonly<Record<keyof ScrubOptions, readonly [number, number]>> = {
  bytesPerSecond: [1_024, 1024 * mebibyte],
  everyMs: [1_000, 604_800_000],
}

function resolveScrub(
  given: ScrubOptions | undefined,
  problems: OptionProblem[],
): Required<ScrubOptions> | undefined {
  if (given === undefined) return undefined
  for (const { field, ...rest } of scrubProblems(given)) {
    problems.push({ field: field === '' ? 'scrub' : `scrub.${field}`, ...rest })
  }
  return Object.freeze({ ...scrubDefaults, ...given })
}

/** Everything wrong with how a log shall be scrubbed. */
export function scrubProblems(options: ScrubOptions): readonly OptionProblem[] {
  return fieldProblems(options, scrubRanges)
}

const policyRanges: Readonly<Record<keyof RetentionPolicy, readonly [number, number]>> = {
  bytesMax: [0, Number.MAX_SAFE_INTEGER],
  recordsMax: [0, Number.MAX_SAFE_INTEGER],
  ageMsMax: [0, Number.MAX_SAFE_INTEGER],
  minReplicas: [0, 1_024],
  hardBytesMax: [0, Number.MAX_SAFE_INTEGER],
}

/** Everything wrong with what a log shall keep; fields are named as in the options. */
export function retentionProblems(options: RetentionOptions): readonly OptionProblem[] {
  return boundProblems(options, { ...policyRanges, checkMs: [10, 3_600_000] })
}

/** The same for one call of `retain`. */
export function policyProblems(policy: RetentionPolicy): readonly OptionProblem[] {
  return boundProblems(policy, policyRanges)
}

function boundProblems(
  policy: RetentionPolicy,
  ranges: Readonly<Record<string, readonly [number, number]>>,
): readonly OptionProblem[] {
  const problems = fieldProblems(policy, ranges)
  if (typeof policy !== 'object' || policy === null) return problems
  const { bytesMax, hardBytesMax, minReplicas = 0 } = policy
  if (hardBytesMax !== undefined && minReplicas === 0) {
    problems.push(problem('hardBytesMax', hardBytesMax, 'left out without minReplicas'))
  }
  if (hardBytesMax !== undefined && bytesMax !== undefined && hardBytesMax < bytesMax) {
    problems.push(problem('hardBytesMax', hardBytesMax, 'at least bytesMax'))
  }
  return problems
}

function fieldProblems(
  given: object,
  ranges: Readonly<Record<string, readonly [number, number]>>,
): OptionProblem[] {
  const problems: OptionProblem[] = []
  if (typeof given !== 'object' || given === null) {
    return [problem('', given, 'an object of bounds')]
  }
  for (const [field, value] of Object.entries(given) as [string, unknown][]) {
    const range = Object.hasOwn(ranges, field) ? ranges[field] : undefined
    if (range === undefined) problems.push(problem(field, value, 'left out: it is not a bound'))
    else if (value !== undefined && !isIntegerIn(value, ...range)) {
      problems.push(problem(field, value, `an integer from ${range[0]} to ${range[1]}`))
    }
  }
  return problems
}

function isIntegerIn(value: unknown, low: number, high: number): boolean {
  return Number.isInteger(value) && (value as number) >= low && (value as number) <= high
}

function problem(field: string, got: unknown, want: string): OptionProblem {
  const shown = typeof got === 'string' ? JSON.stringify(got) : String(got)
  return { field, got: shown.slice(0, 80), want }
}
