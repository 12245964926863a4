/**
 * Where the settings of `kith agent` come from: a flag wins over a variable of the environment,
 * that over the configuration file, that over the default. All that is wrong is found at once.
 */
import { join } from 'node:path'
import { isKithError, type OptionProblem, showValue } from '@kith/interface'
import {
  agentSettings,
  flagName,
  type Setting,
  type SettingKey,
  variableName,
} from './agent-settings.ts'
import type { AgentConfig } from './config.ts'
import { CliError } from './errors.ts'
import { RefusedText } from './flags.ts'

/** What the command line holds: texts in their order, or whether a flag stands there. */
export type AgentFlags = Readonly<Record<string, readonly string[] | boolean | undefined>>

export interface Origin {
  readonly from: 'flag' | 'environment' | 'file' | 'default'
  /** The flag, the variable or the path of the file; absent for a default. */
  readonly name?: string
}

export interface AgentSettings {
  /** Where the configuration file is. */
  readonly file: string | undefined
  /** Without those that are wrong. */
  readonly values: AgentConfig
  readonly origins: Readonly<Partial<Record<SettingKey, Origin>>>
  readonly problems: readonly OptionProblem[]
  /** Variables that look like ours and set nothing: most of the time a mistyped name. */
  readonly unknownVariables: readonly string[]
}

interface Found {
  readonly value: unknown
  readonly origin: Origin
}
type Layer = Map<SettingKey, Found>
type Environment = Readonly<Record<string, string | undefined>>

/** Variables of ours that are no settings of an agent. */
const otherVariables = ['KITH_CONFIG', 'KITH_HTTP_ADDR', 'KITH_RPC_ADDR']

export async function readAgentSettings(
  flags: AgentFlags,
  env: Environment,
): Promise<AgentSettings> {
  const problems: OptionProblem[] = []
  const config = configPath(flags, env, problems)
  const given = [flagLayer(flags, problems), variableLayer(env, problems)]
  const layers = [...given, await fileLayer(config, problems)]
  keepOneKey(layers)
  const values: Partial<Record<SettingKey, unknown>> = {}
  const origins: Partial<Record<SettingKey, Origin>> = {}
  for (const { key, fallback } of agentSettings) {
    const found = layers.find((layer) => layer.has(key))?.get(key)
    values[key] = found?.value ?? fallback
    origins[key] = found?.origin ?? { from: 'default' }
  }
  const { data } = values
  if (typeof data === 'string') values.snapshot ??= join(data, 'members.snapshot')
  return {
    file: config?.path,
    values: values as AgentConfig,
    origins,
    problems,
    unknownVariables: unknownVariables(env),
  }
}

/** A key takes the place of a keyring that stands further down, and the other way round. */
function keepOneKey(layers: readonly Layer[]): void {
  const first = layers.findIndex((layer) => layer.has('encrypt') || layer.has('keyring'))
  for (const layer of first < 0 ? [] : layers.slice(first + 1)) {
    layer.delete('encrypt')
    layer.delete('keyring')
  }
}

function flagLayer(flags: AgentFlags, problems: OptionProblem[]): Layer {
  const layer: Layer = new Map()
  for (const setting of agentSettings) {
    const name = flagName(setting)
    const given = flags[attribute(name)]
    const origin: Origin = { from: 'flag', name: given === false ? `--no-${name.slice(2)}` : name }
    if (typeof given === 'boolean') layer.set(setting.key, { value: given, origin })
    else if (given !== undefined) readTexts(setting, given, origin, layer, problems)
  }
  return layer
}

function variableLayer(env: Environment, problems: OptionProblem[]): Layer {
  const layer: Layer = new Map()
  for (const setting of agentSettings) {
    const name = variableName(flagName(setting))
    const given = env[name]
    // As if it were not there: that is how a script takes one back.
    if (given === undefined || given === '') continue
    const several = given.split(setting.separator ?? ',').map((text) => text.trim())
    const texts = setting.many ? several : [given]
    readTexts(setting, texts, { from: 'environment', name }, layer, problems)
  }
  return layer
}

