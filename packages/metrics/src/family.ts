/** What a metric is: its name, its kind and what it says. */

export interface Family {
  readonly name: string
  readonly kind: 'counter' | 'gauge' | 'histogram'
  /** A sentence that says what is counted. */
  readonly help: string
  /** In the order in which values of labels are given. */
  readonly labels: readonly string[]
}

/** Values by bucket, as a part counted them by itself. */
export interface Distribution {
  /** Upper bounds of the buckets. */
  readonly bounds: readonly number[]
  /** Values in each bucket, and at the end those above all bounds. */
  readonly counts: readonly number[]
  /** All values together. */
  readonly sum: number
}

/** Takes the value of a metric now; one that is absent or not finite is left out. */
export type Put = (
  family: Family,
  value: number | Distribution | undefined,
  ...labels: readonly string[]
) => void

/** One part of a member, and the metrics that are read from it. */
export interface Part {
  readonly name: string
  readonly families: readonly Family[]
  /** May throw where the part does not run: its metrics are left out then. */
  read(put: Put): void
}

export function counter(name: string, help: string, ...labels: readonly string[]): Family {
  return { name, kind: 'counter', help, labels }
}

export function gauge(name: string, help: string, ...labels: readonly string[]): Family {
  return { name, kind: 'gauge', help, labels }
}

export function histogram(name: string, help: string): Family {
  return { name, kind: 'histogram', help, labels: [] }
}

/** What of a histogram adds up, by the name that it is known under. */
export interface Series {
  readonly suffix: '_bucket' | '_sum' | '_count'
  /** The upper bound of a bucket, which has everything below it as well. */
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export function seriesOf({ bounds, counts, sum }: Distribution): readonly Series[] {
  let count = 0
  const buckets = counts.map((each, at): Series => {
    count += each
    const le = at < bounds.length ? String(bounds[at]) : '+Inf'
    return { suffix: '_bucket', labels: { le }, value: count }
  })
  const none = { labels: {} }
  return [
    ...buckets,
    { suffix: '_sum', ...none, value: sum },
    { suffix: '_count', ...none, value: count },
  ]
}

/** How many of `values` there are of each of `kinds`, a 0 included. */
export function tally(kinds: readonly string[], values: Iterable<string>): Map<string, number> {
  const counts = new Map(kinds.map((kind) => [kind, 0]))
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  return counts
}
