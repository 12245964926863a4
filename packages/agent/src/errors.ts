/** What the agent itself refuses; errors of its parts pass through as they are. */
import {
  describeProblems,
  KithError,
  type KithErrorOptions,
  type OptionProblem,
} from '@kith/interface'

export type AgentErrorCode = 'ERR_AGENT_OPTIONS' | 'ERR_AGENT_STATE' | 'ERR_AGENT_PLUGIN'

export interface AgentErrorDetails {
  /** Everything that is wrong with the options. */
  readonly problems?: readonly OptionProblem[]
  /** The plugin that failed. */
  readonly plugin?: string
}

export class AgentError extends KithError<AgentErrorCode, AgentErrorDetails> {
  constructor(
    code: AgentErrorCode,
    message: string,
    options: KithErrorOptions<AgentErrorDetails> = {},
  ) {
    super(code, message, options)
    this.name = 'AgentError'
  }
}

/** `ERR_AGENT_OPTIONS` that names everything that is wrong. */
export function invalidOptions(problems: readonly OptionProblem[], cause?: unknown): AgentError {
  const text = describeProblems(problems)
  return new AgentError('ERR_AGENT_OPTIONS', text, { cause, details: { problems } })
}

/** `ERR_AGENT_PLUGIN` that names the plugin and keeps its error. */
export function pluginFailed(plugin: string, what: string, cause: unknown): AgentError {
  const text = `the plugin ${plugin} ${what}: ${(cause as Error).message}`
  return new AgentError('ERR_AGENT_PLUGIN', text, { cause, details: { plugin } })
}