function readTexts(
  { key, many, read }: Setting,
  texts: readonly string[],
  origin: Origin,
  layer: Layer,
  problems: OptionProblem[],
): void {
  let value: unknown
  let fits = true
  // Of one that takes one value the last counts, as with most commands.
  for (const text of many ? texts : texts.slice(-1)) {
    try {
      value = read(text, value as never)
    } catch (cause) {
      if (!(cause instanceof RefusedText)) throw cause
      problems.push({ field: origin.name ?? key, got: cause.got, want: cause.want })
      fits = false
    }
  }
  if (fits) layer.set(key, { value, origin })
}

interface ConfigPath {
  readonly path: string
  /** The flag or the variable that names it. */
  readonly by: string
}

function configPath(
  flags: AgentFlags,
  env: Environment,
  problems: OptionProblem[],
): ConfigPath | undefined {
  const given = flags['config']
  if (!Array.isArray(given)) {
    const path = env['KITH_CONFIG'] || undefined
    return path === undefined ? undefined : { path, by: 'KITH_CONFIG' }
  }
  const path = String(given.at(-1))
  if (path !== '') return { path, by: '--config' }
  problems.push({ field: '--config', got: '""', want: 'the path of a file' })
  return undefined
}

async function fileLayer(
  config: ConfigPath | undefined,
  problems: OptionProblem[],
): Promise<Layer> {
  if (config === undefined) return new Map()
  const { path, by } = config
  // Loaded only where there is a file: the schemas take as long to load as all the rest.
  const { readConfig } = await import('./config.ts')
  try {
    const read = await readConfig(path)
    for (const { field, ...rest } of read.problems) {
      problems.push({ field: `${path}: ${field}`, ...rest })
    }
    const origin: Origin = { from: 'file', name: path }
    const entries = Object.entries(read.config) as [SettingKey, unknown][]
    return new Map(entries.map(([key, value]) => [key, { value, origin }]))
  } catch (cause) {
    if (!(cause instanceof CliError)) throw cause
    problems.push({ field: by, got: showValue(path), want: `a file of JSON (${cause.message})` })
    return new Map()
  }
}

function unknownVariables(env: Environment): string[] {
  const known = new Set(agentSettings.map((setting) => variableName(flagName(setting))))
  return Object.keys(env)
    .filter((name) => name.startsWith('KITH_') && !known.has(name))
    .filter((name) => !otherVariables.includes(name))
    .sort()
}

/** `httpAdvertise`: where commander keeps `--http-advertise`. */
function attribute(flag: string): string {
  return flag.slice(2).replaceAll(/-([a-z])/g, (_all, letter: string) => letter.toUpperCase())
}

/** How the agent calls what is called otherwise in the file. */
const keyOfOption: Readonly<Record<string, SettingKey>> = {
  name: 'node',
  discovery: 'discover',
  rejoinAfterLeave: 'rejoin',
}

/** The problems of an agent's options with the flag, variable or file that they come from. */
export function namedProblems(
  problems: readonly OptionProblem[],
  { origins }: Pick<AgentSettings, 'origins'>,
): OptionProblem[] {
  return problems.map((problem) => {
    const [head = ''] = /^\w+/.exec(problem.field) ?? []
    const key = keyOfOption[head] ?? (head as SettingKey)
    const { from, name } = origins[key] ?? { from: 'default' }
    const rest = problem.field.slice(head.length)
    const path = `${key}${rest}`
    if (name === undefined) return { ...problem, field: origins[key] ? path : problem.field }
    const whole = rest === '' && from !== 'file'
    return { ...problem, field: whole ? name : `${name}: ${path}` }
  })
}

/** What a refusal says is wrong; undefined where it is another error. */
export function problemsOf(cause: unknown): readonly OptionProblem[] | undefined {
  if (!isKithError(cause)) return undefined
  const codes = ['ERR_CLI_CONFIG', 'ERR_AGENT_OPTIONS', 'ERR_GOSSIP_OPTIONS']
  if (!codes.includes(cause.code)) return undefined
  return (cause.details as { problems?: readonly OptionProblem[] } | undefined)?.problems
}

/** `ERR_CLI_CONFIG` with each problem on a line of its own where there are several. */
export function settingsError(problems: readonly OptionProblem[], cause?: unknown): CliError {
  const lines = problems.map(({ field, got, want }) => `${field} must be ${want}, got ${got}`)
  const text =
    lines.length === 1 ? (lines[0] ?? '') : `these settings are not right:\n  ${lines.join('\n  ')}`
  return new CliError('ERR_CLI_CONFIG', text, { cause, details: { problems } })
}
