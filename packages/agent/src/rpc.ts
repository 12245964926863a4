/** The RPC server of an agent, and the agent's log behind `serf monitor`. */
import { formatAddress, type Logger } from '@kith/interface'
import { createSerfRpcServer, type SerfRpcServer } from '@kith/serf-rpc'
import { createRpcHost, type RpcHostOptions } from './rpc-host.ts'
import { type ResolvedRpc, socketPrefix, tlsPrefix } from './rpc-options.ts'
import type { ResolvedTls } from './tls-options.ts'

/** What callers of the RPC may do with the agent itself. */
export type RpcControl = Pick<RpcHostOptions, 'logs' | 'leave' | 'shutdown'>

/** A server for our member that does not listen yet; undefined where none is wanted. */
export function createRpc(
  { rpc, rpcTls, rpcAuth, tls }: ResolvedRpc & ResolvedTls,
  host: RpcHostOptions,
  logger: Logger,
): SerfRpcServer | undefined {
  if (rpc === undefined) return undefined
  return createSerfRpcServer({
    host: createRpcHost(host),
    ...(typeof rpc === 'string' ? { path: rpc } : { address: rpc }),
    ...(rpcAuth === undefined ? {} : { authKey: rpcAuth }),
    ...(rpcTls && tls !== undefined ? { tls: tls.server } : {}),
    logger,
  })
}

/** As `--rpc` takes it, with the port it has. */
export function rpcPlace({ rpc, rpcTls }: ResolvedRpc, server: SerfRpcServer): string {
  if (typeof rpc === 'string') return `${socketPrefix}${rpc}`
  if (server.address === undefined) return ''
  return `${rpcTls ? tlsPrefix : ''}${formatAddress(server.address)}`
}
