/** What can be tuned, its defaults and its bounds. */
import { describeProblems } from '@kith/interface'
import type { OptionProblem } from '@kith/interface'
import { ReplicatorError } from './errors.ts'
import { utf8Bytes } from './wire/fields.ts'
import { wireLimits } from './wire/limits.ts'

/** What happens when nobody has the next records of an origin any more. */
export type GapPolicy = 'halt' | 'skip'

export interface ReplicatorTuning {
  /**
   * Milliseconds a source may park our pull, 10 to 30,000; default 5,000. Lag is unknown after
   * three of these in silence. Lower notices a dead source sooner, higher costs fewer messages.
   */
  readonly pullWaitMs: number
  /** Most bytes of batches one pull asks for, 2 MiB to 16 MiB; default 4 MiB. */
  readonly pullBytesMax: number
  /** Most bytes received from one member and not applied yet, or asked for; default 16 MiB. */
  readonly creditBytesMax: number
  /**
   * Bytes of batches a second that are pulled, from all members together and from each one; 0, the
   * default, for no limit, else 256 KiB to 16 GiB. A second's worth may come at once. Repairs are
   * not counted.
   */
  readonly bytesPerSecondMax: number
  readonly memberBytesPerSecondMax: number
  /** Most bytes of batches in one transaction, 64 KiB to 64 MiB; default 4 MiB. */
  readonly applyBytesMax: number
  /** Milliseconds a hello may take, 10 to 60,000; default 5,000. */
  readonly helloTimeoutMs: number
  /** Milliseconds an answer may take beyond the parking time, 10 to 120,000; default 10,000. */
  readonly pullTimeoutMs: number
  /** First and longest wait before a member is dialled again; defaults 100 and 15,000. */
  readonly backoffMinMs: number
  readonly backoffMaxMs: number
  /** Milliseconds until a member that refused us, or that we refused, is tried again; 60,000. */
  readonly refusedRetryMs: number
  /** A source is left for another after max(2 round trips, this) without data; default 1,000. */
  readonly stallMs: number
  /**
   * `halt` (default): stop that origin, with an event, until somebody has the records. `skip`:
   * declare them lost in this log, for good, and go on.
   */
  readonly gapPolicy: GapPolicy
  /** Milliseconds to wait for members not heard yet before a gap is believed; default 60,000. */
  readonly gapPatienceMs: number
  /**
   * Milliseconds an answer that carries only news of vectors may be held back, 0 to 1,000; default
   * 500, and never more than 50 where it names an origin for the first time. Each is a message for
   * every pair of members; what is pulled, and what is acknowledged with it, does not wait for it.
   */
  readonly announceDelayMs: number
  /** Pulls parked at this member's source at most, over all pullers; default 1,024. */
  readonly parkedMax: number
}

export const tuningDefaults: ReplicatorTuning = Object.freeze({
  pullWaitMs: 5_000,
  pullBytesMax: 4 * 1024 * 1024,
  creditBytesMax: 16 * 1024 * 1024,
  bytesPerSecondMax: 0,
  memberBytesPerSecondMax: 0,
  applyBytesMax: 4 * 1024 * 1024,
  helloTimeoutMs: 5_000,
  pullTimeoutMs: 10_000,
  backoffMinMs: 100,
  backoffMaxMs: 15_000,
  refusedRetryMs: 60_000,
  stallMs: 1_000,
  gapPolicy: 'halt',
  gapPatienceMs: 60_000,
  announceDelayMs: 500,
  parkedMax: 1_024,
})

const mebibyte = 1024 * 1024

/**
 * Bytes a second, where there is a limit; with less a batch of the largest size would silence a
 * member for too long.
 */
export const bytesPerSecondBounds: readonly [min: number, max: number] = Object.freeze([
  mebibyte / 4,
  16 * 1024 * mebibyte,
])
/** For these 0 stands for no limit. */
const unlimited: ReadonlySet<string> = new Set(['bytesPerSecondMax', 'memberBytesPerSecondMax'])

type Bounded = Exclude<keyof ReplicatorTuning, 'gapPolicy'>

