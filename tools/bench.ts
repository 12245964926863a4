/**
 * `npm run bench [-- area ...]`: every program `bench/<area>/<name>.ts`, one after another, on the
 * built packages. A program prints its figures and exits with 1 where it misses a bound. Figures
 * from a machine that does other work are marked, because they say little. `--evidence=NAME` writes
 * them to a file in `docs/evidence`; whatever else begins with `--` is handed to the programs.
 */
import { globSync } from 'node:fs'
import { cpus } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { command } from './support/command.ts'
import { beginEvidence, evidenceName } from './support/evidence.ts'

/** Share of the processors that others may use before figures are marked as loaded. */
const loadMax = 0.15
/** How long to wait for a quiet machine before measuring anyway. */
const quietWaitMs = 20_000

/** Share of all processor time that was used within the last second. */
async function machineLoad(): Promise<number> {
  const read = (): { idle: number; total: number } => {
    let [idle, total] = [0, 0]
    for (const { times } of cpus()) {
      idle += times.idle
      total += times.user + times.nice + times.sys + times.irq + times.idle
    }
    return { idle, total }
  }
  const before = read()
  await sleep(1000)
  const after = read()
  return 1 - (after.idle - before.idle) / (after.total - before.total)
}

async function waitForQuiet(): Promise<number> {
  const startedAt = performance.now()
  let load = await machineLoad()
  while (load > loadMax && performance.now() - startedAt < quietWaitMs) load = await machineLoad()
  return load
}

/** Run for half an hour and more, one of them as root: only where they are asked for. */
const onRequest = ['bench/gossip/', 'bench/registry/rest.ts']

/** Exit codes from here on stand for a signal. */
const signalled = 128

const asked = '--evidence='
const name = process.argv.find((word) => word.startsWith(asked))?.slice(asked.length)
const evidence = name === undefined ? undefined : beginEvidence(evidenceName(name, '--evidence'))
const flags = process.argv.slice(2).filter((word) => /^--(?!evidence=)/.test(word))
const areas = process.argv.slice(2).filter((word) => !word.startsWith('--'))
const programs = globSync('bench/*/*.ts', { exclude: ['bench/node_modules/**', 'bench/test/**'] })
  .filter((file) =>
    areas.length === 0
      ? !onRequest.some((long) => file.startsWith(long))
      : areas.some((area) => file.startsWith(`bench/${area}`)),
  )
  .toSorted()
if (programs.length === 0) {
  process.stderr.write(`no program bench/<area>/<name>.ts matches ${areas.join(', ')}\n`)
  process.exitCode = 2
}
const missed: string[] = []
const told: string[] = []
/** Ended by a signal: what they measured so far says nothing about their bounds. */
const ended: string[] = []
let quiet = true
for (const program of programs) {
  const load = await waitForQuiet()
  const percent = `${(load * 100).toFixed(0)} %`
  if (load > loadMax) quiet = false
  const mark = load > loadMax ? `LOADED: others use ${percent}` : `quiet: others use ${percent}`
  process.stdout.write(`\n${program} (${mark})\n`)
  const inherit = evidence === undefined
  const { code, output } = await command(process.execPath, [program, ...flags], { inherit })
  process.stdout.write(output)
  told.push(`## ${program} (${mark})`, '', '```json', output.trim(), '```', '')
  if (code >= signalled) ended.push(program)
  else if (code !== 0) missed.push(program)
}
if (programs.length > 0) {
  const held = ended.length > 0 ? 'not every program ran to its end' : 'every bound was met'
  const verdict = missed.length > 0 ? `missed a bound: ${missed.join(', ')}` : held
  const result = `${verdict}${quiet ? '' : ' (on a loaded machine)'}`
  process.stdout.write(`\n${result}\n`)
  if (ended.length > 0) process.stdout.write(`ended by a signal: ${ended.join(', ')}\n`)
  else {
    const file = evidence?.write(result, told.slice(0, -1))
    if (file !== undefined) process.stdout.write(`written to ${file}\n`)
  }
  if (missed.length + ended.length > 0) process.exitCode = 1
}
