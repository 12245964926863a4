/** How the programs print what they measured, and say whether a bound was met. */

export interface Figure {
  readonly figure: string
  readonly value: number
  readonly unit: string
  /** Missed where the value is on the wrong side of it; without one the figure is only told. */
  readonly least?: number
  readonly most?: number
}

/** Prints one line of JSON a figure; where a bound is missed the process ends with 1. */
export function tell(figures: readonly Figure[]): void {
  for (const figure of figures) {
    const { value, least = -Infinity, most = Infinity } = figure
    const bounded = figure.least !== undefined || figure.most !== undefined
    const met = value >= least && value <= most
    const shown = { ...figure, value: Math.round(value * 10) / 10 }
    process.stdout.write(`${JSON.stringify(bounded ? { ...shown, met } : shown)}\n`)
    if (!met) process.exitCode = 1
  }
}

/** The value below which `share` of all lie. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}
