/** Sets of positions as sorted, disjoint spans. */

/** From the first position to one past the last. */
export type Span = readonly [from: number, to: number]

export function sorted(spans: readonly Span[]): readonly Span[] {
  const joined: [number, number][] = []
  for (const [from, to] of spans.toSorted((a, b) => a[0] - b[0])) {
    const last = joined.at(-1)
    if (last !== undefined && from <= last[1]) last[1] = Math.max(last[1], to)
    else joined.push([from, to])
  }
  return joined
}

/** What is in `all` and not in `those`. */
export function without(all: readonly Span[], those: readonly Span[]): readonly Span[] {
  const left: Span[] = []
  for (const [from, to] of all) {
    let at = from
    for (const [start, end] of those) {
      if (end <= at || start >= to) continue
      if (start > at) left.push([at, start])
      at = Math.max(at, end)
    }
    if (at < to) left.push([at, to])
  }
  return left
}

export function lengthOf(spans: readonly Span[]): number {
  return spans.reduce((sum, [from, to]) => sum + to - from, 0)
}
