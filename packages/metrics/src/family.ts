/** What a metric is: its name, its kind and what it says. */

export interface Family {
  readonly name: string
  readonly kind: 'counter' | 'gauge' | 'histogram'
  /** A sentence that says what is counted. */
  readonly help: string
  /** In the order in which values of labels are given. */
  readonly labels: readonly string[]
}

/** Takes the value of a metric now; one that is not finite is left out. */
export type Put = (family: Family, value: number, ...labels: readonly string[]) => void

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

/** How many of `values` there are of each of `kinds`, a 0 included. */
export function tally(kinds: readonly string[], values: Iterable<string>): Map<string, number> {
  const counts = new Map(kinds.map((kind) => [kind, 0]))
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  return counts
}
