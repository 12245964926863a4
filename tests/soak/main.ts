/**
 * `npm run soak:replication`: five agents as processes, each in a network namespace of its own,
 * appends without end, kills, partitions, replaced members and disks rolled back; what must hold
 * stands in `replication/ledger.ts` and `replication/check.ts`. `--journal FILE --minutes N` runs
 * it in slices: each is a cluster of its own with the next seed, and does of what is left to do as
 * much as it gets to. Needs root, `ip` and `nft`; `--loopback` needs nothing and can only stop
 * processes where it should cut them off.
 */
import { parseArgs } from 'node:util'
import { Journal } from '../sim/commands/journal.ts'
import { loopbackGround, networkGround, runWithinNetwork } from './replication/ground.ts'
import type { Quota } from './replication/plan.ts'
import { soak, type SoakResult } from './replication/soak.ts'
import { problemOf, quotaLeft, reportLines, totalOf, writeReport } from './replication/total.ts'

const usage = [
  'npm run soak:replication -- [--kills N] [--partitions N] [--replacements N] [--roll-backs N]',
  '  [--seed N] [--minutes N] [--pace MS] [--append-pace MS] [--loopback] [--keep]',
  '  [--journal FILE] [--evidence NAME]',
].join('\n')

const placesCount = 5
/** Whatever decides how a slice ends; others found something about other code. */
const sources = [
  ...['agent', 'cli', 'gossip', 'interface', 'log', 'replicator', 'server'],
  ...['registry', 'transport-tcp', 'transport-udp'],
].map((name) => `packages/${name}/src`)

interface Flags {
  readonly quota: Quota
  readonly seed: number
  readonly minutes: number
  readonly paceMs: number
  readonly appendMs: number
  readonly loopback: boolean
  readonly keep: boolean
  readonly journal: string | undefined
  readonly evidence: string | undefined
}

function whole(flag: string, text: string, least: number): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= least) return value
  throw new Error(`--${flag} must be a whole number of at least ${least}, got ${text}\n${usage}`)
}

function readFlags(): Flags {
  const text = (fallback: string) => ({ type: 'string', default: fallback }) as const
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      kills: text('1000'),
      partitions: text('200'),
      replacements: text('50'),
      'roll-backs': text('20'),
      seed: text('1'),
      minutes: text('600'),
      pace: text('800'),
      'append-pace': text('400'),
      loopback: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
      journal: { type: 'string' },
      evidence: { type: 'string' },
    },
  })
  const { journal, evidence, loopback, keep } = values
  if (positionals.join(' ') !== 'replication') throw new Error(usage)
  if (evidence !== undefined && !/^[a-z0-9-]+$/.test(evidence)) {
    throw new Error('--evidence takes small letters, digits and -')
  }
  return {
    quota: {
      kills: whole('kills', values.kills, 0),
      partitions: whole('partitions', values.partitions, 0),
      replacements: whole('replacements', values.replacements, 0),
      rollBacks: whole('roll-backs', values['roll-backs'], 0),
    },
    seed: whole('seed', values.seed, 0),
    minutes: whole('minutes', values.minutes, 1),
    paceMs: whole('pace', values.pace, 1),
    appendMs: whole('append-pace', values['append-pace'], 1),
    ...{ journal, evidence, loopback, keep },
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

async function main(): Promise<number> {
  const flags = readFlags()
  const ground = flags.loopback ? await loopbackGround(placesCount) : networkGround()
  if (ground === undefined) {
    if (process.getuid?.() !== 0) throw new Error('network namespaces need root; or --loopback')
    return await runWithinNetwork(placesCount)
  }
  const journal = new Journal<SoakResult>(flags.journal, [...sources, 'tests/soak'])
  const slices = [...journal.results.values()]
  const left = quotaLeft(flags.quota, slices)
  const ending = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => ending.abort())
  }
  if (Object.values(left).some((count) => count > 0)) {
    const startedAt = performance.now()
    const seed = flags.seed + slices.length
    print(`slice ${slices.length + 1}, seed ${seed}: ${JSON.stringify(left)}`)
    const { paceMs, appendMs, keep } = flags
    const endsAt = startedAt + flags.minutes * 60_000
    const options = { ground, seed, quota: left, paceMs, appendMs, endsAt, keep, print }
    const result = await soak({ ...options, signal: ending.signal })
    const seconds = (performance.now() - startedAt) / 1000
    journal.add(`slice ${slices.length + 1} seed ${seed}`, seconds, result)
    slices.push(result)
  }
  const total = totalOf(slices)
  for (const line of reportLines(total, flags.quota)) print(line)
  if (flags.evidence !== undefined) {
    print(`written to ${writeReport(flags.evidence, total, flags.quota, journal.seconds)}`)
  }
  const problem = problemOf(total)
  if (problem !== undefined) print(problem)
  return problem === undefined ? 0 : 1
}

process.exitCode = await main().catch((cause: unknown) => {
  process.stderr.write(`${cause instanceof Error ? (cause.stack ?? '') : String(cause)}\n`)
  return 1
})