const bounds: Readonly<Record<Bounded, readonly [min: number, max: number]>> = Object.freeze({
  pullWaitMs: [10, 30_000],
  pullBytesMax: [2 * mebibyte, 16 * mebibyte],
  creditBytesMax: [4 * mebibyte, 1024 * mebibyte],
  bytesPerSecondMax: bytesPerSecondBounds,
  memberBytesPerSecondMax: bytesPerSecondBounds,
  applyBytesMax: [64 * 1024, 64 * mebibyte],
  helloTimeoutMs: [10, 60_000],
  pullTimeoutMs: [10, 120_000],
  backoffMinMs: [1, 60_000],
  backoffMaxMs: [1, 600_000],
  refusedRetryMs: [100, 3_600_000],
  stallMs: [10, 600_000],
  gapPatienceMs: [0, 86_400_000],
  announceDelayMs: [0, 1_000],
  parkedMax: [1, 65_536],
})

/** Merges over the defaults; rejects with every problem at once. Never writes into `overrides`. */
export function resolveTuning(overrides: Partial<ReplicatorTuning> = {}): ReplicatorTuning {
  const given = Object.entries(overrides).filter(([, value]) => value !== undefined)
  const tuning = { ...tuningDefaults, ...Object.fromEntries(given) } as ReplicatorTuning
  const problems: OptionProblem[] = []
  for (const [field] of given) {
    if (!(field in tuningDefaults)) {
      problems.push({ field, got: 'an unknown option', want: 'left out' })
    }
  }
  for (const [field, [min, max]] of Object.entries(bounds) as [
    Bounded,
    readonly [number, number],
  ][]) {
    const value: unknown = tuning[field]
    if (value === 0 && unlimited.has(field)) continue
    if (!Number.isInteger(value) || (value as number) < min || (value as number) > max) {
      const zero = unlimited.has(field) ? '0, or ' : ''
      problems.push({ field, got: String(value), want: `${zero}an integer from ${min} to ${max}` })
    }
  }
  if (tuning.gapPolicy !== 'halt' && tuning.gapPolicy !== 'skip') {
    problems.push({ field: 'gapPolicy', got: String(tuning.gapPolicy), want: "'halt' or 'skip'" })
  }
  problems.push(...relationProblems(tuning))
  if (problems.length > 0) {
    throw new ReplicatorError('ERR_REPLICATOR_OPTIONS', describeProblems(problems), {
      details: problems,
    })
  }
  return Object.freeze(tuning)
}

function relationProblems(tuning: ReplicatorTuning): OptionProblem[] {
  const problems: OptionProblem[] = []
  if (tuning.backoffMaxMs < tuning.backoffMinMs) {
    const got = String(tuning.backoffMaxMs)
    problems.push({ field: 'backoffMaxMs', got, want: 'at least backoffMinMs' })
  }
  if (tuning.creditBytesMax < tuning.pullBytesMax + wireLimits.batchBytesMax) {
    // With less, not even one pull would fit and nothing would ever be asked for.
    const got = String(tuning.creditBytesMax)
    problems.push({ field: 'creditBytesMax', got, want: 'at least pullBytesMax and 2 MiB' })
  }
  return problems
}

/** What `createReplicator` takes. */
const optionNames: ReadonlySet<string> = new Set([
  'log',
  'member',
  'clusterId',
  'membership',
  'source',
  'locator',
  'expectMembers',
  'tuning',
  'clock',
  'random',
  'logger',
])

const nameBytesMax = 128

/** The names a replicator says hello with. */
export function resolveNames(options: { readonly clusterId?: string; readonly member: string }): {
  readonly clusterId: string
  readonly member: string
} {
  const { clusterId = 'kith', member } = options
  const problems: OptionProblem[] = Object.keys(options)
    .filter((field) => !optionNames.has(field))
    .map((field) => ({ field, got: 'an unknown option', want: 'left out' }))
  for (const [field, value] of Object.entries({ clusterId, member })) {
    const short = typeof value === 'string' && value.length > 0 && utf8Bytes(value) <= nameBytesMax
    if (!short) {
      const got = JSON.stringify(value)?.slice(0, 40) ?? 'undefined'
      problems.push({ field, got, want: `a text of 1 to ${nameBytesMax} bytes` })
    }
  }
  if (problems.length > 0) {
    throw new ReplicatorError('ERR_REPLICATOR_OPTIONS', describeProblems(problems), {
      details: problems,
    })
  }
  return { clusterId, member }
}
