/** What check kinds say when their options are wrong. */
import { type OptionProblem, showValue } from '@kith/interface'
import { problemError, RegistryError } from '../errors.ts'

/** Reads the fields of a kind's options, collecting what is wrong with them. */
export class OptionReader {
  readonly #given: Readonly<Record<string, unknown>>
  readonly #problems: OptionProblem[] = []
  readonly #read = new Set<string>()

  constructor(options: unknown) {
    const isObject = typeof options === 'object' && options !== null && !Array.isArray(options)
    if (options !== undefined && !isObject) {
      this.#problems.push({ field: 'options', got: showValue(options), want: 'an object' })
    }
    this.#given = isObject ? (options as Record<string, unknown>) : {}
  }

  /**
   * The field, where it is there and fits; otherwise `fallback`, with a problem where it does not
   * fit.
   */
  field<Value>(
    name: string,
    fits: (value: unknown) => value is Value,
    want: string,
    fallback: Value,
  ): Value {
    this.#read.add(name)
    const value = this.#given[name]
    if (value === undefined) return fallback
    if (fits(value)) return value
    this.#problems.push({ field: name, got: showValue(value), want })
    return fallback
  }

  /** Throws `ERR_REGISTRY_CHECK_OPTIONS` where anything was wrong. */
  done(): void {
    for (const [name, value] of Object.entries(this.#given)) {
      if (this.#read.has(name)) continue
      this.#problems.push({
        field: name,
        got: showValue(value),
        want: 'absent (the name is not known here)',
      })
    }
    if (this.#problems.length > 0) throw problemError('ERR_REGISTRY_CHECK_OPTIONS', this.#problems)
  }
}

export function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= 2_048
}

export function isPort(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65_535
}

/** A run that ended without an answer; the registry counts it as critical. */
export function failure(message: string, cause?: unknown): RegistryError {
  return new RegistryError('ERR_REGISTRY_CHECK_FAILED', message, { cause })
}
