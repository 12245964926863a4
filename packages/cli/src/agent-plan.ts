/** From the settings of `kith agent` to an agent that does not run yet, or to everything wrong. */
import type { Agent, AgentOptions } from '@kith/agent'
import type { Logger, OptionProblem } from '@kith/interface'
import { type AgentSettings, namedProblems, problemsOf, settingsError } from './agent-layers.ts'
import { agentSettings, type SettingKey } from './agent-settings.ts'
import { type WithConsulApi, withConsulApi } from './consul-api.ts'

export interface AgentPlan {
  readonly settings: AgentSettings
  readonly agent: Agent
  readonly options: AgentOptions
  /** Where Consul's API listens, once it does. */
  readonly consulPlace: WithConsulApi['place']
}

/**
 * Throws `ERR_CLI_CONFIG` with what is wrong in all settings. Opens no port and makes no file: only
 * what is there is looked at.
 */
export async function planAgent(settings: AgentSettings, logger: Logger): Promise<AgentPlan> {
  const problems: OptionProblem[] = [...settings.problems]
  const heed = (cause: unknown): undefined => {
    const found = problemsOf(cause)
    if (found === undefined) throw cause
    problems.push(...namedProblems(found, settings))
  }
  const given = await withScripts(agentOptions(settings), settings.values.scriptChecks)
  const consul = await withConsulApi(given, settings.values.consulApi).catch(heed)
  const options = consul?.options ?? given
  // Loaded here: whoever only asks an agent does not wait for a store and a server to load.
  const { createAgent } = await import('@kith/agent')
  let agent: Agent | undefined
  try {
    agent = createAgent({ ...options, logger })
  } catch (cause) {
    heed(cause)
  }
  if (problems.length > 0 || agent === undefined) throw settingsError(problems)
  return { settings, agent, options, consulPlace: consul?.place ?? (() => undefined) }
}

async function withScripts(options: AgentOptions, wanted = false): Promise<AgentOptions> {
  if (!wanted) return options
  const { scriptCheck } = await import('@kith/registry')
  return { ...options, checkKinds: [scriptCheck()] }
}

/** Those of the command alone, and those whose name in an agent's options is another. */
const notOptions: readonly SettingKey[] = [
  ...(['consulApi', 'scriptChecks', 'logLevel', 'logFormat'] as const),
  ...(['node', 'discover', 'rejoin', 'rpc', 'rpcAuth'] as const),
]

function agentOptions({ values, origins }: AgentSettings): AgentOptions {
  const { node, discover, rejoin, rpc, rpcAuth } = values
  const own: [string, unknown][] = [
    ['name', node],
    ['discovery', discover],
    ['rejoinAfterLeave', rejoin],
  ]
  // The default port is no condition: another agent of this machine may have it already.
  const rpcRequired = origins.rpc?.from !== 'default'
  if (rpc !== false) own.push(...Object.entries({ rpc, rpcRequired, rpcAuth }))
  const same = Object.entries(values).filter(([key]) => !notOptions.includes(key as SettingKey))
  const set = [...same, ...own].filter(([, value]) => value !== undefined)
  return Object.fromEntries(set) as AgentOptions
}

/** What a dry run prints: each value and where it comes from, without a secret. */
export function describeSettings(settings: AgentSettings): object {
  const { file, values, origins, unknownVariables } = settings
  const entries = agentSettings.map(({ key, secret }) => {
    const value = secret ? masked(key, values[key]) : withoutSecrets(values[key])
    return [key, { value: value ?? null, ...origins[key] }] as const
  })
  return { config: file ?? null, settings: Object.fromEntries(entries), unknownVariables }
}

const mask = '(secret)'

function masked(key: SettingKey, value: unknown): unknown {
  if (value === undefined) return undefined
  if (key !== 'httpTokens' || !Array.isArray(value)) return mask
  // Who has which role is no secret.
  return value.map((one: object) => ({ ...one, token: mask }))
}

/** Headers of a check and what a URL has before its host are mostly there to be let in. */
function withoutSecrets(value: unknown): unknown {
  if (typeof value === 'string') return value.replace(/^(\w+:\/\/)[^/@]*@/, `$1${mask}@`)
  if (Array.isArray(value)) return value.map(withoutSecrets)
  if (typeof value !== 'object' || value === null) return value
  const shown = Object.entries(value).map(([name, inner]) => {
    const headers = name === 'headers' && typeof inner === 'object' && inner !== null
    return [name, headers ? maskEach(inner as object) : withoutSecrets(inner)]
  })
  return Object.fromEntries(shown)
}

function maskEach(values: object): object {
  return Object.fromEntries(Object.keys(values).map((name) => [name, mask]))
}
