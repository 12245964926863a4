/**
 * What the server needs of the agent it speaks for. Whoever has a cluster gives an object that
 * fits; what it rejects with is shown to the caller as its message, so that messages are Serf's
 * where Serf has some.
 */
import type { Unsubscribe } from '@kith/interface'
import type {
  SerfCoordinate,
  SerfHostEvent,
  SerfKeyCommand,
  SerfKeyReport,
  SerfLogLine,
  SerfMember,
  SerfQuery,
  SerfQueryAnswer,
  SerfStats,
} from './words.ts'

export interface SerfLogSource {
  /** The last lines, at most 512, oldest first. */
  history(): readonly SerfLogLine[]
  subscribe(listener: (line: SerfLogLine) => void): Unsubscribe
}

export interface SerfRpcHost {
  members(): readonly SerfMember[]
  /** An expression of RE2, found anywhere in a text; undefined where it is not valid. */
  compile(expression: string): ((text: string) => boolean) | undefined
  /** Resolves once the event is on its way. */
  event(name: string, payload: Uint8Array, options: { readonly coalesce: boolean }): Promise<void>
  /** How many addresses answered; rejects where none did. */
  join(addresses: readonly string[], options: { readonly replay: boolean }): Promise<number>
  /** Resolves once the others know; the process stays until `shutdown`. */
  leave(): Promise<void>
  /** Called after the answer to `leave` was sent. */
  shutdown(): void
  forceLeave(name: string, options: { readonly prune: boolean }): Promise<void>
  /** First removes, then sets. */
  setTags(change: {
    readonly set: Readonly<Record<string, string>>
    readonly remove: readonly string[]
  }): Promise<void>
  /**
   * Resolves once the query is on its way, with what comes back until its time is over. The signal
   * aborts where nobody listens any more.
   */
  query(query: SerfQuery, signal: AbortSignal): Promise<AsyncIterable<SerfQueryAnswer>>
  /** `key` is base64, and absent for a list. Members that fail are in the report, no rejection. */
  keys(command: SerfKeyCommand, key: string | undefined): Promise<SerfKeyReport>
  stats(): SerfStats
  /** Undefined for whom nothing is known. */
  coordinate(name: string): SerfCoordinate | undefined
  /** Internal queries, those that begin with `_serf_`, are not told. */
  subscribe(listener: (event: SerfHostEvent) => void): Unsubscribe
  readonly logs: SerfLogSource
}
