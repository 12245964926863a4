/** What a scenario did, as lines of text that a person can review and a file can pin. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { SimError } from './errors.ts'

export interface TranscriptOptions {
  /** Lines kept; later ones are only counted. Default 100 000. */
  readonly linesMax?: number
  /** Hears each line as it is added. */
  readonly echo?: (line: string) => void
}

export class Transcript {
  readonly #lines: string[] = []
  readonly #linesMax: number
  readonly #echo: ((line: string) => void) | undefined
  #dropped = 0

  constructor(options: TranscriptOptions = {}) {
    this.#linesMax = options.linesMax ?? 100_000
    this.#echo = options.echo
  }

  /** One line: `   1200.000 a      joined b`. Line ends inside are shown escaped. */
  add(atMs: number, who: string, what: string): void {
    const text = what.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\r', '\\r')
    const line = `${atMs.toFixed(3).padStart(12)} ${who.padEnd(8)} ${text}`
    this.#echo?.(line)
    if (this.#lines.length < this.#linesMax) this.#lines.push(line)
    else this.#dropped += 1
  }

  get lines(): readonly string[] {
    return this.#lines
  }

  toString(): string {
    const rest = this.#dropped === 0 ? '' : `... and ${this.#dropped} more lines\n`
    return this.#lines.map((line) => `${line}\n`).join('') + rest
  }

  /**
   * Compares with a golden file. With `KITH_UPDATE=1` in the environment, or `update`, it writes
   * the
   * file instead, to be read in review. A missing file is a difference.
   */
  expectGolden(file: string, update: boolean = process.env['KITH_UPDATE'] === '1'): void {
    const text = this.toString()
    if (update) {
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, text)
      return
    }
    const golden = readGolden(file)
    if (golden !== text) throw new SimError('ERR_SIM_TRANSCRIPT', difference(file, golden, text))
  }
}

function readGolden(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

function difference(file: string, golden: string, text: string): string {
  const [want, got] = [golden.split('\n'), text.split('\n')]
  const at = got.findIndex((line, index) => line !== want[index])
  const index = at === -1 ? got.length : at
  return [
    `the transcript differs from ${file} in line ${index + 1}`,
    `  golden: ${want[index] ?? '(nothing)'}`,
    `  now:    ${got[index] ?? '(nothing)'}`,
    'run again with KITH_UPDATE=1 to accept it, and read the difference',
  ].join('\n')
}
