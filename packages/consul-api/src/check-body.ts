/** From the definition of a check in Consul's words to one in ours. */
import { type CheckStatus, parseAddress } from '@kith/interface'
import { Fields, type Problems } from './body.ts'
import type { GivenLabel } from './labels.ts'
import type { ConsulCheckDefinition } from './ports.ts'

export interface GivenCheck extends GivenLabel {
  readonly check: Omit<ConsulCheckDefinition, 'name'>
  /** Where it stood in the body. */
  readonly path: string
  /** The field that says what is asked. */
  readonly by: string
}

const kinds = ['TTL', 'HTTP', 'TCP', 'GRPC', 'Args', 'ScriptArgs'] as const
/** What these are in Consul, and are not here. */
const refusals: Readonly<Record<string, string>> = {
  UDP: 'Kith has no such check',
  H2PING: 'Kith has no such check',
  OSService: 'Kith has no such check',
  AliasService: 'Kith has no such check',
  AliasNode: 'Kith has no such check',
  DockerContainerID: 'Kith has no such check',
  Shell: 'Kith starts no shell: name it in Args',
  Script: 'Kith starts no shell: use Args',
  TCPUseTLS: 'a tcp check speaks no TLS here',
  H2PingUseTLS: 'Kith has no such check',
  Body: 'an http check sends none',
  ProxyHTTP: 'Kith has no proxies',
  ProxyGRPC: 'Kith has no proxies',
  ExposedPort: 'Kith has no proxies',
  Namespace: 'Kith has no namespaces',
  Partition: 'Kith has no partitions',
}
const known = [
  ...kinds,
  ...Object.keys(refusals),
  'ID',
  'CheckID',
  'Name',
  'Notes',
  'Status',
  'Interval',
  'Timeout',
  'Method',
  'Header',
  'DisableRedirects',
  'GRPCUseTLS',
  'TLSServerName',
  'TLSSkipVerify',
  'OutputMaxSize',
  'DeregisterCriticalServiceAfter',
  'SuccessBeforePassing',
  'FailuresBeforeWarning',
  'FailuresBeforeCritical',
]
/** Of a check that is registered by itself. */
const alone = ['ServiceID', 'Token']

const DAY_MS = 86_400_000
const TEXT_CHARACTERS_MAX = 256

export function checkFields(given: unknown, path: string, problems: Problems): Fields {
  return new Fields(given, path === '' ? [...known, ...alone] : known, path, problems)
}

export function readCheck(fields: Fields, path: string, problems: Problems): GivenCheck {
  for (const [name, why] of Object.entries(refusals)) {
    if (!['Namespace', 'Partition'].includes(name) || fields.any(name) !== 'default') {
      fields.refuse(name, why)
    }
  }
  const given = kinds.filter((kind) => !isAbsent(fields.any(kind)))
  const [by = 'TTL', ...more] = given
  if (given.length !== 1) {
    const got = given.length === 0 ? undefined : [by, ...more].join(' and ')
    problems.add(path === '' ? 'body' : path, got, 'a check with one of TTL, HTTP, TCP, GRPC, Args')
  }
  const asked = readKind(by, fields, problems)
  const initialStatus = readStatus(fields, problems)
  const after = fields.duration('DeregisterCriticalServiceAfter', 100, 30 * DAY_MS)
  const timeoutMs = by === 'TTL' ? undefined : fields.duration('Timeout', 10, DAY_MS)
  const outputMax = fields.whole('OutputMaxSize', Number.MAX_SAFE_INTEGER)
  if (outputMax !== undefined && outputMax !== 0 && outputMax !== 4_096) {
    problems.add(fields.path('OutputMaxSize'), outputMax, '4096, which Kith keeps of every output')
  }
  const check = {
    ...asked,
    intervalMs: readInterval(by, given.length === 1, fields, problems),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...readThresholds(fields, problems),
    ...(initialStatus === undefined ? {} : { initialStatus }),
    ...(after === undefined ? {} : { deregisterCriticalAfterMs: after }),
  }
  return { check, path, by, ...readLabel(fields, path, problems) }
}

function readLabel(fields: Fields, path: string, problems: Problems): GivenLabel {
  const label = {
    checkId: fields.text('CheckID') ?? (path === '' ? fields.text('ID') : undefined),
    name: fields.text('Name'),
    notes: fields.text('Notes'),
  }
  if (path !== '') fields.refuse('ID', 'inside a service it is called CheckID')
  const names = { checkId: 'CheckID', name: 'Name', notes: 'Notes' } as const
  for (const [key, text] of Object.entries(label)) {
    if (text === undefined || text.length <= TEXT_CHARACTERS_MAX) continue
    const field = fields.path(names[key as keyof typeof names])
    problems.add(field, text, `text of at most ${TEXT_CHARACTERS_MAX} characters`)
  }
  return label
}

