/** What a DNS server counts. */

/** Figures; all only grow except `waiting` and `connections`. */
export interface DnsStats {
  readonly udpQueries: number
  readonly tcpQueries: number
  /** Packets that were no query, or longer than `queryBytesMax`: dropped. */
  readonly malformed: number
  /** Queries over `waitingMax`, and connections over `connectionsMax`: dropped. */
  readonly overloaded: number
  /** Answers that did not fit and said so. */
  readonly truncated: number
  /** Queries that the registry could not answer: SERVFAIL. */
  readonly failures: number
  /**
   * Answers by the type asked for, `other` where it is none of the usual ones, and by outcome:
   * `found`, `empty`, `unknown`, `refused`, `failed`, `unsupported`. What never happened is absent.
   */
  readonly answers: Readonly<Record<string, Readonly<Record<string, number>>>>
  readonly waiting: number
  readonly connections: number
}
