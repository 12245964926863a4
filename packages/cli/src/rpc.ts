/** What every command over Serf's RPC has in common: where to ask, what to show, how to print. */
import { formatAddress, isKithError } from '@kith/interface'
import type { SerfClient } from '@kith/serf-rpc'
import { type Command, Option } from 'commander'
import { CliError } from './errors.ts'
import { type RpcPlace, rpcPlace, textFlag } from './flags.ts'
import { type Io, write } from './io.ts'
import { readTls, type TlsFlags, tlsOptions } from './tls.ts'

export interface RpcFlags extends TlsFlags {
  readonly rpcAddr?: RpcPlace
  readonly rpcAuth?: string
  readonly format: 'text' | 'json'
}

const defaultPlace: RpcPlace = { address: { host: '127.0.0.1', port: 7373 }, tls: false }
const addressVariables = ['KITH_RPC_ADDR', 'SERF_RPC_ADDR'] as const
const keyVariables = ['KITH_RPC_AUTH', 'SERF_RPC_AUTH'] as const

/** The flags of every command that asks an agent of Kith or Serf over its RPC. */
export function rpcOptions(command: Command): Command {
  return tlsOptions(command)
    .addOption(
      new Option(
        '--rpc-addr <address>',
        'the RPC of an agent, HOST:PORT, tls:HOST:PORT or unix:PATH (env KITH_RPC_ADDR)',
      )
        .argParser(rpcPlace({ anyPort: false }))
        .default(undefined, nameOf(defaultPlace)),
    )
    .option(
      '--rpc-auth <key>',
      'what it wants to be shown (better: env KITH_RPC_AUTH)',
      textFlag('a key', (text) => text !== ''),
    )
    .addOption(
      new Option('--format <format>', 'how to print the answer')
        .choices(['text', 'json'])
        .default('text'),
    )
}

/** Where the flag or the environment says the RPC is; undefined where neither does. */
export function givenRpc(command: Command, io: Io, flags: RpcFlags): RpcPlace | undefined {
  if (flags.rpcAddr !== undefined) return flags.rpcAddr
  const variable = addressVariables.find((name) => io.env[name])
  if (variable === undefined) return undefined
  try {
    return rpcPlace({ anyPort: false })(io.env[variable] ?? '')
  } catch (cause) {
    const { message } = cause as Error
    return command.error(`error: the environment's ${variable} is invalid. ${message}`)
  }
}

/** Does the work with a client, and lets go of it. */
export async function withSerf<Value>(
  command: Command,
  io: Io,
  work: (serf: SerfClient) => Promise<Value>,
): Promise<Value> {
  const flags = command.opts<RpcFlags>()
  const place = givenRpc(command, io, flags) ?? defaultPlace
  const authKey = flags.rpcAuth ?? keyVariables.map((name) => io.env[name]).find(Boolean)
  // Loaded here, so that other commands need not wait for it.
  const { createSerfClient } = await import('@kith/serf-rpc')
  await using serf = createSerfClient({
    ...('path' in place ? { path: place.path } : { address: place.address }),
    ...('tls' in place && place.tls ? { tls: readTls(flags, io) } : {}),
    ...(authKey === undefined ? {} : { authKey }),
  })
  try {
    return await work(serf)
  } catch (cause) {
    throw told(cause, nameOf(place))
  }
}

function nameOf(place: RpcPlace): string {
  return 'path' in place ? place.path : formatAddress(place.address)
}

function told(cause: unknown, place: string): unknown {
  if (!isKithError(cause)) return cause
  if (cause.code === 'ERR_RPC_CONNECT') {
    const text =
      `${cause.message}; start one with "kith agent", ` +
      'or name another with --rpc-addr or KITH_RPC_ADDR'
    return new CliError('ERR_CLI_UNREACHABLE', text, { cause })
  }
  if (cause.code === 'ERR_RPC_CONNECTION_LOST') {
    return new CliError('ERR_CLI_UNREACHABLE', `the agent at ${place} stopped`, { cause })
  }
  if (cause.code === 'ERR_RPC_AUTH_REQUIRED') {
    const text = `${cause.message}: set KITH_RPC_AUTH`
    return new CliError('ERR_CLI_REFUSED', text, { cause, details: { agentCode: cause.code } })
  }
  if (cause.code === 'ERR_RPC_CERTIFICATE') {
    const text = `${cause.message}; name one with --tls-cert and --tls-key, or KITH_TLS_CERT and KITH_TLS_KEY`
    return new CliError('ERR_CLI_REFUSED', text, { cause, details: { agentCode: cause.code } })
  }
  return cause
}

/** The answer as JSON for programs, or as text for people. */
export async function print(io: Io, flags: RpcFlags, json: unknown, text: string): Promise<void> {
  const shown = flags.format === 'json' ? `${JSON.stringify(json, undefined, 2)}\n` : text
  await write(io.stdout, shown)
}
