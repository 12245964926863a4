/** Services as every member sees them (DESIGN section 3). */
import type { PluginContext } from './context.ts'

export type CheckStatus = 'passing' | 'warning' | 'critical'

/** The parts of a check that every kind shares. */
export interface CheckTiming {
  /** Milliseconds between runs, 100 to 86,400,000; default 10 000. */
  readonly intervalMs?: number
  /** Milliseconds one run may take; default 5 000, at most `intervalMs` is sensible. */
  readonly timeoutMs?: number
  /** Runs in a row that must succeed before `passing`; default 1. */
  readonly successThreshold?: number
  /** Runs in a row that must fail before `critical`; default 1. */
  readonly failureThreshold?: number
  /**
   * Status before the first run; default `critical`, so nobody is sent to what was never seen well.
   */
  readonly initialStatus?: CheckStatus
  /** Deregisters the service after this long in `critical`; default never. */
  readonly deregisterCriticalAfterMs?: number
}

export interface CheckResult {
  readonly status: CheckStatus
  /** For humans; cut to 4 KiB. */
  readonly output: string
}

/** Where the instance under check listens: what a kind asks where its options name nothing else. */
export interface CheckTarget {
  readonly address: string
  readonly port: number
}

/** A way to find out whether an instance is well. A plugin registers one under its `kind`. */
export interface CheckKind<Options = unknown> {
  /** 1 to 32 of `[a-z0-9-]`, starting with a letter. */
  readonly kind: string
  /**
   * True where the status is told from outside (`setCheck`). Such a kind runs only after
   * `intervalMs` without word, once, and its answer says what the silence means.
   */
  readonly passive?: boolean
  /** Throws an `Error` whose message names the bad field. Effects only in `run`. */
  parse(options: unknown, target: CheckTarget): Options
  /**
   * One run. Must settle soon after `signal` aborts. A rejection means critical with its message.
   * Never called again with the same options before it settled.
   */
  run(options: Options, signal: AbortSignal, context: PluginContext): Promise<CheckResult>
}

export interface CheckState {
  readonly id: string
  readonly kind: string
  readonly status: CheckStatus
  readonly output: string
}

export interface ServiceInstance {
  readonly service: string
  /** Unique within its member. */
  readonly id: string
  /** The member that owns it. */
  readonly member: string
  readonly address: string
  readonly port: number
  readonly tags: readonly string[]
  readonly meta: Readonly<Record<string, string>>
  readonly checks: readonly CheckState[]
  /** The worst of its checks; `passing` where it has none. */
  readonly status: CheckStatus
  /** Raised by the owner with each change. */
  readonly version: number
}
