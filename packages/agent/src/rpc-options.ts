/** Where the RPC of an agent listens, and what it wants to be shown. */
import {
  type Address,
  formatAddress,
  type OptionProblem,
  parseAddress,
  showValue,
} from '@kith/interface'
import { isLoopback } from './hosts.ts'

export interface RpcOptions {
  /**
   * Where Serf's command and `kith` reach this agent: `host:port`, or `unix:` and the path of a
   * socket that only the owner of the process may open. `tls:host:port` speaks TLS with the
   * certificates of `tlsCert` and so on, which `kith` can and Serf's command cannot. Absent:
   * nowhere.
   */
  readonly rpc?: string | Address
  /** What callers of the RPC must show first. Default: nothing, which loopback alone allows. */
  readonly rpcAuth?: string
  /** Whether a port that is taken ends the start; else the agent runs without. Default true. */
  readonly rpcRequired?: boolean
}

export interface ResolvedRpc {
  readonly rpcRequired: boolean
  readonly rpc: Address | string | undefined
  /** Whether the address speaks TLS. */
  readonly rpcTls: boolean
  readonly rpcAuth: string | undefined
}

export const socketPrefix = 'unix:'
export const tlsPrefix = 'tls:'

/** A path stands for a socket, an address for TCP. */
export function resolveRpc(options: RpcOptions, problems: OptionProblem[]): ResolvedRpc {
  const { rpc: given, rpcAuth, rpcRequired = true } = options
  if (typeof rpcRequired !== 'boolean') {
    problems.push({ field: 'rpcRequired', got: showValue(rpcRequired), want: 'true or false' })
  }
  if (rpcAuth !== undefined && (typeof rpcAuth !== 'string' || rpcAuth === '')) {
    // Never the text itself: messages end in logs.
    problems.push({ field: 'rpcAuth', got: typeof rpcAuth, want: 'a text of at least 1 character' })
  }
  const rpcTls = typeof given === 'string' && given.startsWith(tlsPrefix)
  const rpc = readPlace(rpcTls ? given.slice(tlsPrefix.length) : given)
  if (given !== undefined && (rpc === undefined || (rpcTls && typeof rpc === 'string'))) {
    const want = 'host:port with a port from 0 to 65535, tls: and the same, or unix:PATH'
    problems.push({ field: 'rpc', got: showValue(given), want })
  }
  return { rpc, rpcTls, rpcAuth, rpcRequired }
}

function readPlace(given: string | Address | undefined): Address | string | undefined {
  if (typeof given === 'string' && given.startsWith(socketPrefix)) {
    const path = given.slice(socketPrefix.length)
    return path === '' ? undefined : path
  }
  const address = typeof given === 'string' ? parseAddress(given) : given
  const { host, port } = address ?? { host: '', port: -1 }
  const fits = Number.isInteger(port) && port >= 0 && port <= 65_535
  return typeof host === 'string' && host !== '' && fits ? { host, port } : undefined
}

/** Whoever reaches it commands the cluster, and without TLS the key travels in the clear. */
export function rpcExposure(
  { rpc, rpcTls, rpcAuth }: ResolvedRpc,
  plaintextFits: boolean,
  hasCertificate: boolean,
): OptionProblem[] {
  if (rpc === undefined || typeof rpc === 'string') return []
  if (rpcTls && !hasCertificate) {
    const got = showValue(`${tlsPrefix}${formatAddress(rpc)}`)
    return [{ field: 'rpc', got, want: 'without tls: where there is no tlsCert' }]
  }
  if (isLoopback(rpc.host)) return []
  const got = showValue(formatAddress(rpc))
  const problems: OptionProblem[] = []
  if (!plaintextFits && !rpcTls) {
    const want =
      'a loopback address unless there is a key (encrypt or keyring), ' +
      'it begins with tls: or insecurePlaintext is set'
    problems.push({ field: 'rpc', got, want })
  }
  if (rpcAuth === undefined) {
    const want = `given where the RPC is not on loopback (${formatAddress(rpc)})`
    problems.push({ field: 'rpcAuth', got: 'nothing', want })
  }
  return problems
}
