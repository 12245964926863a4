/** The configuration file of `kith agent`: JSON whose every mistake is reported with its path. */
import { readFile } from 'node:fs/promises'
import { type OptionProblem, parseAddress, schemaProblems } from '@kith/interface'
import * as z from 'zod'
import { CliError } from './errors.ts'
import {
  gapPolicies,
  type GapPolicyName,
  type LogFormat,
  logFormats,
  type LogLevel,
  logLevels,
  type LogStorageName,
  logStorages,
  type Profile,
  profiles,
} from './settings.ts'

export interface ServiceConfig {
  readonly service: string
  readonly id?: string | undefined
  readonly address?: string | undefined
  readonly port: number
  readonly tags?: string[] | undefined
  readonly meta?: Record<string, string> | undefined
  readonly checks?: { kind: string }[] | undefined
}

/** What the flags of `kith agent` say, as a file. */
export interface AgentConfig {
  readonly node?: string | undefined
  readonly bind?: string | undefined
  readonly advertise?: string | undefined
  readonly join?: string[] | undefined
  readonly discover?: string[] | undefined
  readonly snapshot?: string | undefined
  readonly rejoin?: boolean | undefined
  readonly http?: string | undefined
  readonly httpAdvertise?: string | undefined
  /** Checked by the agent, which puts no token into a message. */
  readonly httpTokens?: unknown
  readonly httpToken?: unknown
  readonly tlsCert?: string | undefined
  readonly tlsKey?: string | undefined
  readonly tlsCa?: string | undefined
  readonly tlsClientCert?: boolean | undefined
  readonly tlsServerName?: string | undefined
  readonly consulApi?: string | undefined
  readonly rpc?: string | false | undefined
  readonly rpcAuth?: string | undefined
  readonly data?: string | undefined
  readonly logStorage?: LogStorageName | undefined
  readonly replicationBytesPerSecond?: number | undefined
  readonly gapPolicy?: GapPolicyName | undefined
  /** Bounds by name; which there are is the log's to say. */
  readonly retention?: Record<string, number> | undefined
  readonly tags?: Record<string, string> | undefined
  readonly encrypt?: string | undefined
  readonly keyring?: string | undefined
  readonly label?: string | undefined
  readonly verifyIncoming?: boolean | undefined
  readonly verifyOutgoing?: boolean | undefined
  readonly insecurePlaintext?: boolean | undefined
  readonly profile?: Profile | undefined
  readonly services?: ServiceConfig[] | undefined
  readonly scriptChecks?: boolean | undefined
  /** Checked by the agent. */
  readonly eventHandlers?: unknown
  readonly logLevel?: LogLevel | undefined
  readonly logFormat?: LogFormat | undefined
}

const FILE_BYTES_MAX = 1024 * 1024

function text(error: string) {
  return z.string({ error }).min(1, { error })
}

function memberName() {
  const error = 'a name of 1 to 128 of A-Z a-z 0-9 . _ -'
  return z.string({ error }).regex(/^[A-Za-z0-9._-]{1,128}$/, { error })
}

function address(portFrom: 0 | 1) {
  const error = `HOST:PORT with a port from ${portFrom} to 65535`
  return z
    .string({ error })
    .refine((value) => (parseAddress(value)?.port ?? -1) >= portFrom, { error })
}

function rpc() {
  const error = 'HOST:PORT with a port from 0 to 65535, tls:HOST:PORT, unix:PATH, or false for none'
  const place = z
    .string({ error })
    .refine(
      (value) =>
        /^unix:./.test(value) || (parseAddress(value.replace(/^tls:/, ''))?.port ?? -1) >= 0,
      { error },
    )
  return z.union([place, z.literal(false)], { error })
}

function seed() {
  const error = 'HOST:PORT or NAME/HOST:PORT with a port from 1 to 65535'
  return z
    .string({ error })
    .refine((value) => (parseAddress(value.slice(value.indexOf('/') + 1))?.port ?? 0) > 0, {
      error,
    })
}

function oneOf<const Values extends readonly [string, ...string[]]>(values: Values) {
  return z.enum(values, { error: `one of ${values.join(', ')}` })
}

const texts = z.record(z.string(), z.string({ error: 'text' }), { error: 'an object of texts' })
const keyError = 'base64 of 16, 24 or 32 bytes, as kith keygen prints'
const rateError = 'bytes a second as an integer, 0 for no limit'
const advertiseError = 'auto, or HOST:PORT with a port from 0 to 65535'
const portError = 'an integer from 1 to 65535'

