/**
 * `npm run sim`: whole studies by name (`membership`, `lifeguard`, `scale`), and the scenarios of
 * the simulator by hand. Without arguments it lists them; with
 * `--scenario NAME --seed N` it replays one seed and shows all that happens; with `--seeds COUNT`
 * it runs many. A file takes part by exporting `scenarios`, a record of name to scenario.
 */
import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { runSeeds, type Scenario, type Scenarios } from '@kith/sim'
import { digested } from './commands/digests.ts'
import { lifeguard, sumParts } from './commands/lifeguard.ts'
import { membership } from './commands/membership.ts'
import { scale } from './commands/scale.ts'

const studies = new Set(['membership', 'lifeguard', 'scale'])
const root = fileURLToPath(new URL('../..', import.meta.url))
const places = ['tests/sim/**/*.ts', 'packages/*/test/**/*.ts']
const usage = [
  'npm run sim -- --scenario NAME (--seed N | --seeds COUNT [--first N])',
  'npm run sim -- membership [--seeds COUNT] [--first N]',
  'npm run sim -- lifeguard [--grid quick|full] [--blocking processes|messages] [--blocked N,N]',
  'npm run sim -- lifeguard --sum EVIDENCE,EVIDENCE',
  'npm run sim -- scale [--members N]',
  'with any of these studies: [--workers N] [--minutes N] [--journal FILE] [--evidence NAME]',
].join('\n')

/** All scenarios there are, by name. Only files that export some are loaded. */
async function findScenarios(): Promise<Map<string, Scenario>> {
  const found = new Map<string, Scenario>()
  for (const file of globSync(places, { cwd: root }).toSorted()) {
    const text = readFileSync(`${root}/${file}`, 'utf8')
    if (file.includes('node_modules') || !/^export const scenarios\b/m.test(text)) continue
    const module = (await import(pathToFileURL(`${root}/${file}`).href)) as { scenarios: Scenarios }
    for (const [name, scenario] of Object.entries(module.scenarios)) {
      if (found.has(name)) throw new Error(`two scenarios are named ${name}, one in ${file}`)
      found.set(name, scenario)
    }
  }
  return found
}

/** A whole number of at least `least`, or a refusal that names the flag. */
function whole(flag: string, text: string, least: number): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= least) return value
  throw new Error(`--${flag} must be a whole number of at least ${least}, got ${text}`)
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

function printCounters(counters: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(counters)) print(`  ${name.padEnd(24)} ${count}`)
}

/** One of the studies, all in one go or, with a journal, in slices of so many minutes. */
async function study(name: string, args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      seeds: { type: 'string', default: '10000' },
      first: { type: 'string', default: '1' },
      grid: { type: 'string', default: 'full' },
      blocking: { type: 'string', default: 'processes' },
      blocked: { type: 'string' },
      sum: { type: 'string' },
      members: { type: 'string', default: '1000' },
      workers: { type: 'string' },
      minutes: { type: 'string' },
      journal: { type: 'string' },
      evidence: { type: 'string' },
    },
  })
  const { grid, blocking, journal, evidence } = values
  const optional = (flag: 'workers' | 'minutes'): number | undefined =>
    values[flag] === undefined ? undefined : whole(flag, values[flag], 1)
  if (grid !== 'quick' && grid !== 'full') throw new Error(`--grid is quick or full, got ${grid}`)
  if (blocking !== 'processes' && blocking !== 'messages') {
    throw new Error(`--blocking is processes or messages, got ${blocking}`)
  }
  if (evidence !== undefined && !/^[a-z0-9-]+$/.test(evidence)) {
    throw new Error('--evidence takes small letters, digits and -')
  }
  if (values.sum !== undefined) {
    if (!sumParts(values.sum.split(','), print)) process.exitCode = 1
    return
  }
  const blocked = values.blocked?.split(',').map((text) => whole('blocked', text, 1))
  const common = { workers: optional('workers'), minutes: optional('minutes'), journal, evidence }
  const first = whole('first', values.first, 0)
  const seeds = whole('seeds', values.seeds, 1)
  const members = whole('members', values.members, 3)
  const holds =
    name === 'membership'
      ? await membership({ ...common, seeds, first }, print)
      : name === 'lifeguard'
        ? await lifeguard({ ...common, grid, blocking, blocked }, print)
        : await scale({ ...common, members }, print)
  if (!holds) process.exitCode = 1
}

async function main(): Promise<void> {
  const [first = '', ...rest] = process.argv.slice(2)
  if (studies.has(first)) return study(first, rest)
  const { values } = parseArgs({
    options: {
      scenario: { type: 'string' },
      seed: { type: 'string' },
      seeds: { type: 'string' },
      first: { type: 'string', default: '1' },
    },
  })
  const scenarios = await findScenarios()
  const name = values.scenario ?? ''
  const scenario = scenarios.get(name)
  const count = Number(values.seed !== undefined) + Number(values.seeds !== undefined)
  if (!scenario || count !== 1) {
    print(`${usage}\nscenarios:\n${[...scenarios.keys()].map((it) => `  ${it}`).join('\n')}`)
    if (process.argv.length > 2) process.exitCode = 2
    return
  }
  const startedAt = performance.now()
  if (values.seed !== undefined) {
    const report = await scenario(whole('seed', values.seed, 0), { note: print })
    printCounters(report.counters ?? {})
    if (report.digest !== undefined) print(`  digest ${report.digest}`)
  } else {
    const seeds = whole('seeds', values.seeds ?? '', 1)
    const first = whole('first', values.first, 0)
    const { scenario: run, digest } = digested(scenario)
    const { counters } = await runSeeds({ name, scenario: run, seeds, first })
    printCounters(counters)
    print(`  digest ${digest()}`)
    print(`${seeds} seeds from ${first} on hold`)
  }
  print(`${((performance.now() - startedAt) / 1000).toFixed(1)} s`)
}

await main().catch((cause: unknown) => {
  process.stderr.write(
    `${cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)}\n`,
  )
  process.exitCode = 1
})
