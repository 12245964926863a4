/** What commits tell of the disk: how long it takes, and whether it has room. */
import type { Clock } from '@kith/interface'

/** A commit that takes this many milliseconds is slow: disks that are well take one to fifty. */
export const slowCommitMs = 1_000
/** Milliseconds without a slow commit after which the disk counts as quick again. */
export const slowLastsMs = 60_000

/** Something seen again and again. Times are milliseconds since 1970. */
export interface Repeated {
  readonly since: number
  readonly lastAt: number
  readonly times: number
}

/** The disk under a log, as its commits found it. */
export interface DiskStatus {
  /**
   * Commits of a second or more, and the longest of them in milliseconds; absent where there was
   * none in the last minute.
   */
  readonly slow?: Repeated & { readonly longestMs: number }
  /** Milliseconds for which the commit under way has been waited for; 0 where none is under way. */
  readonly waitingMs: number
  /** Transactions refused for want of room; absent once records found some. */
  readonly full?: Repeated
}

export class DiskWatch {
  private readonly clock: Clock
  private slow: DiskStatus['slow']
  private full: DiskStatus['full']

  constructor(clock: Clock) {
    this.clock = clock
  }

  /** A transaction with `bytes` of records is stored; the store took `tookMs` for it. */
  committed(tookMs: number, bytes: number): void {
    // One without records may fit where none with records does.
    if (bytes > 0) this.full = undefined
    if (tookMs < slowCommitMs) return
    const longestMs = Math.max(tookMs, this.recent()?.longestMs ?? 0)
    this.slow = { ...this.again(this.recent()), longestMs: Math.round(longestMs) }
  }

  /** There was no room for a transaction. */
  refused(): void {
    this.full = this.again(this.full)
  }

  status(waitingMs: number): DiskStatus {
    const slow = this.recent()
    const { full } = this
    return {
      ...(slow === undefined ? {} : { slow }),
      waitingMs: Math.round(waitingMs),
      ...(full === undefined ? {} : { full }),
    }
  }

  private recent(): DiskStatus['slow'] {
    const { slow } = this
    return slow !== undefined && this.clock.wallNow() - slow.lastAt <= slowLastsMs
      ? slow
      : undefined
  }

  private again(before: Repeated | undefined): Repeated {
    const now = this.clock.wallNow()
    return { since: before?.since ?? now, lastAt: now, times: (before?.times ?? 0) + 1 }
  }
}
