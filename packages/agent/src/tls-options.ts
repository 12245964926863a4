/** Certificates of a member: files that are read at the start and with every reload. */
import { readFileSync, statSync } from 'node:fs'
import { type Logger, type OptionProblem, showValue } from '@kith/interface'
import {
  readCertificates,
  type TlsClientOptions,
  type TlsServerOptions,
  tlsServerProblems,
} from '@kith/interface/node'
import { invalidOptions } from './errors.ts'

export interface TlsOptions {
  /**
   * A file with the certificate of this member in PEM, behind it the chain where there is one. With
   * it HTTP and the copying of records speak TLS only. Default: neither does.
   */
  readonly tlsCert?: string
  /** The file with its private key in PEM, without a passphrase. */
  readonly tlsKey?: string
  /**
   * The file with the certificates that sign those of members and of whoever asks them. Default:
   * members are held to the authorities of Node.js, and nobody else needs a certificate.
   */
  readonly tlsCa?: string
  /** Whether whoever connects must show a certificate. Default: where `tlsCa` is given. */
  readonly tlsClientCert?: boolean
  /** The name that members' certificates must carry. Default: the host of their address. */
  readonly tlsServerName?: string
}

export interface ResolvedTls {
  readonly tls: TlsFiles | undefined
}

const fileBytesMax = 1024 * 1024
const dayMs = 86_400_000
/** So long before a certificate ends every start and every reload says so. */
const endsSoonMs = 14 * dayMs

interface Contents {
  readonly server: TlsServerOptions
  readonly client: TlsClientOptions
}

/** What the files held when they were read last. */
export class TlsFiles {
  readonly #options: TlsOptions
  readonly #logger: Logger
  #contents: Contents

  /** Undefined where something is wrong, which is added to `problems`. */
  static open(
    options: TlsOptions,
    logger: Logger,
    problems: OptionProblem[],
  ): TlsFiles | undefined {
    const contents = readContents(options, problems)
    return contents === undefined ? undefined : new TlsFiles(options, logger, contents)
  }

  private constructor(options: TlsOptions, logger: Logger, contents: Contents) {
    this.#options = options
    this.#logger = logger
    this.#contents = contents
  }

  /** Whether nobody is answered without a certificate. */
  get clientCert(): boolean {
    return this.server.clientCert === true
  }
  get server(): TlsServerOptions {
    return this.#contents.server
  }
  /** Another object only once it holds something else. */
  get client(): TlsClientOptions {
    return this.#contents.client
  }

  /**
   * Reads the files again; returns how to take that back, or undefined where they hold the same.
   * Throws `ERR_AGENT_OPTIONS` and keeps what it has where they are not right.
   */
  renew(): (() => void) | undefined {
    const problems: OptionProblem[] = []
    const next = readContents(this.#options, problems)
    if (next === undefined) throw invalidOptions(problems)
    const before = this.#contents
    if (isSame(before.server, next.server)) return undefined
    this.#contents = next
    return () => {
      this.#contents = before
    }
  }

  /** Says in the log where the certificate does not hold, or soon will not. */
  tellOfTimes(): void {
    const [certificate] = readCertificates(this.server.cert) ?? []
    if (certificate === undefined) return
    const { subject, validFromDate, validToDate } = certificate
    const shown = { subject, until: validToDate.toISOString() }
    const leftMs = validToDate.getTime() - Date.now()
    if (leftMs <= 0) this.#logger.error(shown, 'the certificate of this member has expired')
    else if (validFromDate.getTime() > Date.now()) {
      const from = validFromDate.toISOString()
      this.#logger.error({ ...shown, from }, 'the certificate of this member does not hold yet')
    } else if (leftMs <= endsSoonMs) {
      const days = Math.floor(leftMs / dayMs)
      this.#logger.warn(shown, `the certificate of this member ends in ${days} days`)
    }
  }
}

const names = ['tlsCert', 'tlsKey', 'tlsCa', 'tlsClientCert', 'tlsServerName'] as const

/** Reads the files; what is wrong is added to `problems`, without anything of a key in it. */
export function resolveTls(
  options: TlsOptions,
  logger: Logger,
  problems: OptionProblem[],
): ResolvedTls {
  if (names.every((name) => options[name] === undefined)) return { tls: undefined }
  return { tls: TlsFiles.open(options, logger, problems) }
}

function readContents(options: TlsOptions, problems: OptionProblem[]): Contents | undefined {
  const before = problems.length
  const { tlsServerName: serverName, tlsClientCert, tlsCa } = options
  const [cert, key] = [
    readFile(options, 'tlsCert', problems),
    readFile(options, 'tlsKey', problems),
  ]
  const ca = tlsCa === undefined ? undefined : readFile(options, 'tlsCa', problems)
  if (tlsClientCert !== undefined && typeof tlsClientCert !== 'boolean') {
    const got = showValue(tlsClientCert)
    problems.push({ field: 'tlsClientCert', got, want: 'true or false' })
  }
  const isName = typeof serverName === 'string' && /^[0-9A-Za-z._-]{1,253}$/.test(serverName)
  if (serverName !== undefined && !isName) {
    const got = showValue(serverName)
    problems.push({ field: 'tlsServerName', got, want: 'the name of a host' })
  }
  const authority = ca === undefined ? {} : { ca }
  const clientCert = tlsClientCert ?? tlsCa !== undefined
  const named = new Set(problems.map(({ field }) => field))
  for (const { field, ...rest } of tlsServerProblems({ cert, key, ca, clientCert }, 'tls')) {
    // What could not be read is said already.
    if (!named.has(fieldOf(field))) problems.push({ ...rest, field: fieldOf(field) })
  }
  if (problems.length > before || cert === undefined || key === undefined) return undefined
  const server = { cert, key, ...authority, clientCert }
  const name = serverName === undefined ? {} : { serverName }
  return { server, client: { cert, key, ...authority, ...name } }
}

/** `tls.cert` is `tlsCert` here. */
function fieldOf(field: string): string {
  return field.replace(/\.(\w)/, (_all, letter: string) => letter.toUpperCase())
}

function readFile(
  options: TlsOptions,
  field: 'tlsCert' | 'tlsKey' | 'tlsCa',
  problems: OptionProblem[],
): Buffer | undefined {
  const path: unknown = options[field]
  const want = `a file in PEM${field === 'tlsKey' ? ', beside tlsCert' : ''}`
  if (typeof path !== 'string' || path === '') {
    problems.push({ field, got: showValue(path), want })
    return undefined
  }
  try {
    // Asked first: what is no file may have no end.
    const found = statSync(path)
    if (!found.isFile()) throw new Error('it is no file')
    if (found.size > fileBytesMax) throw new Error(`it has more than ${fileBytesMax} bytes`)
    return readFileSync(path)
  } catch (cause) {
    problems.push({ field, got: showValue(path), want: `${want} (${(cause as Error).message})` })
    return undefined
  }
}

function isSame(one: TlsServerOptions, other: TlsServerOptions): boolean {
  const bytes = ({ cert, key, ca = '' }: TlsServerOptions): Buffer =>
    Buffer.concat([cert, key, ca as Buffer].map((part) => Buffer.from(part as Buffer)))
  return bytes(one).equals(bytes(other))
}

/** HTTP beyond loopback: encrypted, and only for those who show who they are. */
export function isGuarded({
  tls,
  httpTokens,
}: ResolvedTls & { readonly httpTokens: readonly unknown[] }): boolean {
  return tls !== undefined && (tls.clientCert || httpTokens.length > 0)
}
