/** Services and checks come and go as Consul's clients ask for it. */
import { type CheckState, type ServiceInstance, showValue } from '@kith/interface'
import { type Api, ownInstance } from './api.ts'
import { Problems } from './body.ts'
import { checkFields, type GivenCheck, readCheck } from './check-body.ts'
import { badRequest, refused } from './errors.ts'
import {
  decodeLabels,
  encodeLabels,
  type GivenLabel,
  labelOf,
  LABELS_BYTES_MAX,
  labelsKey,
} from './labels.ts'
import type { ConsulRegistration, ConsulServiceDefinition } from './ports.ts'
import { checkName, inWordsOfBody, readService } from './service-body.ts'

const CHECKS_MAX = 16

export async function registerService(api: Api, body: unknown): Promise<void> {
  const problems = new Problems()
  const { definition, checks } = readService(body, problems)
  const id = definition.id ?? definition.service
  for (const { checkId, path } of checks) {
    if (checkId === undefined || isFree(api, checkId, id)) continue
    problems.add(`${path}.CheckID`, checkId, 'one that no other service of this agent has')
  }
  problems.done()
  await place(api, definition, api.options.persist, checks)
}

/** A check more for a service that is there. The others keep their status. */
export async function registerCheck(api: Api, body: unknown): Promise<void> {
  const problems = new Problems()
  const fields = checkFields(body, '', problems)
  const given = readCheck(fields, '', problems)
  const serviceId = fields.text('ServiceID')
  if (given.name === undefined) problems.add('Name', undefined, 'text')
  const registration =
    serviceId === undefined ? undefined : api.options.registry.registration(serviceId)
  if (serviceId === undefined || registration === undefined) {
    problems.add(
      'ServiceID',
      serviceId,
      'the ID of a service of this agent (members have no checks)',
    )
    throw badRequest(problems.list)
  }
  const checkId = given.checkId ?? given.name ?? ''
  const { definition } = registration
  if (!isFree(api, checkId, serviceId)) {
    problems.add('ID', checkId, 'one that no other service of this agent has')
  }
  problems.done()
  const { checks: before, labels } = without(api, registration, serviceId, checkId)
  const name = checkName(checkId) ?? freeName(before.map((check) => check.name ?? check.kind))
  labels.set(name, { checkId, name: given.name, notes: given.notes })
  const checks = [...before, { ...given.check, name }]
  const others = before.map((): GivenCheck => ({ ...given, path: 'an earlier check' }))
  await place(
    api,
    { ...definition, checks, meta: labelled(definition, labels, 'Name') },
    registration.persist,
    [...others, given],
  )
}

export async function deregisterCheck(api: Api, checkId: string): Promise<void> {
  const { instance, id } = findCheck(api, checkId)
  const registration = api.options.registry.registration(instance.id)
  if (registration === undefined || id === `${instance.id}/maintenance`) {
    throw refused(400, `the check ${showValue(checkId)} is not one that was registered`)
  }
  const { checks, labels } = without(api, registration, instance.id, checkId)
  const { definition, persist } = registration
  await place(
    api,
    { ...definition, checks, meta: labelled(definition, labels, 'Name') },
    persist,
    [],
  )
}

/** An own check by what Consul's clients call it, or by our id; answers 404 where there is none. */
export function findCheck(
  { options }: Api,
  checkId: string,
): { readonly instance: ServiceInstance; readonly id: string } {
  for (const instance of options.registry.own()) {
    const found = checkOf(instance, checkId)
    if (found !== undefined) return { instance, id: found.id }
  }
  throw refused(404, `this agent has no check with the ID ${showValue(checkId)}`)
}

function checkOf(instance: ServiceInstance, checkId: string): CheckState | undefined {
  const labels = decodeLabels(instance.meta)
  return instance.checks.find(
    (check) => check.id === checkId || labelOf(instance, check, labels).checkId === checkId,
  )
}

/** No other instance of this agent has a check of this id. */
function isFree({ options }: Api, checkId: string, serviceId: string): boolean {
  const others = options.registry.own().filter(({ id }) => id !== serviceId)
  return others.every((instance) => checkOf(instance, checkId) === undefined)
}

/** The checks and labels of an instance that are not this check's. */
function without(
  api: Api,
  { definition }: ConsulRegistration,
  serviceId: string,
  checkId: string,
): { checks: NonNullable<ConsulServiceDefinition['checks']>; labels: Map<string, GivenLabel> } {
  const instance = ownInstance(api, serviceId)
  const name = checkOf(instance, checkId)?.id.slice(serviceId.length + 1)
  const labels = decodeLabels(instance.meta)
  if (name !== undefined) labels.delete(name)
  const checks = (definition.checks ?? []).filter((check) => (check.name ?? check.kind) !== name)
  return { checks, labels }
}

function freeName(taken: readonly string[]): string {
  for (let number = 1; number <= CHECKS_MAX; number += 1) {
    const name = `service-${number}`
    if (!taken.includes(name)) return name
  }
  return 'service'
}

function labelled(
  { meta = {} }: ConsulServiceDefinition,
  labels: ReadonlyMap<string, GivenLabel>,
  field: string,
): Readonly<Record<string, string>> {
  const { [labelsKey]: _before, ...rest } = meta
  const text = encodeLabels(labels)
  if (text === undefined) return rest
  const bytes = Buffer.byteLength(text)
  if (bytes > LABELS_BYTES_MAX) {
    const want = `at most ${LABELS_BYTES_MAX} bytes with ID and Notes, for all checks of a service`
    throw badRequest([{ field, got: `${bytes} bytes`, want }])
  }
  return { ...rest, [labelsKey]: text }
}

async function place(
  { options }: Api,
  definition: ConsulServiceDefinition,
  persist: boolean,
  checks: readonly GivenCheck[],
): Promise<void> {
  try {
    await options.registry.register(definition, { persist })
  } catch (cause) {
    throw inWordsOfBody(cause, checks)
  }
}
