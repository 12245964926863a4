/** How an agent finds the others: options that say so, and whether there are others to expect. */
import { dnsDiscovery, fileDiscovery, snapshotMembers } from '@kith/gossip'
import {
  describeProblems,
  type DiscoveryFactory,
  isKithError,
  type OptionProblem,
  showValue,
} from '@kith/interface'
import { AgentError } from './errors.ts'

/** `dns:NAME`, `dns:NAME:PORT`, `file:PATH`, or a plugin. */
export type AgentDiscovery = string | DiscoveryFactory

const want = '"dns:NAME", "dns:NAME:PORT", "file:PATH" or a discovery'

export function readDiscovery(
  given: readonly AgentDiscovery[],
  problems: OptionProblem[],
): readonly DiscoveryFactory[] {
  return given.flatMap((one, at) => {
    try {
      const factory = typeof one === 'string' ? parsed(one) : one
      if (typeof factory === 'function') return [factory]
    } catch (cause) {
      if (!isKithError(cause)) throw cause
    }
    problems.push({ field: `discovery[${at}]`, got: showValue(one), want })
    return []
  })
}

function parsed(text: string): DiscoveryFactory | undefined {
  const [kind = '', ...rest] = text.split(':')
  if (kind === 'file') return fileDiscovery(rest.join(':'))
  if (kind !== 'dns' || rest.length > 2) return undefined
  const [name = '', port] = rest
  if (port === undefined) return dnsDiscovery(name)
  return /^\d{1,5}$/.test(port) ? dnsDiscovery(name, { port: Number(port) }) : undefined
}

interface Known {
  readonly name: string
  readonly join: readonly string[]
  readonly discovery: readonly DiscoveryFactory[]
  readonly snapshot: string | undefined
  readonly rejoinAfterLeave: boolean
}

/** What gossip says of an unusable snapshot, in the words of the option. */
export function snapshotProblem(cause: unknown, snapshot: string | undefined): unknown {
  if (!isKithError(cause) || cause.code !== 'ERR_GOSSIP_SNAPSHOT') return cause
  const want = `a file that can be read and written as a snapshot (${cause.message})`
  const problems = [{ field: 'snapshot', got: showValue(snapshot), want }]
  return new AgentError('ERR_AGENT_OPTIONS', describeProblems(problems), {
    cause,
    details: { problems },
  })
}

/** Whether others may hold newer records of ours, and are to be asked before we append. */
export async function expectsOthers(options: Known): Promise<boolean> {
  const { join, discovery, snapshot, name, rejoinAfterLeave } = options
  if (join.length > 0 || discovery.length > 0) return true
  if (snapshot === undefined) return false
  try {
    return (await snapshotMembers(snapshot, { name, rejoinAfterLeave })).length > 0
  } catch (cause) {
    throw snapshotProblem(cause, snapshot)
  }
}
