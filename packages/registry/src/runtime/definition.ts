/**
 * From what a caller writes to what the core takes: every field checked, all faults named at once.
 */
import type {
  CheckKind,
  CheckStatus,
  CheckTarget,
  CheckTiming,
  OptionProblem,
} from '@kith/interface'
import { showValue } from '@kith/interface'
import { builtInChecks } from '../checks/built-in.ts'
import type { CheckPlan, InstancePlan } from '../core/types.ts'
import { problemError, RegistryError } from '../errors.ts'
import { utf8Length } from '../wire/bytes.ts'
import {
  checksMax,
  isAddress,
  isCheckName,
  isInstanceId,
  isMetaKey,
  isMetaValue,
  isServiceName,
  isTag,
  maintenanceName,
  metaBytesMax,
  metaPairsMax,
  tagsMax,
} from '../wire/limits.ts'

/** One check of a service. */
export interface CheckDefinition extends CheckTiming {
  /** `tcp`, `http`, `grpc`, `ttl`, `function`, `event-loop`, or one of `checkKinds`. */
  readonly kind: string
  /**
   * Unique within the instance, 1 to 64 of `[A-Za-z0-9._-]`, not `maintenance`; default: the kind.
   */
  readonly name?: string
  /** What the kind takes; `tcp` and `http` ask the instance itself where nothing else is named. */
  readonly options?: unknown
}

/** A service that this member offers. */
export interface ServiceDefinition {
  /** 1 to 63 of `[A-Za-z0-9_-]`, letters or digits at both ends, so that it fits a DNS label. */
  readonly service: string
  /** Unique within the member, 1 to 128 of `[A-Za-z0-9._:-]`; default: the service's name. */
  readonly id?: string
  /**
   * An IP address or host name that others can reach; default: the member's gossip host, also after
   * that has become another one.
   */
  readonly address?: string
  /** 1 to 65535. */
  readonly port: number
  /** At most 32 of 1 to 128 bytes each; default none. */
  readonly tags?: readonly string[]
  /** At most 64 pairs and 4 KiB; default none. */
  readonly meta?: Readonly<Record<string, string>>
  /** At most 16; without any the instance counts as passing. */
  readonly checks?: readonly CheckDefinition[]
}

/** A check's kind with the options that it parsed, ready to run. */
export interface BoundCheck {
  readonly kind: CheckKind
  readonly options: unknown
}

export interface CheckedDefinition {
  readonly plan: InstancePlan
  readonly bound: ReadonlyMap<string, BoundCheck>
}

class Problems {
  readonly list: OptionProblem[] = []

  need(holds: boolean, field: string, got: unknown, want: string): boolean {
    if (!holds) this.list.push({ field, got: showValue(got), want })
    return holds
  }
}

const fields = ['service', 'id', 'address', 'port', 'tags', 'meta', 'checks']
const checkFields = [
  'kind',
  'name',
  'options',
  'intervalMs',
  'timeoutMs',
  'successThreshold',
  'failureThreshold',
  'initialStatus',
  'deregisterCriticalAfterMs',
]
const absent = 'absent (the name is not known here)'
const statuses: readonly unknown[] = ['passing', 'warning', 'critical']

/**
 * What `register` would refuse in a definition, for those who want to know before anything runs.
 * Without an address in it, any is taken to follow; `checkKinds` are those beside the built-in
 * ones.
 */
export function serviceProblems(
  definition: unknown,
  checkKinds: readonly CheckKind[] = [],
): readonly OptionProblem[] {
  const kinds = new Map([...builtInChecks(), ...checkKinds].map((kind) => [kind.kind, kind]))
  try {
    checkDefinition(definition, kinds, '127.0.0.1')
    return []
  } catch (cause) {
    if (cause instanceof RegistryError) return cause.details?.problems ?? []
    throw cause
  }
}

