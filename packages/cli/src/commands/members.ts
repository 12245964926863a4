/** `kith members`: who is in the cluster, as this agent sees it. */
import type { MemberStatus } from '@kith/interface'
import { Command } from 'commander'
import { createHttpCaller } from '../http.ts'
import { type Io, painter, printable, table, write } from '../io.ts'
import { type QueryFlags, queryOptions } from '../query.ts'

/** One member as `GET /v1/members` tells it. */
export interface MemberAnswer {
  readonly name: string
  readonly host: string
  readonly port: number
  readonly status: MemberStatus
  readonly incarnation: number
  readonly tags: Readonly<Record<string, string>>
  /** Versions of Serf's delegate protocol, where the agent tells them. */
  readonly protocol?: { readonly min: number; readonly max: number; readonly version: number }
}

export function membersCommand(io: Io): Command {
  const command = new Command('members').description('list the members of the cluster')
  return queryOptions(command, io).action(async (flags: QueryFlags) => {
    await using caller = createHttpCaller(flags.httpAddr)
    const { members } = await caller.json<{ members: MemberAnswer[] }>('/v1/members')
    const text = flags.format === 'json' ? serfMembers(members) : memberTable(members, io)
    await write(io.stdout, text)
  })
}

/** Exactly the shape of `serf members -format=json`, so that what reads one reads the other. */
function serfMembers(members: readonly MemberAnswer[]): string {
  const shaped = members.map(({ name, host, port, tags, status, protocol }) => ({
    name,
    addr: host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`,
    port,
    tags,
    status,
    ...(protocol === undefined
      ? {}
      : { protocol: { max: protocol.max, min: protocol.min, version: protocol.version } }),
  }))
  return `${JSON.stringify({ members: shaped }, undefined, 2)}\n`
}

function memberTable(members: readonly MemberAnswer[], io: Io): string {
  const paint = painter(io)
  const rows = members.map(({ name, host, port, status, tags }) => [
    printable(name),
    host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`,
    status,
    printable(
      Object.entries(tags)
        .map(([key, value]) => `${key}=${value}`)
        .join(','),
    ),
  ])
  const lines = table(rows).split('\n')
  return lines
    .map((line, at) => {
      const status = members[at]?.status
      if (status === 'failed') return paint('red', line)
      return status === 'left' || status === 'leaving' ? paint('dim', line) : line
    })
    .join('\n')
}
