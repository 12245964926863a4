/** TLS of the commands that ask an agent: whom they trust, and what they show. */
import { readFileSync } from 'node:fs'
import { describeProblems, showValue } from '@kith/interface'
import { readCertificates, tlsClientProblems, type TlsClientOptions } from '@kith/interface/node'
import { type Command, Option } from 'commander'
import { CliError } from './errors.ts'
import { RefusedText, textFlag } from './flags.ts'
import type { Io } from './io.ts'

/** The contents of the files that the flags name. */
export interface TlsFlags {
  readonly tlsCa?: string
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly tlsServerName?: string
}

const fileBytesMax = 1024 * 1024
const serverName = textFlag('the name of a host', (text) => /^[\w.-]{1,253}$/.test(text))

/** The same words, variables and files as of `kith agent`. */
export function tlsOptions(command: Command): Command {
  const option = (flags: string, help: string, read: (text: string) => string): void => {
    command.addOption(new Option(flags, help).argParser(read))
  }
  option('--tls-ca <file>', 'whose certificates are trusted (env KITH_TLS_CA)', certificates)
  option('--tls-cert <file>', 'a certificate to show (env KITH_TLS_CERT)', certificates)
  option('--tls-key <file>', 'its private key (env KITH_TLS_KEY)', privateKey)
  option(
    '--tls-server-name <name>',
    'for whom theirs must be (env KITH_TLS_SERVER_NAME)',
    serverName,
  )
  return command
}

const variables = {
  tlsCa: ['KITH_TLS_CA', certificates],
  tlsCert: ['KITH_TLS_CERT', certificates],
  tlsKey: ['KITH_TLS_KEY', privateKey],
  tlsServerName: ['KITH_TLS_SERVER_NAME', serverName],
} as const satisfies Record<keyof TlsFlags, readonly [string, (text: string) => string]>

/** Whether a flag or variable says that TLS is spoken. */
export function wantsTls(flags: TlsFlags, { env }: Pick<Io, 'env'>): boolean {
  const keys = Object.keys(variables) as (keyof TlsFlags)[]
  return keys.some((key) => flags[key] !== undefined || Boolean(env[variables[key][0]]))
}

/** Flags before variables. Throws `ERR_CLI_CONFIG` that names what is wrong. */
export function readTls(flags: TlsFlags, { env }: Pick<Io, 'env'>): TlsClientOptions {
  const given = (key: keyof TlsFlags): string | undefined => {
    const [name, read] = variables[key]
    const text = env[name]
    if (flags[key] !== undefined || !text) return flags[key]
    try {
      return read(text)
    } catch (cause) {
      if (!(cause instanceof RefusedText)) throw cause
      throw wrong(name, cause.got, cause.want)
    }
  }
  const [ca, cert, key] = [given('tlsCa'), given('tlsCert'), given('tlsKey')]
  const name = given('tlsServerName')
  const options: TlsClientOptions = {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(name === undefined ? {} : { serverName: name }),
  }
  const [problem] = tlsClientProblems(options, '--tls')
  if (problem === undefined) return options
  throw wrong(problem.field.replace('.', '-'), problem.got, problem.want)
}

function wrong(field: string, got: string, want: string): CliError {
  const problems = [{ field, got, want }]
  return new CliError('ERR_CLI_CONFIG', describeProblems(problems), { details: { problems } })
}

function certificates(path: string): string {
  const text = readText(path, 'a file of certificates in PEM')
  if (readCertificates(text) !== undefined) return text
  throw new RefusedText(showValue(path), 'a file of certificates in PEM')
}

function privateKey(path: string): string {
  const text = readText(path, 'a file with a private key in PEM')
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) return text
  throw new RefusedText(showValue(path), 'a file with a private key in PEM')
}

function readText(path: string, want: string): string {
  try {
    const bytes = readFileSync(path)
    if (bytes.length <= fileBytesMax) return bytes.toString('latin1')
    throw new Error(`it has more than ${fileBytesMax} bytes`)
  } catch (cause) {
    throw new RefusedText(showValue(path), `${want} (${(cause as Error).message})`)
  }
}