/** Throws `ERR_REGISTRY_SERVICE` that names every field at fault. */
export function checkDefinition(
  definition: unknown,
  kinds: ReadonlyMap<string, CheckKind>,
  defaultAddress: string,
): CheckedDefinition {
  const problems = new Problems()
  if (!problems.need(isObject(definition), 'service definition', definition, 'an object')) {
    throw problemError('ERR_REGISTRY_SERVICE', problems.list)
  }
  const given = definition as Partial<Record<string, unknown>>
  known(problems, given, fields, '')
  const { service, port } = given
  const id = given['id'] ?? service
  const address = given['address'] ?? defaultAddress
  problems.need(
    typeof service === 'string' && isServiceName(service),
    'service',
    service,
    '1 to 63 of [A-Za-z0-9_-] with a letter or digit at both ends',
  )
  if (given['id'] !== undefined) {
    problems.need(
      typeof id === 'string' && isInstanceId(id),
      'id',
      id,
      '1 to 128 of [A-Za-z0-9._:-]',
    )
  }
  problems.need(
    typeof address === 'string' && isAddress(address) && !isWildcard(address),
    'address',
    address,
    'an IP address or host name that others can reach',
  )
  problems.need(isWhole(port, 1, 65_535), 'port', port, 'an integer from 1 to 65535')
  const tags = checkTags(problems, given['tags'] ?? [])
  const meta = checkMeta(problems, given['meta'] ?? {})
  const target = { address: address as string, port: port as number }
  const bound = new Map<string, BoundCheck>()
  const checks = checkChecks(problems, given['checks'] ?? [], String(id), kinds, target, bound)
  if (problems.list.length > 0) throw problemError('ERR_REGISTRY_SERVICE', problems.list)
  const plan: InstancePlan = Object.freeze({
    service: String(service),
    id: String(id),
    ...target,
    tags,
    meta,
    checks,
  })
  return { plan, bound }
}

function checkTags(problems: Problems, given: unknown): readonly string[] {
  const want = `a list of at most ${tagsMax} texts`
  if (!problems.need(Array.isArray(given) && given.length <= tagsMax, 'tags', given, want))
    return []
  const tags = given as unknown[]
  for (const [index, tag] of tags.entries()) {
    const fits = typeof tag === 'string' && isTag(tag)
    problems.need(fits, `tags[${index}]`, tag, 'text of 1 to 128 bytes without control characters')
  }
  return Object.freeze([...new Set(tags as string[])])
}

function checkMeta(problems: Problems, given: unknown): Readonly<Record<string, string>> {
  if (!problems.need(isObject(given), 'meta', given, 'an object of texts')) return {}
  const pairs = Object.entries(given as Record<string, unknown>)
  problems.need(
    pairs.length <= metaPairsMax,
    'meta',
    `${pairs.length} pairs`,
    `at most ${metaPairsMax} pairs`,
  )
  let bytes = 0
  for (const [key, value] of pairs) {
    const fits = isMetaKey(key) && typeof value === 'string' && isMetaValue(value)
    const want = 'text of at most 1024 bytes under a key of 1 to 64 of [A-Za-z0-9._-]'
    if (problems.need(fits, `meta.${key.slice(0, 64)}`, value, want)) {
      bytes += key.length + utf8Length(value as string)
    }
  }
  problems.need(
    bytes <= metaBytesMax,
    'meta',
    `${bytes} bytes`,
    `at most ${metaBytesMax} bytes in all`,
  )
  return Object.freeze(Object.fromEntries(pairs)) as Readonly<Record<string, string>>
}

