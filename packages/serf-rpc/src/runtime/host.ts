/** Asks the host what a caller asked, and puts its answer into the words of the wire. */
import { filterMembers, toWireMember } from '../core/members.ts'
import type { HostAnswer, HostCall } from '../core/input.ts'
import type { SerfRpcHost } from '../ports.ts'
import type { SerfKeyReport, SerfQuery } from '../words.ts'
import type { QueryRequest } from '../wire/message.ts'
import { base64Problem } from './base64.ts'
import { wireReport, wireStats } from './shapes.ts'

/** Calls that need nothing but the host; the others belong to a connection. */
export type PlainCall = Exclude<HostCall, { kind: 'query' | 'respond' | 'logs' }>

const done: HostAnswer = Object.freeze({ error: '' })
const nanosecondsPerMs = 1_000_000

/** Never rejects: what the host could not do is the caller's error, in the host's words. */
export async function askHost(host: SerfRpcHost, call: PlainCall): Promise<HostAnswer> {
  try {
    return await perform(host, call)
  } catch (cause) {
    return { error: errorText(cause) }
  }
}

/** A message is never empty: an empty error would mean success. */
export function errorText(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause)
  return text === '' ? 'unknown error' : text
}

async function perform(host: SerfRpcHost, call: PlainCall): Promise<HostAnswer> {
  switch (call.kind) {
    case 'members':
      return listMembers(host, call.filter)
    case 'event':
      await host.event(call.name, call.payload, { coalesce: call.coalesce })
      return done
    case 'join': {
      const count = await host.join(call.addresses, { replay: call.replay })
      return { error: '', body: { kind: 'joined', count } }
    }
    case 'leave':
      await host.leave()
      return done
    case 'forceLeave':
      await host.forceLeave(call.name, { prune: call.prune })
      return done
    case 'tags':
      await host.setTags({ set: Object.fromEntries(call.set), remove: call.remove })
      return done
    case 'keys':
      return await changeKeys(host, call)
    case 'stats':
      return { error: '', body: { kind: 'stats', stats: wireStats(host.stats()) } }
    case 'coordinate':
      return { error: '', body: { kind: 'coordinate', coordinate: host.coordinate(call.name) } }
  }
}

function listMembers(
  host: SerfRpcHost,
  filter: Extract<HostCall, { kind: 'members' }>['filter'],
): HostAnswer {
  const all = host.members()
  if (filter === undefined) {
    return { error: '', body: { kind: 'members', members: all.map(toWireMember) } }
  }
  const found = filterMembers(all, filter, (expression) => host.compile(expression))
  // Serf hangs up here, which its command shows as a broken connection.
  if ('invalid' in found) return { error: `Invalid expression: ${found.invalid}` }
  return { error: '', body: { kind: 'members', members: found.members.map(toWireMember) } }
}

async function changeKeys(
  host: SerfRpcHost,
  { command, key }: Extract<HostCall, { kind: 'keys' }>,
): Promise<HostAnswer> {
  const problem = key === undefined ? undefined : base64Problem(key)
  if (problem !== undefined) return { error: problem }
  const report = await host.keys(command, key)
  const body = { kind: 'keys', report: wireReport(report, command === 'list') } as const
  return { error: reportProblem(report), body }
}

/** As Serf says it; one member that failed is a failure of all. */
function reportProblem({ errors, members, responses }: SerfKeyReport): string {
  if (errors > 0) return `${errors}/${members} nodes reported failure`
  return responses === members ? '' : `${responses}/${members} nodes reported success`
}

export function hostQuery(request: QueryRequest): SerfQuery {
  const { name, payload, filterMembers: members, filterTags, acks, relayFactor } = request
  const timeoutMs = Math.max(0, Number(request.timeoutNs) / nanosecondsPerMs)
  return {
    name,
    payload: payload ?? new Uint8Array(0),
    filterMembers: members ?? [],
    filterTags: Object.fromEntries(filterTags ?? []),
    acks,
    relayFactor,
    timeoutMs,
  }
}
