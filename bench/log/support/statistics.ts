/** What is said about slices that took turns: the middle, quartiles, ratios round by round. */

export interface Spread {
  readonly median: number
  /** The quartiles. */
  readonly low: number
  readonly high: number
}

/** The value below which `share` of all lie, between two of them in proportion. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (sorted.length - 1) * share
  const below = sorted[Math.floor(at)] ?? Number.NaN
  const above = sorted[Math.ceil(at)] ?? Number.NaN
  return below + (above - below) * (at - Math.floor(at))
}

export function spread(values: readonly number[]): Spread {
  return {
    median: quantile(values, 0.5),
    low: quantile(values, 0.25),
    high: quantile(values, 0.75),
  }
}

/** Ours to theirs within each round: one in which the machine was slow for both moves nothing. */
export function ratios(ours: readonly number[], theirs: readonly number[]): readonly number[] {
  if (ours.length !== theirs.length) throw new Error('both take part in every round')
  return ours.map((value, round) => value / (theirs[round] ?? Number.NaN))
}

/** One number for several ratios: twice as high in one and half as high in another are 1. */
export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length)
}

/**
 * Whose turn it is in `round`: over as many rounds as there are contenders, each has every place
 * once, and with the odd rounds turned round it comes after each of the others about equally
 * often. What one leaves to be done in the background then meets all others alike.
 */
export function turns(contenders: number, round: number): readonly number[] {
  const zigzag = Array.from({ length: contenders }, (_, at) =>
    at % 2 === 0 ? at / 2 : contenders - (at + 1) / 2,
  )
  const row = zigzag.map((place) => (place + round) % contenders)
  return Math.floor(round / contenders) % 2 === 0 ? row : row.toReversed()
}
