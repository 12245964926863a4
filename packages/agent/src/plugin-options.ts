/** What plugins add to an agent, checked with its options, before its parts run. */
import {
  type CheckKind,
  type DiscoveryFactory,
  type OptionProblem,
  showValue,
} from '@kith/interface'
import { serviceProblems } from '@kith/registry'
import { pluginFailed } from './errors.ts'
import type { AgentPlugin } from './plugin.ts'

/** What the options say, and what plugins add to it. */
export interface Added {
  readonly checkKinds: readonly CheckKind[]
  readonly discovery: readonly DiscoveryFactory[]
  readonly transports: AgentPlugin['transports']
  readonly logStore: AgentPlugin['logStore']
}

const members = ['checkKinds', 'discovery', 'transports', 'logStore', 'setup'] as const
const functions = ['transports', 'logStore', 'setup'] as const
const alone = ['transports', 'logStore'] as const
const pluginWant = `{ name, and at least one of ${members.join(', ')} }`
const kindWant = '{ kind, parse(options, target), run(options, signal, context) }'

/** Puts what plugins add beside what the options say. */
export function withPlugins(
  plugins: readonly AgentPlugin[],
  given: Pick<Added, 'checkKinds' | 'discovery'>,
  problems: OptionProblem[],
): Added {
  const fit = plugins.filter((plugin, at) => isPlugin(plugin, `plugins[${at}]`, problems))
  for (const field of alone) {
    const owners = plugins.filter((plugin) => fit.includes(plugin) && plugin[field] !== undefined)
    const [first, second] = owners
    if (first === undefined || second === undefined) continue
    const got = `those of ${showValue(first.name)} and ${showValue(second.name)}`
    const at = plugins.lastIndexOf(second)
    problems.push({ field: `plugins[${at}].${field}`, got, want: 'given by one plugin at most' })
  }
  return {
    checkKinds: [...given.checkKinds, ...addedKinds(plugins, fit, given.checkKinds, problems)],
    discovery: [...given.discovery, ...fit.flatMap(({ discovery = [] }) => discovery)],
    transports: callOf(fit, 'transports', (plugin) => plugin.transports?.bind(plugin)),
    logStore: callOf(fit, 'logStore', (plugin) => plugin.logStore?.bind(plugin)),
  }
}

/** As a function that needs no `this`, and whose errors name the plugin. */
function callOf<Given, Made>(
  plugins: readonly AgentPlugin[],
  field: (typeof alone)[number],
  makerOf: (plugin: AgentPlugin) => ((given: Given) => Made) | undefined,
): ((given: Given) => Made) | undefined {
  for (const plugin of plugins) {
    const make = makerOf(plugin)
    if (make === undefined) continue
    return (given) => {
      try {
        return make(given)
      } catch (cause) {
        throw pluginFailed(plugin.name, `failed to make its ${field}`, cause)
      }
    }
  }
  return undefined
}

/** Everything wrong with those kinds of the option, or of a plugin. */
export function kindProblems(kinds: readonly unknown[], field: string): readonly OptionProblem[] {
  return kinds.flatMap((one, at) => {
    const { kind, parse, run } = (one ?? {}) as Partial<CheckKind>
    const named = typeof kind === 'string' && /^[a-z][a-z0-9-]{0,31}$/.test(kind)
    if (named && typeof parse === 'function' && typeof run === 'function') return []
    return [{ field: `${field}[${at}]`, got: showValue(one), want: kindWant }]
  })
}

function isPlugin(plugin: AgentPlugin, field: string, problems: OptionProblem[]): boolean {
  const before = problems.length
  const given: Partial<Record<keyof AgentPlugin, unknown>> = plugin ?? {}
  if (typeof given.name !== 'string' || members.every((name) => given[name] === undefined)) {
    problems.push({ field, got: showValue(plugin), want: pluginWant })
    return false
  }
  for (const name of functions) {
    const value = given[name]
    if (value === undefined || typeof value === 'function') continue
    problems.push({ field: `${field}.${name}`, got: showValue(value), want: 'a function' })
  }
  const { checkKinds = [], discovery = [] } = given
  if (Array.isArray(checkKinds)) problems.push(...kindProblems(checkKinds, `${field}.checkKinds`))
  else problems.push({ field: `${field}.checkKinds`, got: showValue(checkKinds), want: 'a list' })
  if (!Array.isArray(discovery) || !discovery.every((one) => typeof one === 'function')) {
    const want = 'a list of discoveries'
    problems.push({ field: `${field}.discovery`, got: showValue(discovery), want })
  }
  return problems.length === before
}

/** Two kinds of one name would be told apart by nobody who registers a service. */
function addedKinds(
  plugins: readonly AgentPlugin[],
  fit: readonly AgentPlugin[],
  given: readonly CheckKind[],
  problems: OptionProblem[],
): readonly CheckKind[] {
  const owners = new Map(given.map((kind) => [kind?.kind, 'the option checkKinds']))
  return plugins.flatMap((plugin, at) => {
    if (!fit.includes(plugin)) return []
    return (plugin.checkKinds ?? []).filter(({ kind }, nth) => {
      const owner = owners.get(kind) ?? (isBuiltIn(kind) ? 'the registry' : undefined)
      if (owner === undefined) owners.set(kind, `the plugin ${plugin.name}`)
      else {
        const field = `plugins[${at}].checkKinds[${nth}]`
        const got = `${showValue(kind)} of the plugin ${plugin.name}`
        problems.push({ field, got, want: `of a name that ${owner} has not` })
      }
      return owner === undefined
    })
  })
}

/** The registry's own, which a plugin does not take the place of; the option may. */
function isBuiltIn(kind: string): boolean {
  const problems = serviceProblems({ service: 'x', port: 1, checks: [{ kind }] }, [])
  return !problems.some(({ field }) => field === 'checks[0].kind')
}
