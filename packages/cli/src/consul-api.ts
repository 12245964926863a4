/** Consul's HTTP API as a part of `kith agent`, where somebody asked for it. */
import type { AgentOptions } from '@kith/agent'
import { type Address, describeProblems, formatAddress, parseAddress } from '@kith/interface'
import { CliError } from './errors.ts'

export interface WithConsulApi {
  readonly options: AgentOptions
  /** Where it listens; undefined before it does, and where nobody asked for it. */
  place(): string | undefined
}

/**
 * Throws `ERR_CLI_CONFIG` for an address that others reach although nothing says that they may, and
 * where others need a certificate but no token, which alone it asks for: it would be a door without
 * a lock.
 */
export async function withConsulApi(
  options: AgentOptions,
  given: Address | string | undefined,
): Promise<WithConsulApi> {
  const address = typeof given === 'string' ? parseAddress(given) : given
  if (address === undefined) return { options, place: () => undefined }
  const { encrypt, keyring, insecurePlaintext, httpTokens, tlsCert } = options
  if (tlsCert !== undefined && httpTokens === undefined) {
    const want = "absent beside tlsCert without httpTokens: Consul's API speaks no TLS"
    throw refusal(address, want)
  }
  const open = encrypt !== undefined || keyring !== undefined || insecurePlaintext === true
  if (!open && !isLoopback(address.host)) {
    const want = 'a loopback address unless there is a key or --insecure-plaintext is given'
    throw refusal(address, want)
  }
  // Loaded here, as the agent is: whoever only asks one does not wait for it.
  const { consulApiPlugin } = await import('@kith/consul-api')
  let bound: Address | undefined
  const plugin = consulApiPlugin({ ...address, onListening: (place) => (bound = place) })
  return {
    options: { ...options, plugins: [...(options.plugins ?? []), plugin] },
    place: () => (bound === undefined ? undefined : formatAddress(bound)),
  }
}

function refusal(address: Address, want: string): CliError {
  const problems = [{ field: 'consulApi', got: formatAddress(address), want }]
  return new CliError('ERR_CLI_CONFIG', describeProblems(problems), { details: { problems } })
}

function isLoopback(host: string): boolean {
  return host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host)
}
