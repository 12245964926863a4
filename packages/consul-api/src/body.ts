/** Bodies of Consul's clients: JSON objects whose names differ in case and underscores. */
import { type OptionProblem, showValue } from '@kith/interface'
import { parseDuration } from './durations.ts'
import { badRequest } from './errors.ts'

/** What is wrong with a body, collected, so that all of it is told at once. */
export class Problems {
  readonly list: OptionProblem[] = []

  add(field: string, got: unknown, want: string): void {
    this.list.push({ field, got: showValue(got), want })
  }

  /** Throws a refusal where anything was wrong. */
  done(): void {
    if (this.list.length > 0) throw badRequest(this.list)
  }
}

export function parseBody(bytes: unknown): unknown {
  const text = Buffer.isBuffer(bytes) ? bytes.toString('utf8') : ''
  try {
    return JSON.parse(text) as unknown
  } catch {
    const problems = [{ field: 'body', got: showValue(text.slice(0, 40)), want: 'a JSON object' }]
    throw badRequest(problems)
  }
}

const fold = (name: string): string => name.toLowerCase().replaceAll('_', '')

/** The fields of one object, by the names that Consul's documentation gives them. */
export class Fields {
  readonly #prefix: string
  readonly #problems: Problems
  readonly #values = new Map<string, unknown>()

  /** Names that are not among `known` are problems. What is null is absent. */
  constructor(given: unknown, known: readonly string[], prefix: string, problems: Problems) {
    this.#prefix = prefix === '' ? '' : `${prefix}.`
    this.#problems = problems
    if (typeof given !== 'object' || given === null || Array.isArray(given)) {
      problems.add(prefix === '' ? 'body' : prefix, given, 'an object')
      return
    }
    const names = new Map(known.map((name) => [fold(name), name]))
    for (const [key, value] of Object.entries(given)) {
      const name = names.get(fold(key))
      if (name === undefined) {
        problems.add(`${this.#prefix}${key.slice(0, 64)}`, value, 'absent (Kith does not know it)')
      } else if (value !== null && value !== undefined) {
        this.#values.set(name, value)
      }
    }
  }

  path(name: string): string {
    return `${this.#prefix}${name}`
  }

  has(name: string): boolean {
    return this.#values.has(name)
  }

  any(name: string): unknown {
    return this.#values.get(name)
  }

  /** Undefined where it is absent or empty. */
  text(name: string): string | undefined {
    const value = this.#values.get(name)
    if (value === undefined || typeof value === 'string') return value || undefined
    this.#problems.add(this.path(name), value, 'text')
    return undefined
  }

  flag(name: string): boolean {
    const value = this.#values.get(name) ?? false
    if (typeof value === 'boolean') return value
    this.#problems.add(this.path(name), value, 'true or false')
    return false
  }

  whole(name: string, most: number): number | undefined {
    const value = this.#values.get(name)
    if (value === undefined) return undefined
    if (Number.isInteger(value) && Number(value) >= 0 && Number(value) <= most) return Number(value)
    this.#problems.add(this.path(name), value, `an integer from 0 to ${most}`)
    return undefined
  }

  /** Milliseconds of a text such as `10s`, or of a number, which is nanoseconds as in Go. */
  duration(name: string, least: number, most: number): number | undefined {
    const value = this.#values.get(name)
    if (value === undefined || value === '') return undefined
    const ms = durationOf(value)
    if (ms !== undefined && ms >= least && ms <= most) return Math.round(ms)
    const want = `a time as 10s or 1m30s, from ${least}ms to ${most / 1_000}s`
    this.#problems.add(this.path(name), value, want)
    return undefined
  }

  /** What has no place here: empty values are taken, all others are problems. */
  refuse(name: string, why: string): void {
    const value = this.#values.get(name)
    if (value === undefined || isEmpty(value)) return
    this.#problems.add(this.path(name), value, `absent (${why})`)
  }
}

function durationOf(value: unknown): number | undefined {
  if (typeof value === 'number') return value / 1e6
  return typeof value === 'string' ? parseDuration(value) : undefined
}

function isEmpty(value: unknown): boolean {
  if (value === '' || value === false || value === 0) return true
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0
}
