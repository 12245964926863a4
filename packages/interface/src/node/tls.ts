/** TLS as every part of Kith takes it: what one side shows, and whom it trusts. All in PEM. */
import { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import type { OptionProblem } from '../errors.ts'
import { showValue } from '../problems.ts'

export type Pem = string | Uint8Array

/** Whoever connects. */
export interface TlsClientOptions {
  /** Certificates that sign those we connect to. Default: the authorities of Node.js. */
  readonly ca?: Pem | readonly Pem[]
  /** Our certificate, with the chain where there is one, for those who want to see one. */
  readonly cert?: Pem
  /** Its private key. */
  readonly key?: Pem
  /** The name that their certificates must carry. Default: the host that is called. */
  readonly serverName?: string
}

/** Options, or a function that gives those of now: it is asked for each connection. */
export type TlsClientSource = TlsClientOptions | (() => TlsClientOptions)

/** Whoever is connected to. */
export interface TlsServerOptions {
  /** Our certificate, with the chain where there is one. */
  readonly cert: Pem
  /** Its private key. */
  readonly key: Pem
  /** Certificates that sign those who may connect. */
  readonly ca?: Pem | readonly Pem[]
  /** Whether they must show one. Default true where there is `ca`, without which it cannot be. */
  readonly clientCert?: boolean
}

export interface TlsContextOptions {
  readonly cert?: string | Buffer
  readonly key?: string | Buffer
  readonly ca?: (string | Buffer)[]
  readonly minVersion: 'TLSv1.2'
}

/** What `node:tls` wants to see: buffers and mutable lists, and nothing older than TLS 1.2. */
export function tlsContext({
  ca,
  cert,
  key,
}: Pick<TlsClientOptions, 'ca' | 'cert' | 'key'>): TlsContextOptions {
  return {
    minVersion: 'TLSv1.2',
    ...(cert === undefined ? {} : { cert: pem(cert) }),
    ...(key === undefined ? {} : { key: pem(key) }),
    ...(ca === undefined ? {} : { ca: listOf(ca).map(pem) }),
  }
}

function pem(value: Pem): string | Buffer {
  return typeof value === 'string' ? value : Buffer.from(value)
}

function listOf(ca: Pem | readonly Pem[]): readonly Pem[] {
  return typeof ca === 'string' || ca instanceof Uint8Array ? [ca] : ca
}

/** Everything that is wrong with options of a server, each by its name behind `field` and a dot. */
export function tlsServerProblems(given: unknown, field: string): OptionProblem[] {
  if (typeof given !== 'object' || given === null) {
    return [{ field, got: showValue(given), want: '{ cert, key, ca?, clientCert? }' }]
  }
  const { cert, key, ca, clientCert, ...rest } = given as Record<string, unknown>
  const problems = [...unknownFields(rest, field), ...materialProblems({ cert, key, ca }, field)]
  if (clientCert !== undefined && typeof clientCert !== 'boolean') {
    const got = showValue(clientCert)
    problems.push({ field: `${field}.clientCert`, got, want: 'true or false' })
  } else if (clientCert === true && ca === undefined) {
    problems.push({ field: `${field}.ca`, got: 'nothing', want: 'given where clientCert is true' })
  }
  return problems
}

/** The same for a client, whose options may be a function: those that it gives now count. */
export function tlsClientProblems(given: unknown, field: string): OptionProblem[] {
  const now: unknown = typeof given === 'function' ? (given as () => unknown)() : given
  if (typeof now !== 'object' || now === null) {
    return [{ field, got: showValue(now), want: '{ ca?, cert?, key?, serverName? }' }]
  }
  const { cert, key, ca, serverName, ...rest } = now as Record<string, unknown>
  const problems = unknownFields(rest, field)
  if (serverName !== undefined && !isHostName(serverName)) {
    const got = showValue(serverName)
    problems.push({ field: `${field}.serverName`, got, want: 'the name of a host' })
  }
  if (cert === undefined && key === undefined) {
    return [...problems, ...authorityProblems(ca, `${field}.ca`)]
  }
  return [...problems, ...materialProblems({ cert, key, ca }, field)]
}

function unknownFields(rest: object, field: string): OptionProblem[] {
  return Object.entries(rest).map(([name, value]) => {
    return { field: `${field}.${name}`, got: showValue(value), want: 'absent' }
  })
}

function isHostName(value: unknown): boolean {
  return typeof value === 'string' && /^[0-9A-Za-z._-]{1,253}$/.test(value)
}

interface Material {
  readonly cert: unknown
  readonly key: unknown
  readonly ca: unknown
}

/** A key that does not fit its certificate has to fail here, not with the first connection. */
function materialProblems({ cert, key, ca }: Material, field: string): OptionProblem[] {
  const problems = authorityProblems(ca, `${field}.ca`)
  if (!holdsCertificates(cert)) {
    const want = 'a certificate in PEM'
    problems.push({ field: `${field}.cert`, got: kindOf(cert), want })
  }
  if (!isPem(key) || !holdsKey(key)) {
    problems.push({ field: `${field}.key`, got: kindOf(key), want: 'a private key in PEM' })
  }
  if (problems.length > 0) return problems
  try {
    // Whoever uses no TLS does not load it.
    const { createSecureContext } = process.getBuiltinModule('node:tls')
    createSecureContext(tlsContext({ cert: cert as Pem, key: key as Pem }))
    return []
  } catch (cause) {
    // What the system says of a key names no part of it.
    const want = `the private key of the certificate, without a passphrase (${(cause as Error).message})`
    return [{ field: `${field}.key`, got: 'another', want }]
  }
}

function authorityProblems(ca: unknown, field: string): OptionProblem[] {
  if (ca === undefined) return []
  const list = Array.isArray(ca) ? (ca as unknown[]) : [ca]
  if (list.length > 0 && list.every(holdsCertificates)) return []
  const got = Array.isArray(ca) ? `a list of ${ca.length}` : kindOf(ca)
  return [{ field, got, want: 'certificates in PEM' }]
}

function isPem(value: unknown): value is Pem {
  return (typeof value === 'string' || value instanceof Uint8Array) && value.length > 0
}

function holdsKey(key: Pem): boolean {
  return /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(textOf(key))
}

function textOf(given: Pem): string {
  return typeof given === 'string' ? given : Buffer.from(given).toString('latin1')
}

/** Each of them is read: a context takes text that holds none, and then trusts nobody. */
function holdsCertificates(value: unknown): boolean {
  if (!isPem(value)) return false
  return readCertificates(value) !== undefined
}

/** The certificates in a text, in order; undefined where one cannot be read or there is none. */
export function readCertificates(given: Pem): readonly X509Certificate[] | undefined {
  const blocks = textOf(given).match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)
  try {
    return blocks?.map((block) => new X509Certificate(block))
  } catch {
    return undefined
  }
}

