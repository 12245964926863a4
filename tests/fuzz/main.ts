/**
 * `npm run fuzz`: bends inputs of the decoders until one breaks a promise.
 * `-- --target NAME` only that one (more than once for several), `--inputs N` of each, `--seed N`;
 * `--replay HEX|FILE` runs one input; `--grow` writes what was found to the corpus.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { crc32 } from 'node:zlib'
import { fromHex, toHex } from '@kith/interface'
import { readCorpus, writeCorpus } from './corpus.ts'
import { startCoverage } from './coverage.ts'
import type { Coverage } from './coverage.ts'
import { fuzz, minimise, runInput } from './engine.ts'
import type { FuzzFailure, FuzzResult } from './engine.ts'
import type { FuzzTarget } from './target.ts'
import { targets } from './targets/index.ts'
import { startWatchdog } from './watchdog.ts'

/** Longer ones are replayed from a file. */
const shownBytesMax = 1_000

function whole(flag: string, text: string): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value
  throw new Error(`--${flag} must be a whole number, got ${text}`)
}

function named(name: string): FuzzTarget {
  const target = Object.hasOwn(targets, name) ? targets[name] : undefined
  if (target !== undefined) return target
  throw new Error(`no target ${name}; there are: ${Object.keys(targets).join(', ')}`)
}

function replay(name: string, given: string): void {
  const hex = existsSync(given) ? readFileSync(given, 'utf8').trim() : given
  const input = fromHex(hex)
  if (input === undefined) throw new Error('--replay takes hex, or a file that holds it')
  process.stdout.write(`${name}: ${runInput(named(name), input)}\n`)
}

function replayCommand(name: string, input: Uint8Array): string {
  const file = join(tmpdir(), `kith-fuzz-${name}-${crc32(input).toString(16)}.hex`)
  if (input.length > shownBytesMax) writeFileSync(file, `${toHex(input)}\n`)
  const given = input.length > shownBytesMax ? file : toHex(input)
  return `npm run fuzz -- --target ${name} --replay ${given}`
}

function tell(name: string, result: FuzzResult): void {
  const perSecond = Math.round(result.inputs / (result.processorMs / 1000))
  const ends = Object.entries(result.ends).map(([end, count]) => `${end} ${count}`)
  process.stdout.write(
    `${name}: ${result.inputs} inputs in ${(result.ms / 1000).toFixed(1)} s, ` +
      `${perSecond} a second of processor time; ${result.characters} characters of source reached; ` +
      `${result.found.length} inputs kept; memory grew by ` +
      `${(result.growthBytes / 1024 / 1024).toFixed(1)} MiB at most; slowest ` +
      `${result.slowestMs.toFixed(0)} ms\n  ${ends.slice(0, 12).join(', ')}\n`,
  )
}

function tellFailure(name: string, failure: FuzzFailure): void {
  const input = minimise(named(name), failure)
  const { kind, text } = failure
  process.stdout.write(`${name}: FAILED (${kind}) ${text}\n  ${replayCommand(name, input)}\n`)
}

/** The fewest inputs, the shortest first, that reach all that is reached. */
function reduced(
  target: FuzzTarget,
  coverage: Coverage,
  inputs: readonly Uint8Array[],
): readonly Uint8Array[] {
  for (const seed of target.seeds()) runInput(target, seed)
  coverage.forget()
  coverage.takeNew()
  for (const seed of target.seeds()) runInput(target, seed)
  coverage.takeNew()
  return inputs
    .toSorted((a, b) => a.length - b.length)
    .filter((input) => {
      runInput(target, input)
      return coverage.takeNew().size > 0
    })
}

const { values } = parseArgs({
  options: {
    target: { type: 'string', multiple: true },
    inputs: { type: 'string', default: '200000' },
    seed: { type: 'string', default: '1' },
    replay: { type: 'string' },
    grow: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})
const names = values.target ?? Object.keys(targets)
const inputs = whole('inputs', values.inputs)
const seed = whole('seed', values.seed)
const all = names.map((name) => [name, named(name)] as const)
// A key that reached a prototype would throw.
Object.freeze(Object.prototype)
Object.freeze(Array.prototype)
if (values.replay !== undefined) {
  for (const [name] of all) replay(name, values.replay)
} else {
  for (const [name, target] of all) {
    const watchdog = startWatchdog(name)
    const coverage = startCoverage()
    const corpus = readCorpus(name)
    const result = fuzz({ target, corpus, inputs, seed, coverage, watchdog })
    await watchdog.rest()
    if (values.json) {
      const { found, failure, ...figures } = result
      const failed =
        failure === undefined
          ? {}
          : { failure: `${failure.kind} ${failure.text}\n${replayCommand(name, failure.input)}` }
      process.stdout.write(`${JSON.stringify({ ...figures, found: found.length, ...failed })}\n`)
    } else tell(name, result)
    const missed = target.ends.filter((end) => result.ends[end] === undefined)
    if (missed.length > 0) process.stdout.write(`${name}: never met: ${missed.join(', ')}\n`)
    if (result.failure !== undefined) {
      process.exitCode = 1
      if (!values.json) tellFailure(name, result.failure)
    } else if (values.grow)
      writeCorpus(name, reduced(target, coverage, [...corpus, ...result.found]))
  }
}
