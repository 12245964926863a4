/** Who may be a member: what the options say, as the core asks it. */
import { showValue } from '@kith/interface'
import type { Member, OptionProblem } from '@kith/interface'
import { filterFor, inNetwork, parseNetwork } from '../core/index.ts'
import type { Policy } from '../core/index.ts'
import { isPattern } from '../core/index.ts'
import type { GossipOptions, MergeVeto } from './types.ts'

const networksMax = 1024

export function resolvePolicy(options: GossipOptions, problems: OptionProblem[]): Policy {
  const { nameConflict = 'stop', mergeVeto, allowedNetworks, replayOnJoin = false } = options
  if (!['stop', 'warn', 'ignore'].includes(nameConflict)) {
    const want = '"stop", "warn" or "ignore"'
    problems.push({ field: 'nameConflict', got: showValue(nameConflict), want })
  }
  if (typeof replayOnJoin !== 'boolean') {
    problems.push({ field: 'replayOnJoin', got: showValue(replayOnJoin), want: 'true or false' })
  }
  return {
    votes: nameConflict !== 'ignore',
    veto: mergeVeto === undefined ? undefined : resolveVeto(mergeVeto, problems),
    allows: allowedNetworks === undefined ? undefined : resolveAllowed(allowedNetworks, problems),
  }
}

function resolveAllowed(given: readonly string[], problems: OptionProblem[]): Policy['allows'] {
  const fits = Array.isArray(given) && given.length > 0 && given.length <= networksMax
  if (!fits) {
    const want = `a list of 1 to ${networksMax} networks in CIDR form`
    problems.push({ field: 'allowedNetworks', got: showValue(given), want })
    return undefined
  }
  const networks = given.flatMap((text: unknown, index) => {
    const network = typeof text === 'string' ? parseNetwork(text) : undefined
    if (network !== undefined) return [network]
    const want = 'a network like 10.0.0.0/8 or fd00::/8'
    problems.push({ field: `allowedNetworks[${index}]`, got: showValue(text), want })
    return []
  })
  return (address) => networks.some((network) => inNetwork(network, address))
}

function resolveVeto(veto: MergeVeto, problems: OptionProblem[]): Policy['veto'] {
  if (typeof veto === 'function') return (members) => asked(veto, members)
  const tags: unknown = typeof veto === 'object' && veto !== null ? veto.tags : undefined
  if (typeof tags !== 'object' || tags === null || Array.isArray(tags)) {
    const want = 'a function, or { tags } with expressions by tag'
    problems.push({ field: 'mergeVeto', got: showValue(veto), want })
    return undefined
  }
  for (const [tag, expression] of Object.entries(tags)) {
    if (typeof expression === 'string' && isPattern(expression)) continue
    const want = "a regular expression of RE2's common syntax"
    problems.push({ field: `mergeVeto.tags.${tag}`, got: showValue(expression), want })
  }
  return byTags(tags as Readonly<Record<string, string>>)
}

/** What is no text and no undefined, a promise for instance, is no permission. */
function asked(
  veto: (members: readonly Member[]) => string | undefined,
  members: readonly Member[],
): string | undefined {
  const answer: unknown = veto(members)
  if (answer === undefined || typeof answer === 'string') return answer
  return `mergeVeto must answer with a text or undefined, not ${showValue(answer)}`
}

function byTags(tags: Readonly<Record<string, string>>): Policy['veto'] {
  const filters = Object.entries(tags).map(([tag, expression]) => {
    return { kind: 'tag', tag, expression } as const
  })
  const fit = filterFor(filters)
  return (members) => {
    const other = members.find(({ status, name, tags: own }) => {
      return status === 'alive' && fit(name, own) !== 'match'
    })
    return other && `${JSON.stringify(other.name)} does not have the tags that mergeVeto asks for`
  }
}
