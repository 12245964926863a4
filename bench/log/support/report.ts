/** How figures are printed, one line of JSON each, and when the program has missed a bound. */
import { isPreferred } from './load.ts'
import { spread } from './statistics.ts'

export interface Bound {
  readonly least?: number
  readonly most?: number
}

/** Three digits behind the point for ratios, none where that is below a thousandth of the value. */
function shown(value: number): number {
  return Math.abs(value) >= 1_000 ? Math.round(value) : Math.round(value * 1_000) / 1_000
}

/** What goes in front of all: figures of a process that was preferred are named so. */
export function tellConditions(): void {
  if (!isPreferred()) return
  print({ figure: 'PREFERRED', reason: 'this process runs before all others (real-time policy)' })
}

export function print(figure: Readonly<Record<string, unknown>>): void {
  process.stdout.write(`${JSON.stringify(figure)}\n`)
}

/** Prints median and quartiles; the bound is one of the median. */
export function tellSpread(
  figure: string,
  values: readonly number[],
  unit: string,
  bound: Bound = {},
): void {
  const { median, low, high } = spread(values)
  const numbers = { median: shown(median), low: shown(low), high: shown(high), unit }
  print({ figure, ...numbers, rounds: values.length, ...bound, ...verdict(median, bound) })
}

export function tellValue(
  figure: string,
  value: number,
  unit: string,
  bound: Bound = {},
  more: Readonly<Record<string, unknown>> = {},
): void {
  print({ figure, value: shown(value), unit, ...more, ...bound, ...verdict(value, bound) })
}

/** Whether the bound was met, where there is one; where it was not, the process ends with 1. */
function verdict(value: number, bound: Bound): { readonly met?: boolean } {
  if (bound.least === undefined && bound.most === undefined) return {}
  const met = meets(value, bound)
  if (!met) process.exitCode = 1
  return { met }
}

/** What is not a number meets nothing. */
export function meets(value: number, { least = -Infinity, most = Infinity }: Bound): boolean {
  return value >= least && value <= most
}
