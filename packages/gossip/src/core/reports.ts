/** What members are told of suspicions and failures. `evidence.ts` makes it. */

/** A member asked to probe another one for us. */
export interface HelperReport {
  readonly name: string
  /** `nack`: it answered us, and got no answer itself. `silent`: we heard nothing from it. */
  readonly answer: 'nack' | 'silent'
}

/**
 * What stood behind a suspicion of our own: each way that was tried, in the order of trying, and
 * how it ended. Times are milliseconds before the end of the probe.
 */
export interface ProbeReport {
  /** When the first ping left, straight to the member. */
  readonly startedAgoMs: number
  /** `refused`: the packet came back; else nothing did. */
  readonly direct: 'silent' | 'refused'
  /** When helpers and the stream were asked, after the first ping had its time. */
  readonly askedAgoMs: number
  /** Through whom it was pinged. */
  readonly helpers: readonly HelperReport[]
  /** Helpers asked. */
  readonly indirect: number
  /**
   * Nacks of those who could have sent one; fewer than `nacksExpected` speaks against ourselves.
   */
  readonly nacks: number
  readonly nacksExpected: number
  /** The ping over TCP. `pending`: not failed yet; `unused`: it is off, or not understood. */
  readonly stream: 'unused' | 'failed' | 'pending'
  /** When and why it failed. */
  readonly streamFailedAgoMs?: number
  readonly streamReason?: string
}

/** One who says that a member does not answer. */
export interface Accusation {
  /** Who says so; this member itself for its own probes and for what it heard in an exchange. */
  readonly from: string
  /** When this member heard it, or found it out. */
  readonly agoMs: number
  /** Own probes, a packet, or a state exchanged in which the member was dead. */
  readonly via: 'probe' | 'gossip' | 'exchange'
  /** Where it was our own probe. */
  readonly probe?: ProbeReport
}

/** What stood behind a `fail` event. */
export interface FailureReport {
  /** Who gave the member up: this member, because its suspicion ran out, or another one. */
  readonly by: string
  /** When this member began to suspect it; absent where the verdict of another one came first. */
  readonly suspectedAgoMs?: number
  /** Who accused it, the first one first, each once; at most 16. */
  readonly accusations: readonly Accusation[]
  /** Independent confirmations, and how many of them make the suspicion as short as it gets. */
  readonly confirmations: number
  readonly confirmationsNeeded: number
  /** The shortest and the longest time for which this member would have suspected it. */
  readonly suspicionMinMs?: number
  readonly suspicionMaxMs?: number
}

/** As it is kept: with the core's own time. */
export interface KeptAccusation extends Omit<Accusation, 'agoMs'> {
  readonly at: number
}
