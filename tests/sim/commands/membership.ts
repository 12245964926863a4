/**
 * `npm run sim -- membership`: every campaign over its share of the seeds, on all processors, with
 * M1 to M7 checked throughout and the proof that each fault happened often enough to mean it.
 */
import { expectHappened, runSeeds } from '@kith/sim'
import { plans, scenarios } from '../gossip/scenarios.ts'
import { digested, digestOf } from './digests.ts'
import { writeEvidence } from './evidence.ts'
import { Journal } from './journal.ts'
import { runJobs } from './pool.ts'
import type { Job } from './pool.ts'

export type Counters = Readonly<Record<string, number>>

/** What must have happened over all campaigns, and the counters that say so. */
const faultCounters: Readonly<Record<string, readonly string[]>> = {
  partition: ['partitions'],
  'one-way link': ['oneWayIn', 'oneWayOut'],
  crash: ['crashesRefusing', 'crashesSilent'],
  'crash timed': ['crashesTimed'],
  restart: ['restarts'],
  pause: ['pauses'],
  suspect: ['event suspect'],
  refute: ['event refute'],
  fail: ['event fail'],
  rejoin: ['revivals'],
  duplicate: ['duplicated'],
  reorder: ['reordered'],
  corruption: ['corrupted'],
}

/** Of one slice. */
export interface SliceResult {
  readonly counters: Counters
  /** Of all that its members said to each other. */
  readonly digest: string
}

export interface Slice {
  readonly name: string
  readonly first: number
  readonly seeds: number
}

/** Over all campaigns: of a test run, and of a proof. */
export const membershipSeeds = { quick: 500, all: 10_000 } as const

/** Seeds of one campaign; also what a worker runs. */
export async function runSlice({ name, first, seeds }: Slice): Promise<SliceResult> {
  const scenario = scenarios[name]
  if (scenario === undefined) throw new Error(`no campaign ${name}`)
  const { scenario: run, digest } = digested(scenario)
  const { counters } = await runSeeds({ name, scenario: run, seeds, first })
  return { counters, digest: digest() }
}

/** A seed decides the size too, so each campaign has seeds of its own. */
export function firstSeed(index: number, first: number): number {
  return first + index * 10_000
}

function addCounters(list: Iterable<Counters>): Record<string, number> {
  const sums: Record<string, number> = {}
  for (const counters of list) {
    for (const [name, count] of Object.entries(counters)) sums[name] = (sums[name] ?? 0) + count
  }
  return sums
}

/** How often each fault happened, by its name. */
export function faultsIn(list: Iterable<Counters>): Record<string, number> {
  const counters = addCounters(list)
  return Object.fromEntries(
    Object.entries(faultCounters).map(([fault, names]) => [
      fault,
      names.reduce((sum, name) => sum + (counters[name] ?? 0), 0),
    ]),
  )
}

export interface MembershipOptions {
  /** Over all campaigns together. */
  readonly seeds: number
  readonly first: number
  readonly workers?: number | undefined
  readonly minutes?: number | undefined
  readonly journal?: string | undefined
  /** Writes a file of evidence with this name once all is done. */
  readonly evidence?: string | undefined
}

const sliceSeeds = 25

function slicesOf(seeds: number, first: number): readonly Slice[] {
  const names = Object.keys(plans)
  const each = Math.ceil(seeds / names.length)
  const slices: Slice[] = []
  for (let done = 0; done < each; done += sliceSeeds) {
    for (const [index, name] of names.entries()) {
      const from = firstSeed(index, first) + done
      slices.push({ name, first: from, seeds: Math.min(sliceSeeds, each - done) })
    }
  }
  return slices
}

function keyOf({ name, first, seeds }: Slice): string {
  return `${name} ${first}+${seeds}`
}

/** True where everything was run and held. */
export async function membership(
  options: MembershipOptions,
  print: (line: string) => void,
): Promise<boolean> {
  const slices = slicesOf(options.seeds, options.first)
  const journal = new Journal<SliceResult>(options.journal)
  const endsAt = performance.now() + (options.minutes ?? Infinity) * 60_000
  const jobs = slices
    .filter((slice) => !journal.results.has(keyOf(slice)))
    .map((slice): Job => {
      const module = import.meta.url
      return { key: keyOf(slice), module, run: 'runSlice', argument: slice }
    })
  const enough = (): boolean => performance.now() > endsAt
  const pool = options.workers === undefined ? { enough } : { enough, workers: options.workers }
  await runJobs<SliceResult>(
    jobs,
    (job, result, seconds) => journal.add(job.key, seconds, result),
    pool,
  )
  const left = slices.filter((slice) => !journal.results.has(keyOf(slice))).length
  print(`${slices.length - left} of ${slices.length} slices done, ${journal.seconds.toFixed(0)} s`)
  if (left > 0) return false
  return report(options, slices, journal, print)
}

function report(
  options: MembershipOptions,
  slices: readonly Slice[],
  journal: Journal<SliceResult>,
  print: (line: string) => void,
): boolean {
  const seeds = slices.reduce((sum, slice) => sum + slice.seeds, 0)
  const results = slices.flatMap((slice) => journal.results.get(keyOf(slice)) ?? [])
  const counters = addCounters(results.map((result) => result.counters))
  const faults = faultsIn([counters])
  const least = seeds >= 10_000 ? 1000 : 1
  const rare = Object.entries(faults).filter(([, count]) => count < least)
  const body = [
    `| happened | times over ${seeds} seeds |`,
    '|---|---|',
    ...Object.entries(faults).map(([fault, count]) => `| ${fault} | ${count} |`),
    '',
    `M1 to M7: no violation in ${counters['transitions']} transitions of ${counters['members']} members.`,
    `False verdicts while more than a tenth of all packets was lost (allowed): ${counters['falseUnderLoss'] ?? 0}.`,
    `Digest over the traces of all seeds: ${digestOf(results.map(({ digest }) => digest))}.`,
  ]
  for (const line of body) print(line)
  for (const [fault, count] of rare) print(`too rare: ${fault}, ${count} of at least ${least}`)
  expectHappened(counters, ['transitions', 'event join'])
  const { evidence } = options
  if (evidence !== undefined && rare.length === 0) {
    const command = `npm run sim -- membership --seeds ${options.seeds} --first ${options.first}`
    const result = `${seeds} seeds, 0 violations`
    const all = Object.entries(counters).map(([name, count]) => `- ${name}: ${count}`)
    const file = writeEvidence({
      name: evidence,
      command,
      result,
      seconds: journal.seconds,
      body: [...body, '', '## Counters', '', ...all],
    })
    print(`written to ${file}`)
  }
  return rare.length === 0
}
