/** From the registration of a service in Consul's words to a definition in ours. */
import { isKithError, type OptionProblem } from '@kith/interface'
import { Fields, type Problems } from './body.ts'
import { checkFields, type GivenCheck, readCheck } from './check-body.ts'
import { badRequest } from './errors.ts'
import { encodeLabels, type GivenLabel, LABELS_BYTES_MAX, labelsKey, plainName } from './labels.ts'
import type { ConsulCheckDefinition, ConsulServiceDefinition } from './ports.ts'

/** A definition, and where each of its checks stood in the body. */
export interface GivenService {
  readonly definition: ConsulServiceDefinition
  readonly checks: readonly GivenCheck[]
}

const refusals: Readonly<Record<string, string>> = {
  Kind: 'Kith has no proxies',
  Proxy: 'Kith has no proxies',
  Connect: 'Kith has no service mesh',
  TaggedAddresses: 'an instance has one address here',
  EnableTagOverride: 'only the owner of an instance changes it here',
  SocketPath: 'an instance has an address and a port here',
  Ports: 'an instance has one port here',
  Locality: 'name the zone in Meta',
  Namespace: 'Kith has no namespaces',
  Partition: 'Kith has no partitions',
}
const taken = [
  'ID',
  'Name',
  'Tags',
  'Port',
  'Address',
  'Meta',
  'Check',
  'Checks',
  'Weights',
  'Token',
]
const known = [...taken, ...Object.keys(refusals)]
const CHECKS_MAX = 16

export function readService(given: unknown, problems: Problems): GivenService {
  const fields = new Fields(given, known, '', problems)
  for (const [name, why] of Object.entries(refusals)) {
    if (!['Namespace', 'Partition'].includes(name) || fields.any(name) !== 'default') {
      fields.refuse(name, why)
    }
  }
  readWeights(fields, problems)
  const checks = readChecks(fields, problems)
  const id = fields.text('ID')
  const address = fields.text('Address')
  const tags = fields.any('Tags')
  const meta = readMeta(fields, problems)
  const named = nameChecks(checks)
  const labels = encodeLabels(named.labels)
  if (Buffer.byteLength(labels ?? '') > LABELS_BYTES_MAX) {
    const want = `CheckID, Name and Notes of at most ${LABELS_BYTES_MAX} bytes in all`
    problems.add('Checks', `${Buffer.byteLength(labels ?? '')} bytes`, want)
  }
  problems.done()
  const definition = {
    service: fields.any('Name'),
    ...(id === undefined ? {} : { id }),
    port: fields.any('Port'),
    ...(address === undefined ? {} : { address }),
    ...(tags === undefined ? {} : { tags }),
    meta: { ...meta, ...(labels === undefined ? {} : { [labelsKey]: labels }) },
    checks: named.checks,
  }
  // What is left to be wrong the registry finds, in the same fields.
  return { definition: definition as ConsulServiceDefinition, checks }
}

function readWeights(fields: Fields, problems: Problems): void {
  const given = fields.any('Weights')
  if (given === undefined) return
  const weights = new Fields(given, ['Passing', 'Warning'], 'Weights', problems)
  for (const name of ['Passing', 'Warning']) {
    const weight = weights.any(name) ?? 1
    if (weight !== 1)
      problems.add(weights.path(name), weight, '1 (all instances weigh the same here)')
  }
}

function readMeta(fields: Fields, problems: Problems): object {
  const meta = fields.any('Meta') ?? {}
  if (typeof meta !== 'object' || Array.isArray(meta)) {
    problems.add('Meta', meta, 'an object of texts')
    return {}
  }
  if (meta !== null && Object.hasOwn(meta, labelsKey)) {
    problems.add(`Meta.${labelsKey}`, 'given', 'absent (Kith keeps it for itself)')
  }
  return meta ?? {}
}

function readChecks(fields: Fields, problems: Problems): readonly GivenCheck[] {
  const single = fields.any('Check')
  const several = fields.any('Checks') ?? []
  if (!Array.isArray(several) || several.length > CHECKS_MAX) {
    problems.add('Checks', several, `a list of at most ${CHECKS_MAX} checks`)
    return []
  }
  const given: (readonly [string, unknown])[] = [
    ...(single === undefined || isBlank(single) ? [] : [['Check', single] as const]),
    ...several.map((check, at) => [`Checks[${at}]`, check] as const),
  ]
  return given.map(([path, check]) => readCheck(checkFields(check, path, problems), path, problems))
}

/** Go's clients send an empty object for no check. */
function isBlank(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0
}

/** A check bears its CheckID as its name where that fits, else what Consul would call it. */
function nameChecks(given: readonly GivenCheck[]): {
  readonly checks: readonly ConsulCheckDefinition[]
  readonly labels: ReadonlyMap<string, GivenLabel>
} {
  const labels = new Map<string, GivenLabel>()
  const checks = given.map(({ check, checkId, name, notes }, at) => {
    const own = checkName(checkId) ?? plainName(at + 1, given.length)
    labels.set(own, { checkId, name, notes })
    return { ...check, name: own }
  })
  return { checks, labels }
}

export function checkName(checkId: string | undefined): string | undefined {
  if (checkId === undefined || checkId === 'maintenance') return undefined
  return /^[A-Za-z0-9._-]{1,64}$/.test(checkId) ? checkId : undefined
}

const fieldNames: Readonly<Record<string, string>> = {
  service: 'Name',
  id: 'ID',
  port: 'Port',
  address: 'Address',
}
const checkFieldNames: Readonly<Record<string, string>> = {
  name: 'CheckID',
  timeoutMs: 'Timeout',
  initialStatus: 'Status',
  successThreshold: 'SuccessBeforePassing',
  failureThreshold: 'FailuresBeforeCritical',
  deregisterCriticalAfterMs: 'DeregisterCriticalServiceAfter',
}

/** What the registry refused, in the names of the body. Anything else is passed on as it is. */
export function inWordsOfBody(cause: unknown, checks: readonly GivenCheck[]): unknown {
  if (!isKithError(cause) || cause.code !== 'ERR_REGISTRY_SERVICE') return cause
  const problems = (cause.details as { problems?: readonly OptionProblem[] } | undefined)?.problems
  if (problems === undefined) return cause
  return badRequest(
    problems.map((problem) => ({ ...problem, field: renamed(problem.field, checks) })),
  )
}

function renamed(field: string, checks: readonly GivenCheck[]): string {
  const [, index, rest = ''] = /^checks\[(\d+)\]\.?(.*)$/.exec(field) ?? []
  const check = index === undefined ? undefined : checks[Number(index)]
  if (check !== undefined) {
    const inner = rest === 'intervalMs' && check.by !== 'TTL' ? 'Interval' : checkFieldNames[rest]
    const name = inner ?? check.by
    return check.path === '' ? name : `${check.path}.${name}`
  }
  if (field.startsWith('tags')) return `T${field.slice(1)}`
  if (field.startsWith('meta')) return `M${field.slice(1)}`
  return Object.hasOwn(fieldNames, field) ? (fieldNames[field] ?? field) : field
}