function checkChecks(
  problems: Problems,
  given: unknown,
  instanceId: string,
  kinds: ReadonlyMap<string, CheckKind>,
  target: CheckTarget,
  bound: Map<string, BoundCheck>,
): readonly CheckPlan[] {
  const want = `a list of at most ${checksMax} checks`
  if (!problems.need(Array.isArray(given) && given.length <= checksMax, 'checks', given, want)) {
    return []
  }
  const plans: CheckPlan[] = []
  for (const [index, check] of (given as unknown[]).entries()) {
    const field = `checks[${index}]`
    if (!problems.need(isObject(check), field, check, 'an object with a kind')) continue
    const plan = checkCheck(
      problems,
      check as Record<string, unknown>,
      field,
      instanceId,
      kinds,
      target,
      bound,
    )
    if (plan !== undefined) plans.push(plan)
  }
  return Object.freeze(plans)
}

function checkCheck(
  problems: Problems,
  check: Record<string, unknown>,
  field: string,
  instanceId: string,
  kinds: ReadonlyMap<string, CheckKind>,
  target: CheckTarget,
  bound: Map<string, BoundCheck>,
): CheckPlan | undefined {
  known(problems, check, checkFields, `${field}.`)
  const kindName = check['kind']
  const kind = typeof kindName === 'string' ? kinds.get(kindName) : undefined
  const want = `one of ${[...kinds.keys()].sort().join(', ')}`
  if (!problems.need(kind !== undefined, `${field}.kind`, kindName, want) || kind === undefined) {
    return undefined
  }
  const name = check['name'] ?? kind.kind
  const named = typeof name === 'string' && isCheckName(name)
  problems.need(named, `${field}.name`, name, '1 to 64 of [A-Za-z0-9._-]')
  const free = name !== maintenanceName
  problems.need(free, `${field}.name`, name, "another name: this one is the registry's own")
  const id = `${instanceId}/${name as string}`
  problems.need(!bound.has(id), `${field}.name`, name, 'unique within the instance')
  const whole = (key: string, fallback: number, min: number, max: number): number => {
    const value = check[key] ?? fallback
    problems.need(
      isWhole(value, min, max),
      `${field}.${key}`,
      value,
      `an integer from ${min} to ${max}`,
    )
    return value as number
  }
  const intervalMs = whole('intervalMs', 10_000, 100, 86_400_000)
  const after = check['deregisterCriticalAfterMs']
  const plan: CheckPlan = Object.freeze({
    id,
    kind: kind.kind,
    passive: kind.passive === true,
    intervalMs,
    timeoutMs: whole(
      'timeoutMs',
      intervalMs < 5_000 ? Math.max(10, intervalMs) : 5_000,
      10,
      86_400_000,
    ),
    successThreshold: whole('successThreshold', 1, 1, 1_000),
    failureThreshold: whole('failureThreshold', 1, 1, 1_000),
    initialStatus: (check['initialStatus'] ?? 'critical') as CheckStatus,
    deregisterCriticalAfterMs:
      after === undefined ? undefined : whole('deregisterCriticalAfterMs', 0, 100, 2_592_000_000),
  })
  const status = '"passing", "warning" or "critical"'
  problems.need(
    statuses.includes(plan.initialStatus),
    `${field}.initialStatus`,
    plan.initialStatus,
    status,
  )
  bindOptions(problems, kind, check['options'], field, target, id, bound)
  return plan
}

function bindOptions(
  problems: Problems,
  kind: CheckKind,
  options: unknown,
  field: string,
  target: CheckTarget,
  id: string,
  bound: Map<string, BoundCheck>,
): void {
  try {
    bound.set(id, { kind, options: kind.parse(options, target) })
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause)
    problems.need(false, `${field}.options`, options, `what a ${kind.kind} check takes (${text})`)
  }
}

function known(problems: Problems, given: object, names: readonly string[], prefix: string): void {
  for (const [key, value] of Object.entries(given)) {
    problems.need(names.includes(key), `${prefix}${key.slice(0, 64)}`, value, absent)
  }
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isWhole(value: unknown, min: number, max: number): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max
}

/** Listening everywhere is not an address that anybody can connect to. */
function isWildcard(address: string): boolean {
  return address === '0.0.0.0' || /^[0:]+$/.test(address)
}
