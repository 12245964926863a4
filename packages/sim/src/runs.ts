/** Running one scenario over many seeds, and saying how to run the one that failed again. */
import { SimError } from './errors.ts'

/** What a run measured. `counters` show which faults happened; `digest` that runs were equal. */
export interface Report {
  readonly digest?: string
  readonly counters?: Readonly<Record<string, number>>
}

export interface ScenarioContext {
  /** Tells what happens to whoever watches a replay; costs nothing otherwise. */
  note(line: string): void
}

/**
 * Throws where something that must hold did not. The same seed must do the same again: no clock, no
 * randomness and no order of completion from outside.
 */
export type Scenario = (seed: number, context: ScenarioContext) => Promise<Report> | Report

/** What a scenario file exports as `scenarios`: the names are unique over all files. */
export type Scenarios = Readonly<Record<string, Scenario>>

export interface RunSeedsOptions {
  /** The scenario's name, as `npm run sim -- --scenario` takes it. */
  readonly name: string
  readonly scenario: Scenario
  /** How many seeds, from `first`; or exactly these. */
  readonly seeds: number | readonly number[]
  /** First seed of a count; default 1. */
  readonly first?: number
  /** Runs each seed twice and fails where the digests differ. Default false. */
  readonly twice?: boolean
}

export interface RunSeedsResult {
  readonly seeds: number
  /** Sum of all counters over all seeds. */
  readonly counters: Readonly<Record<string, number>>
}

/** The one command that runs a failed seed again, with everything that happened on the screen. */
export function replayCommand(name: string, seed: number): string {
  return `npm run sim -- --scenario ${name} --seed ${seed}`
}

const quiet: ScenarioContext = Object.freeze({ note() {} })

/** Runs the seeds one after another; the first failure rejects with seed and replay command. */
export async function runSeeds(options: RunSeedsOptions): Promise<RunSeedsResult> {
  const first = options.first ?? 1
  const seeds =
    typeof options.seeds === 'number'
      ? Array.from({ length: options.seeds }, (_, index) => first + index)
      : options.seeds
  const counters: Record<string, number> = {}
  for (const seed of seeds) {
    const report = await runOne(options, seed)
    for (const [name, count] of Object.entries(report.counters ?? {})) {
      counters[name] = (counters[name] ?? 0) + count
    }
  }
  return { seeds: seeds.length, counters }
}

async function runOne(options: RunSeedsOptions, seed: number): Promise<Report> {
  const { name, scenario } = options
  try {
    const report = await scenario(seed, quiet)
    if (options.twice !== true) return report
    const again = await scenario(seed, quiet)
    if (report.digest === again.digest) return report
    throw new Error(`not deterministic: ${report.digest} first, then ${again.digest}`)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    const text = `${name} failed with seed ${seed}: ${why}\nreplay: ${replayCommand(name, seed)}`
    throw new SimError('ERR_SIM_SEED_FAILED', text, { cause, details: { name, seed } })
  }
}

/** Throws unless every counter named is above zero: a fault that never happened proves nothing. */
export function expectHappened(
  counters: Readonly<Record<string, number>>,
  names: readonly string[],
): void {
  const missing = names.filter((name) => !((counters[name] ?? 0) > 0))
  if (missing.length === 0) return
  throw new SimError('ERR_SIM_OPTIONS', `never happened over all seeds: ${missing.join(', ')}`)
}
