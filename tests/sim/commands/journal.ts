/**
 * Results of long runs, kept beside them: a run of hours is done in slices of minutes, each of
 * which goes on where the last one ended. What other code found does not count.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { git } from '../../../tools/support/commit.ts'

/** What decides how a run of the simulator of gossip ends. */
const simulated = [
  ...['gossip', 'msgpack', 'sim', 'interface'].map((name) => `packages/${name}/src`),
  'tests/sim/gossip',
]

/** Names the state of the sources; where changes are not committed, this run alone has it. */
export function codeVersion(sources: readonly string[] = simulated): string {
  const trees = git(['rev-parse', ...sources.map((path) => `HEAD:${path}`)]).split('\n')
  const changed = git(['status', '--porcelain', '--', ...sources]) !== ''
  return trees.join(' ') + (changed ? ` changed ${process.pid}` : '')
}

interface Line {
  readonly code: string
  readonly key: string
  readonly seconds: number
  readonly result: unknown
}

export class Journal<Result> {
  readonly results: Map<string, Result> = new Map()
  /** Seconds of a processor that all of it took, in whatever slices. */
  seconds = 0
  readonly #file: string | undefined
  readonly #code: string

  /** Without a file it remembers nothing. `sources` are what decides how a run ends. */
  constructor(file: string | undefined, sources: readonly string[] = simulated) {
    this.#file = file
    this.#code = codeVersion(sources)
    if (file === undefined || !existsSync(file)) return
    for (const text of readFileSync(file, 'utf8').split('\n')) {
      if (text === '') continue
      const line = JSON.parse(text) as Line
      if (line.code === this.#code) this.#keep(line.key, line.seconds, line.result as Result)
    }
  }

  add(key: string, seconds: number, result: Result): void {
    this.#keep(key, seconds, result)
    if (this.#file === undefined) return
    mkdirSync(dirname(this.#file), { recursive: true })
    const line: Line = { code: this.#code, key, seconds, result }
    appendFileSync(this.#file, `${JSON.stringify(line)}\n`)
  }

  #keep(key: string, seconds: number, result: Result): void {
    if (this.results.has(key)) return
    this.results.set(key, result)
    this.seconds += seconds
  }
}
