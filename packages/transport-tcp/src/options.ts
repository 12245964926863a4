/** Options of the transport: checked all at once, before anything is opened. */
import { isIP } from 'node:net'
import { describeProblems } from '@kith/interface'
import type { OptionProblem } from '@kith/interface'
import { TcpError } from './errors.ts'

/** Keys and certificates in PEM. All members of a cluster use TLS, or none does. */
export interface TcpTlsOptions {
  /** Private key of this member. */
  readonly key: string | Uint8Array
  /** Its certificate, with the chain where there is one. */
  readonly cert: string | Uint8Array
  /** Certificates that sign members; without it the authorities that Node.js ships with. */
  readonly ca?: string | Uint8Array | readonly (string | Uint8Array)[]
  /** Whoever connects must show a certificate too; default true where `ca` is given. */
  readonly requestCert?: boolean
  /**
   * Name that the certificates of the others must carry; default the address that is called, which
   * then must be in the certificate. A common name for all members spares addresses there.
   */
  readonly servername?: string
}

export interface TcpOptions {
  /** The IPv4 or IPv6 literal to listen on; default `127.0.0.1`. */
  readonly host?: string
  /** 0 (default) takes a free port. */
  readonly port?: number
  readonly tls?: TcpTlsOptions
  /** Connections that others may have open to us; default 256. More are reset and counted. */
  readonly connectionsMax?: number
  /** The same for one remote host; default 64. */
  readonly connectionsPerAddressMax?: number
  /**
   * Milliseconds within which whoever connects has to say something, the TLS handshake included;
   * default 2 000. Less sheds idle connections sooner, more is kinder to slow links.
   */
  readonly firstByteTimeoutMs?: number
  /**
   * Milliseconds without a byte either way until a stream breaks; default 60 000, 0 means never.
   */
  readonly idleTimeoutMs?: number
}

export interface ResolvedTcpOptions extends Required<Omit<TcpOptions, 'tls'>> {
  readonly tls: (TcpTlsOptions & { readonly requestCert: boolean }) | undefined
}

const defaults: Readonly<Required<Omit<TcpOptions, 'tls'>>> = Object.freeze({
  host: '127.0.0.1',
  port: 0,
  connectionsMax: 256,
  connectionsPerAddressMax: 64,
  firstByteTimeoutMs: 2_000,
  idleTimeoutMs: 60_000,
})

const ranges: readonly [Exclude<keyof TcpOptions, 'host' | 'tls'>, number, number][] = [
  ['port', 0, 65_535],
  ['connectionsMax', 1, 65_535],
  ['connectionsPerAddressMax', 1, 65_535],
  ['firstByteTimeoutMs', 50, 600_000],
  ['idleTimeoutMs', 0, 86_400_000],
]

/** The options with their defaults; throws `ERR_TCP_OPTIONS` with every problem. */
export function resolveOptions(options: TcpOptions): ResolvedTcpOptions {
  const { tls, ...rest } = options
  const given = Object.entries(rest).filter(([, value]) => value !== undefined)
  const resolved = { ...defaults, ...(Object.fromEntries(given) as typeof rest) }
  const problems: OptionProblem[] = given
    .filter(([field]) => !(field in defaults))
    .map(([field, value]) => ({ field, got: show(value), want: 'left out: it is not an option' }))
  if (typeof resolved.host !== 'string' || isIP(resolved.host) === 0) {
    problems.push({ field: 'host', got: show(resolved.host), want: 'an IPv4 or IPv6 literal' })
  }
  for (const [field, min, max] of ranges) {
    const value = resolved[field]
    if (Number.isInteger(value) && value >= min && value <= max) continue
    problems.push({ field, got: show(value), want: `an integer from ${min} to ${max}` })
  }
  if (tls !== undefined) problems.push(...tlsProblems(tls))
  if (problems.length > 0) {
    throw new TcpError('ERR_TCP_OPTIONS', describeProblems(problems), { problems })
  }
  const requestCert = tls?.requestCert ?? tls?.ca !== undefined
  return Object.freeze({
    ...resolved,
    tls: tls === undefined ? undefined : { ...tls, requestCert },
  })
}

/** A key that does not fit its certificate has to fail here, not with the first connection. */
function tlsProblems(tls: TcpTlsOptions): OptionProblem[] {
  try {
    // Here and below: a member without TLS does not load it.
    process.getBuiltinModule('node:tls').createSecureContext(contextOptions(tls))
    return []
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    return [{ field: 'tls', got: why, want: 'a PEM key and a certificate that belong together' }]
  }
}

export interface ContextOptions {
  readonly key: string | Buffer
  readonly cert: string | Buffer
  readonly ca?: (string | Buffer)[]
  readonly minVersion: 'TLSv1.2'
}

/** What `node:tls` wants to see: buffers and mutable lists. */
export function contextOptions(tls: TcpTlsOptions): ContextOptions {
  const pem = (value: string | Uint8Array): string | Buffer =>
    typeof value === 'string' ? value : Buffer.from(value)
  const base = { key: pem(tls.key), cert: pem(tls.cert), minVersion: 'TLSv1.2' as const }
  if (tls.ca === undefined) return base
  const list = typeof tls.ca === 'string' || tls.ca instanceof Uint8Array ? [tls.ca] : tls.ca
  return { ...base, ca: list.map(pem) }
}

function show(value: unknown): string {
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value)
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}
