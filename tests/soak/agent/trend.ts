/**
 * Whether a process that was looked at again and again keeps something: a straight line through its
 * heap by least squares, and what it holds open at the end beside what it held at the beginning.
 */

/** What one look found, after everything that nobody needs was collected. */
export interface Look {
  readonly atMs: number
  /** Members that had joined and were gone again by then. */
  readonly joins: number
  readonly heapBytes: number
  readonly rssBytes: number
  /** What is open, by kind: timers, sockets, descriptors, threads. */
  readonly held: Readonly<Record<string, number>>
}

export interface Line {
  /** Bytes an hour. */
  readonly slope: number
  /** Its standard error, with errors of single looks taken as independent. */
  readonly error: number
}

export interface Growth {
  readonly kind: string
  /** The most in the first third of the looks, and the least in the last. */
  readonly before: number
  readonly after: number
}

export interface Trend {
  readonly heap: Line
  readonly rss: Line
  /** Bytes of heap that each member left behind. */
  readonly bytesPerJoin: number
  /** Everything of which there was never as little again as there was at most at first. */
  readonly growing: readonly Growth[]
}

const hourMs = 3_600_000
/** Of the normal distribution, for an interval that holds the truth 95 times in 100. */
const deviations = 1.96
/** Fewer looks than these say nothing about a trend. */
const looksMin = 9

/** Least squares; the error is 0 where every look lies on the line. */
export function lineThrough(points: readonly (readonly [x: number, y: number])[]): Line {
  const count = points.length
  const middle = (of: 0 | 1): number => points.reduce((sum, point) => sum + point[of], 0) / count
  const [middleX, middleY] = [middle(0), middle(1)]
  let [across, both] = [0, 0]
  for (const [x, y] of points) {
    across += (x - middleX) ** 2
    both += (x - middleX) * (y - middleY)
  }
  const slope = both / across
  let rest = 0
  for (const [x, y] of points) rest += (y - middleY - slope * (x - middleX)) ** 2
  return { slope, error: Math.sqrt(rest / (count - 2) / across) }
}

/** Of the looks after the warm-up. Throws where they are too few. */
export function trendOf(looks: readonly Look[]): Trend {
  const [first, last] = [looks[0], looks.at(-1)]
  if (looks.length < looksMin || first === undefined || last === undefined) {
    throw new Error(`${looks.length} looks say nothing: it takes ${looksMin}`)
  }
  const through = (of: (look: Look) => number): Line =>
    lineThrough(looks.map((look) => [look.atMs / hourMs, of(look)]))
  const heap = through(({ heapBytes }) => heapBytes)
  const hours = (last.atMs - first.atMs) / hourMs
  const bytesPerJoin = (heap.slope * hours) / Math.max(1, last.joins - first.joins)
  return { heap, rss: through(({ rssBytes }) => rssBytes), bytesPerJoin, growing: growing(looks) }
}

function growing(looks: readonly Look[]): Growth[] {
  const third = Math.floor(looks.length / 3)
  const kinds = new Set(looks.flatMap(({ held }) => Object.keys(held)))
  return [...kinds].toSorted().flatMap((kind) => {
    const counts = looks.map(({ held }) => held[kind] ?? 0)
    const before = Math.max(...counts.slice(0, third))
    const after = Math.min(...counts.slice(-third))
    return after > before ? [{ kind, before, after }] : []
  })
}

/**
 * What is wrong; empty where nothing is. The heap may not grow faster than `bytesPerHourMax` even
 * at the upper end of its interval, so that looks that scatter too widely do not pass either.
 */
export function complaints(trend: Trend, bytesPerHourMax: number): readonly string[] {
  const { heap, growing: found } = trend
  const most = heap.slope + deviations * heap.error
  const text = `the heap grows by ${showLine(heap)}, at most ${mebibytes(bytesPerHourMax)}`
  return [
    ...(most > bytesPerHourMax ? [text] : []),
    ...found.map(({ kind, before, after }) => `${kind}: at most ${before} first, ${after} at last`),
  ]
}

/** The slope and the half of its interval, for people. */
export function showLine({ slope, error }: Line): string {
  return `${mebibytes(slope)} ± ${mebibytes(deviations * error)} an hour`
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(2)} MiB`
}