/** A ttl check has no interval of its own: the TTL is one. */
function readInterval(by: string, single: boolean, fields: Fields, problems: Problems): number {
  if (by === 'TTL') {
    fields.refuse('Interval', 'a check with a TTL is not run')
    const ms = fields.duration('TTL', 100, DAY_MS)
    return ms ?? 10_000
  }
  const ms = fields.duration('Interval', 100, DAY_MS)
  if (ms === undefined && single && isAbsent(fields.any('Interval'))) {
    problems.add(fields.path('Interval'), undefined, 'given, as 10s')
  }
  return ms ?? 10_000
}

function readThresholds(
  fields: Fields,
  problems: Problems,
): { successThreshold?: number; failureThreshold?: number } {
  const success = fields.whole('SuccessBeforePassing', 1_000)
  const failure = fields.whole('FailuresBeforeCritical', 1_000)
  const warning = fields.whole('FailuresBeforeWarning', 1_000)
  if (warning !== undefined && warning !== 0 && warning !== (failure ?? 0)) {
    const want = 'absent or as FailuresBeforeCritical (Kith warns of no failures)'
    problems.add(fields.path('FailuresBeforeWarning'), warning, want)
  }
  return {
    ...(success === undefined ? {} : { successThreshold: Math.max(1, success) }),
    ...(failure === undefined ? {} : { failureThreshold: Math.max(1, failure) }),
  }
}

function readStatus(fields: Fields, problems: Problems): CheckStatus | undefined {
  const status = fields.text('Status')
  if (status === undefined || ['passing', 'warning', 'critical'].includes(status)) {
    return status as CheckStatus | undefined
  }
  problems.add(fields.path('Status'), status, 'passing, warning or critical')
  return undefined
}

function readKind(
  by: (typeof kinds)[number],
  fields: Fields,
  problems: Problems,
): { readonly kind: string; readonly options?: object } {
  if (by !== 'HTTP') {
    for (const name of ['Method', 'Header', 'DisableRedirects', 'TLSSkipVerify', 'TLSServerName']) {
      fields.refuse(name, 'only an http check takes it')
    }
  }
  if (by !== 'GRPC') fields.refuse('GRPCUseTLS', 'only a grpc check takes it')
  switch (by) {
    case 'TTL':
      return { kind: 'ttl' }
    case 'HTTP':
      return { kind: 'http', options: httpOptions(fields, problems) }
    case 'TCP':
      return { kind: 'tcp', options: readPlace(fields, 'TCP', fields.text('TCP'), problems) }
    case 'GRPC':
      return { kind: 'grpc', options: grpcOptions(fields, problems) }
    case 'Args':
    case 'ScriptArgs':
      return { kind: 'script', options: { command: fields.any(by) } }
  }
}

function httpOptions(fields: Fields, problems: Problems): object {
  const url = fields.text('HTTP')
  const method = fields.text('Method')
  const headers = readHeaders(fields, problems)
  const serverName = fields.text('TLSServerName')
  const verify = fields.flag('TLSSkipVerify') ? false : undefined
  fields.flag('DisableRedirects')
  const tls = {
    ...(serverName === undefined ? {} : { serverName }),
    ...(verify === undefined ? {} : { verify }),
  }
  return {
    ...(url === undefined ? {} : { url }),
    ...(method === undefined ? {} : { method: method.toUpperCase() }),
    ...(Object.keys(headers).length === 0 ? {} : { headers }),
    ...(Object.keys(tls).length === 0 ? {} : { tls }),
  }
}

/** Each header may have several values, which are one line. */
function readHeaders(fields: Fields, problems: Problems): Record<string, string> {
  const given = fields.any('Header') ?? {}
  const pairs =
    typeof given === 'object' && !Array.isArray(given) ? Object.entries(given) : undefined
  const headers: [string, string][] = []
  for (const [name, values] of pairs ?? []) {
    const list: unknown = typeof values === 'string' ? [values] : values
    if (!Array.isArray(list) || !list.every((value) => typeof value === 'string')) {
      problems.add(fields.path(`Header.${name.slice(0, 64)}`), values, 'a list of texts')
    } else if (list.length > 0) {
      headers.push([name, list.join(', ')])
    }
  }
  if (pairs === undefined) problems.add(fields.path('Header'), given, 'an object of lists of texts')
  return Object.fromEntries(headers)
}

function grpcOptions(fields: Fields, problems: Problems): object {
  const text = fields.text('GRPC') ?? ''
  const slash = text.indexOf('/')
  const place = slash < 0 ? text : text.slice(0, slash)
  const service = slash < 0 ? '' : text.slice(slash + 1)
  const address = readPlace(fields, 'GRPC', place, problems)
  const tls = fields.flag('GRPCUseTLS')
  return { ...address, ...(service === '' ? {} : { service }), ...(tls ? { tls } : {}) }
}

function readPlace(
  fields: Fields,
  name: string,
  text: string | undefined,
  problems: Problems,
): object {
  const address = parseAddress(text ?? '')
  if (address !== undefined && address.port > 0) return { host: address.host, port: address.port }
  problems.add(fields.path(name), fields.any(name), 'HOST:PORT with a port from 1 to 65535')
  return {}
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === '' || (Array.isArray(value) && value.length === 0)
}
