/** Which faults a run has, and of how many members. */
import type { Topology } from './at-rest.ts'

export interface Schedule {
  readonly topology: Topology
  readonly sizes: readonly [min: number, max: number]
  /** Of random faults; default 120. */
  readonly steps?: number
  /** Fresh disks under old names. */
  readonly replace?: boolean
  /** Fresh disks with a copy of another member's. */
  readonly bootstrap?: boolean
  /** `gated`: appends wait for a hello after a start. `blind`: they do not. */
  readonly rollBack?: 'gated' | 'blind'
  /** Of one in each step; default 0.03. */
  readonly rollBackChance?: number
  /**
   * What the log may drop of its oldest records: `safe` what every other disk has, `unsafe`
   * anything, `guarded` what one or two others acknowledged, and sometimes anything.
   */
  readonly retention?: 'safe' | 'unsafe' | 'guarded'
  /** Operators say of origins that nothing more comes of them. */
  readonly retire?: boolean
  /** What an hour of wall time takes, in which a log takes one new origin. Default 1,000. */
  readonly hourMs?: number
}