const service = z.strictObject(
  {
    service: text('the name of a service'),
    id: text('text').optional(),
    address: text('a host').optional(),
    port: z
      .int({ error: portError })
      .min(1, { error: portError })
      .max(65_535, { error: portError }),
    tags: z.array(text('text'), { error: 'a list of texts' }).optional(),
    meta: texts.optional(),
    checks: z
      .array(
        z.looseObject({ kind: text('the kind of a check') }, { error: 'an object with a kind' }),
        {
          error: 'a list of checks',
        },
      )
      .optional(),
  },
  { error: 'an object { service, port, ... }' },
)

const schema = z.strictObject(
  {
    node: memberName().optional(),
    bind: address(0).optional(),
    advertise: z.union([z.literal('auto'), address(0)], { error: advertiseError }).optional(),
    join: z.array(seed(), { error: 'a list of addresses' }).optional(),
    discover: z
      .array(text('dns:NAME, dns:NAME:PORT or file:PATH'), { error: 'a list of texts' })
      .optional(),
    snapshot: text('the path of a file').optional(),
    rejoin: z.boolean({ error: 'true or false' }).optional(),
    http: address(0).optional(),
    httpAdvertise: address(0).optional(),
    httpTokens: z.unknown().optional(),
    httpToken: z.unknown().optional(),
    tlsCert: text('the path of a file').optional(),
    tlsKey: text('the path of a file').optional(),
    tlsCa: text('the path of a file').optional(),
    tlsClientCert: z.boolean({ error: 'true or false' }).optional(),
    tlsServerName: text('the name of a host').optional(),
    consulApi: address(0).optional(),
    rpc: rpc().optional(),
    rpcAuth: text('a text that callers of the RPC show').optional(),
    data: text('the path of a directory').optional(),
    logStorage: oneOf(logStorages).optional(),
    replicationBytesPerSecond: z.int({ error: rateError }).min(0, { error: rateError }).optional(),
    gapPolicy: oneOf(gapPolicies).optional(),
    retention: z
      .record(z.string(), z.int({ error: 'a whole number' }), { error: 'an object of bounds' })
      .optional(),
    tags: texts.optional(),
    encrypt: z.string({ error: keyError }).optional(),
    keyring: text('the path of a keyring file').optional(),
    label: text('text of 1 to 255 bytes').optional(),
    verifyIncoming: z.boolean({ error: 'true or false' }).optional(),
    verifyOutgoing: z.boolean({ error: 'true or false' }).optional(),
    insecurePlaintext: z.boolean({ error: 'true or false' }).optional(),
    profile: oneOf(profiles).optional(),
    services: z.array(service, { error: 'a list of services' }).optional(),
    scriptChecks: z.boolean({ error: 'true or false' }).optional(),
    eventHandlers: z.unknown().optional(),
    logLevel: oneOf(logLevels).optional(),
    logFormat: oneOf(logFormats).optional(),
  },
  { error: 'an object' },
)

export interface ReadConfig {
  /** Without the fields that are wrong. */
  readonly config: AgentConfig
  readonly problems: readonly OptionProblem[]
}

/** Reads and checks the file; throws `ERR_CLI_CONFIG` where it is no JSON that can be read. */
export async function readConfig(path: string): Promise<ReadConfig> {
  try {
    const bytes = await readFile(path)
    if (bytes.length > FILE_BYTES_MAX) throw new Error(`it has more than ${FILE_BYTES_MAX} bytes`)
    return parseConfig(JSON.parse(bytes.toString('utf8')))
  } catch (cause) {
    throw new CliError('ERR_CLI_CONFIG', `cannot read ${path}: ${(cause as Error).message}`, {
      cause,
    })
  }
}

function parseConfig(json: unknown): ReadConfig {
  const result = schema.safeParse(json)
  if (result.success) return { config: result.data, problems: [] }
  const { issues } = result.error
  const problems = schemaProblems(issues, json, 'the file')
  const wrong = new Set(issues.flatMap(({ path, ...issue }) => path[0] ?? unknownKeys(issue)))
  const whole = typeof json !== 'object' || json === null || Array.isArray(json)
  const right = Object.entries(whole ? {} : json).filter(([key]) => !wrong.has(key))
  return { config: Object.fromEntries(right) as AgentConfig, problems }
}

function unknownKeys(issue: object): readonly PropertyKey[] {
  return 'keys' in issue ? (issue.keys as string[]) : []
}