/** Never what was given: it may be a key. */
function kindOf(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (typeof value === 'string') return `a text of ${value.length} characters`
  return value instanceof Uint8Array ? `${value.length} bytes` : typeof value
}

/**
 * What `make` makes of the options of now: it is called again where a function gives others than
 * the last time.
 */
export function forCurrentTls<Made>(
  source: TlsClientSource,
  make: (options: TlsClientOptions) => Made,
): () => Made {
  let last: { readonly options: TlsClientOptions; readonly made: Made } | undefined
  return () => {
    const options = typeof source === 'function' ? source() : source
    if (last?.options !== options) last = { options, made: make(options) }
    return last.made
  }
}

const untrusted = 'it is signed by nobody who is trusted here'
/** What the codes of `node:tls` mean. */
const reasons: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'it has expired',
  CERT_NOT_YET_VALID: 'it does not hold yet',
  CERT_REVOKED: 'it was revoked',
  DEPTH_ZERO_SELF_SIGNED_CERT: untrusted,
  ERR_TLS_CERT_ALTNAME_INVALID: 'it is for another name',
  INVALID_PURPOSE: 'it is not made for this use',
  SELF_SIGNED_CERT_IN_CHAIN: untrusted,
  UNABLE_TO_GET_ISSUER_CERT: untrusted,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: untrusted,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: untrusted,
}

/** Why the certificate of whoever connected is not accepted; undefined where it is. */
export function certificateProblem(socket: TLSSocket): string | undefined {
  if (socket.authorized) return undefined
  const { subject } = socket.getPeerCertificate()
  if (subject === undefined) return 'none was shown'
  const code = String(socket.authorizationError)
  const { CN: name } = subject
  const whose = typeof name === 'string' ? `that of ${showValue(name)}` : 'the one shown'
  return `${whose} is refused: ${reasons[code] ?? 'it cannot be verified'} (${code})`
}

/** In plain words why a connection with TLS came to nothing; undefined where it was not TLS. */
export function tlsFailure(cause: unknown): string | undefined {
  const { code, message } = (cause ?? {}) as { code?: unknown; message?: unknown }
  if (typeof code !== 'string') return undefined
  if (Object.hasOwn(reasons, code)) {
    const names = code === 'ERR_TLS_CERT_ALTNAME_INVALID' ? `; ${String(message)}` : ''
    return `its certificate is refused: ${reasons[code]} (${code}${names})`
  }
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG') {
    return `it speaks no TLS (${code})`
  }
  return code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_')
    ? `TLS failed (${code})`
    : undefined
}
