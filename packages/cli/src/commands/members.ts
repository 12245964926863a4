/** `kith members`: who is in the cluster, as an agent of Kith or Serf sees it. */
import type { MemberStatus } from '@kith/interface'
import { isKithError } from '@kith/interface'
import type { SerfMember } from '@kith/serf-rpc'
import { type Command as CommanderCommand, Command, Option } from 'commander'
import { CliError } from '../errors.ts'
import { addTag, httpPlace, textFlag } from '../flags.ts'
import { createHttpCaller } from '../http.ts'
import { type Io, painter, printable, table, write } from '../io.ts'
import { agentUrl } from '../query.ts'
import { givenRpc, type RpcFlags, rpcOptions, withSerf } from '../rpc.ts'
import type { TlsFlags } from '../tls.ts'

/** One member as `GET /v1/members` tells it. */
export interface MemberAnswer {
  readonly name: string
  readonly host: string
  readonly port: number
  readonly status: MemberStatus | 'none'
  readonly tags: Readonly<Record<string, string>>
  /** Versions of Serf's protocol, where the agent tells them. */
  readonly protocol?: { readonly min: number; readonly max: number; readonly version: number }
}

interface MembersFlags extends RpcFlags {
  readonly httpAddr?: string
  readonly name?: string
  readonly status?: string
  readonly role?: string
  readonly tag?: Record<string, string>
  readonly detailed?: true
}

const help = `
Expressions must match all of the text. Over HTTP (--http-addr) an agent of Kith
gives all members; filters are Serf's RPC's.

Example:
  kith members --status 'alive|leaving' --tag role=web`

const expression = textFlag('an expression', (text) => text !== '')

export function membersCommand(io: Io): Command {
  const command = new Command('members')
    .description('list the members of the cluster')
    .option('--name <regexp>', 'only members whose name matches', expression)
    .option('--status <regexp>', 'only members whose status matches', expression)
    .option('--tag <name=regexp>', 'only members whose tag matches (again for more)', addTag)
    .option('--role <regexp>', 'as --tag role=REGEXP', expression)
    .option('--detailed', 'show the versions of the protocol too')
    .addOption(
      new Option('--http-addr <host:port>', 'ask the HTTP address of an agent (env KITH_HTTP_ADDR)')
        .argParser(httpPlace)
        .conflicts(['rpcAddr', 'name', 'status', 'tag', 'role']),
    )
    .addHelpText('after', help)
  return rpcOptions(command).action(async (flags: MembersFlags) => {
    const members = await findMembers(command, io, flags)
    const text =
      flags.format === 'json' ? serfMembers(members) : memberTable(members, io, flags.detailed)
    await write(io.stdout, text)
  })
}

/** Over whichever door is named; where none is, over the RPC, and over HTTP where it is closed. */
async function findMembers(
  command: CommanderCommand,
  io: Io,
  flags: MembersFlags,
): Promise<readonly MemberAnswer[]> {
  if (flags.httpAddr !== undefined) return await overHttp(flags.httpAddr, flags, io)
  const named = givenRpc(command, io, flags) !== undefined
  const filtered = [flags.name, flags.status, flags.tag, flags.role].some(Boolean)
  const http = io.env['KITH_HTTP_ADDR']
  if (named || filtered) return await overRpc(command, io, flags)
  if (http) return await overHttp(environmentPlace(command, http), flags, io)
  try {
    return await overRpc(command, io, flags)
  } catch (cause) {
    if (!isKithError(cause) || cause.code !== 'ERR_CLI_UNREACHABLE') throw cause
    // An agent of Kith may run without its RPC; what is wrong there is said of the RPC.
    const found = await overHttp('127.0.0.1:7947', flags, io).catch(() => undefined)
    if (found === undefined) throw cause
    return found
  }
}

function environmentPlace(command: CommanderCommand, given: string): string {
  try {
    return httpPlace(given)
  } catch (cause) {
    const { message } = cause as Error
    return command.error(`error: the environment's KITH_HTTP_ADDR is invalid. ${message}`)
  }
}

async function overHttp(place: string, flags: TlsFlags, io: Io): Promise<readonly MemberAnswer[]> {
  const httpAddr = agentUrl(place, flags, io)
  await using caller = createHttpCaller({ ...flags, httpAddr }, io)
  return (await caller.json<{ members: MemberAnswer[] }>('/v1/members')).members
}

async function overRpc(
  command: CommanderCommand,
  io: Io,
  flags: MembersFlags,
): Promise<readonly MemberAnswer[]> {
  const { name, status, role, tag } = flags
  const tags = { ...tag, ...(role === undefined ? {} : { role }) }
  const filter = {
    tags,
    ...(name === undefined ? {} : { name }),
    ...(status === undefined ? {} : { status }),
  }
  try {
    const members = await withSerf(command, io, (serf) => serf.members(filter))
    return members.map(memberAnswer)
  } catch (cause) {
    const lost = isKithError(cause) && isKithError(cause.cause) ? cause.cause.code : undefined
    const filtered = Object.keys(filter).length > 1 || Object.keys(tags).length > 0
    if (lost !== 'ERR_RPC_CONNECTION_LOST' || !filtered) throw cause
    const text = 'the agent hung up, as that of Serf does for an expression that is not valid'
    throw new CliError('ERR_CLI_REFUSED', text, { cause })
  }
}

function memberAnswer({ name, address, status, tags, delegate }: SerfMember): MemberAnswer {
  const { min, max, current } = delegate
  return { name, ...address, status, tags, protocol: { min, max, version: current } }
}

/** Exactly the shape of `serf members -format=json`, so that what reads one reads the other. */
function serfMembers(members: readonly MemberAnswer[]): string {
  const shaped = members.map(({ name, host, port, tags, status, protocol }) => ({
    name,
    addr: hostPort(host, port),
    port,
    tags,
    status,
    ...(protocol === undefined
      ? {}
      : { protocol: { max: protocol.max, min: protocol.min, version: protocol.version } }),
  }))
  return `${JSON.stringify({ members: shaped }, undefined, 2)}\n`
}

function hostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

function memberTable(members: readonly MemberAnswer[], io: Io, detailed = false): string {
  const paint = painter(io)
  const rows = members.map(({ name, host, port, status, tags, protocol }) => [
    printable(name),
    hostPort(host, port),
    status,
    printable(
      Object.entries(tags)
        .map(([key, value]) => `${key}=${value}`)
        .join(','),
    ),
    ...(detailed && protocol !== undefined
      ? [
          `Protocol Version: ${protocol.version}`,
          `Available Protocol Range: [${protocol.min}, ${protocol.max}]`,
        ]
      : []),
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
