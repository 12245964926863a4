/** How long appends and flushes took, in buckets that are there from the beginning. */

/** Upper bounds of the buckets in milliseconds: a flush of a disk that is well takes 0.1 to 50. */
export const latencyBoundsMs: readonly number[] = [
  0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000,
]

/** Times that were measured since the start. */
export interface LatencyHistogram {
  /** Upper bounds of the buckets in milliseconds; a time that equals one is in its bucket. */
  readonly boundsMs: readonly number[]
  /** Times in each bucket, and at the end those above all bounds. */
  readonly counts: readonly number[]
  /** All times together, in milliseconds. */
  readonly sumMs: number
}

export interface LogLatency {
  /**
   * From the call of `append` to its answer, for each append that was stored: after the flush, but
   * for durability `os` and `memory`. The wait for other logs (`replicas`) is not in it.
   */
  readonly append: LatencyHistogram
  /** What the store took for a group and its flush, by the clock of its own thread. */
  readonly flush: LatencyHistogram
}

export class Latency {
  private readonly counts = new Float64Array(latencyBoundsMs.length + 1)
  private sumMs = 0

  observe(ms: number): void {
    this.add(ms, 1)
  }

  /** The time since each of `begun`, which are in order; many began at the same moment. */
  observeSince(begun: readonly number[], now: number): void {
    let first = 0
    for (let at = 1; at <= begun.length; at += 1) {
      if (begun[at] === begun[first]) continue
      this.add(now - (begun[first] ?? now), at - first)
      first = at
    }
  }

  histogram(): LatencyHistogram {
    return { boundsMs: latencyBoundsMs, counts: [...this.counts], sumMs: this.sumMs }
  }

  private add(ms: number, times: number): void {
    let bucket = 0
    while (ms > (latencyBoundsMs[bucket] ?? Infinity)) bucket += 1
    this.counts[bucket] = (this.counts[bucket] ?? 0) + times
    this.sumMs += ms * times
  }
}
