/** What the command refuses or fails at, and the exit code of each. */
import { isKithError, KithError, type KithErrorOptions, type OptionProblem } from '@kith/interface'

export type CliErrorCode =
  | 'ERR_CLI_CONFIG'
  | 'ERR_CLI_INPUT'
  | 'ERR_CLI_UNREACHABLE'
  | 'ERR_CLI_REFUSED'
  | 'ERR_CLI_ANSWER'

export interface CliErrorDetails {
  readonly problems?: readonly OptionProblem[]
  /** The HTTP status of a refusal. */
  readonly status?: number
  /** The code that the agent gave for its refusal. */
  readonly agentCode?: string
}

export class CliError extends KithError<CliErrorCode, CliErrorDetails> {
  constructor(
    code: CliErrorCode,
    message: string,
    options: KithErrorOptions<CliErrorDetails> = {},
  ) {
    super(code, message, options)
    this.name = 'CliError'
  }
}

/** The exit codes of `kith`; the guide documents them. */
export interface ExitCodes {
  readonly ok: 0
  /** The operation failed, or its answer is no (nothing resolves, damage was found). */
  readonly failed: 1
  /** A flag, argument or config value is not what it must be; nothing was done. */
  readonly usage: 2
  /** No agent answers at the address. */
  readonly unreachable: 3
}

/** What `kith` exits with. */
export const exitCodes: ExitCodes = Object.freeze({ ok: 0, failed: 1, usage: 2, unreachable: 3 })

export function exitCodeOf(cause: unknown): number {
  if (!isKithError(cause)) return exitCodes.failed
  const unreachable = ['ERR_CLI_UNREACHABLE', 'ERR_REGISTRY_CLIENT_UNAVAILABLE', 'ERR_RPC_CONNECT']
  if (unreachable.includes(cause.code)) return exitCodes.unreachable
  // Each part says by such a code that it was told something that cannot be.
  const usage = cause.code === 'ERR_CLI_CONFIG' || cause.code.endsWith('_OPTIONS')
  return usage ? exitCodes.usage : exitCodes.failed
}
