/** The common root of every error that Kith throws on purpose. */

const brand = Symbol.for('@kith/error')

export interface KithErrorOptions<Details> {
  /** What was underneath, where something was. */
  readonly cause?: unknown
  /** Typed facts a caller can act on: the field, the value, the limit. */
  readonly details?: Details
}

/**
 * One subclass a package, one `code` a situation. Callers branch on `code`, never on the text.
 * `docs/errors.md` says for each code what caused it, whether state changed and whether a retry
 * helps.
 */
export class KithError<Code extends string = string, Details = unknown> extends Error {
  readonly code: Code
  readonly details: Details | undefined

  constructor(code: Code, message: string, options: KithErrorOptions<Details> = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.name = 'KithError'
    this.code = code
    this.details = options.details
    Object.defineProperty(this, brand, { value: true })
  }
}

/** True for errors of any installed copy of Kith, where `instanceof` would fail. */
export function isKithError(value: unknown): value is KithError {
  return (
    typeof value === 'object' &&
    value !== null &&
    (value as Record<symbol, unknown>)[brand] === true
  )
}

/** One thing that is wrong with an options object, an HTTP body or a command line. */
export interface OptionProblem {
  /** The path of the field, as the caller wrote it: `probeIntervalMs`, `services[0].port`. */
  readonly field: string
  /** What was given, shortened for display. */
  readonly got: string
  /** What would be right: `an integer from 1 to 65535`. */
  readonly want: string
}

/** `probeIntervalMs must be an integer of at least 10, got -1`, one problem after another. */
export function describeProblems(problems: readonly OptionProblem[]): string {
  return problems.map(({ field, got, want }) => `${field} must be ${want}, got ${got}`).join('; ')
}

/**
 * A mistake of ours, never of a caller's or of the network's: it throws, also in production, and
 * ends the component that made it.
 */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new KithError('ERR_KITH_INVARIANT', `invariant broken: ${message}`)
}
