/** Agents' answers, checked before anybody relies on their shape. */
import type { CheckState, ServiceInstance } from '@kith/interface'
import { RegistryError } from '../errors.ts'

type Fields = Readonly<Record<string, unknown>>

/** `{ services: [{ service, instances }] }`. */
export function readServices(answer: unknown): ReadonlyMap<string, number> {
  const found = new Map<string, number>()
  for (const each of listOf(fieldsOf(answer)['services'])) {
    const { service, instances } = fieldsOf(each)
    if (typeof service !== 'string' || typeof instances !== 'number') throw misshapen('services')
    found.set(service, instances)
  }
  return found
}

/** `{ instances: [...] }`. */
export function readInstances(answer: unknown): readonly ServiceInstance[] {
  return Object.freeze(listOf(fieldsOf(answer)['instances']).map(readInstance))
}

function readInstance(given: unknown): ServiceInstance {
  const fields = fieldsOf(given)
  const text = (name: string): string => {
    const value = fields[name]
    if (typeof value !== 'string') throw misshapen(name)
    return value
  }
  const whole = (name: string): number => {
    const value = fields[name]
    if (typeof value !== 'number' || !Number.isInteger(value)) throw misshapen(name)
    return value
  }
  return Object.freeze({
    service: text('service'),
    id: text('id'),
    member: text('member'),
    address: text('address'),
    port: whole('port'),
    tags: Object.freeze(listOf(fields['tags']).map(String)),
    meta: Object.freeze(
      Object.fromEntries(
        Object.entries(fieldsOf(fields['meta'])).map(([key, value]) => [key, String(value)]),
      ),
    ),
    checks: Object.freeze(listOf(fields['checks']).map(readCheck)),
    status: readStatus(fields['status']),
    version: whole('version'),
  })
}

function readCheck(given: unknown): CheckState {
  const { id, kind, status, output } = fieldsOf(given)
  return { id: String(id), kind: String(kind), status: readStatus(status), output: String(output) }
}

function readStatus(value: unknown): ServiceInstance['status'] {
  if (value === 'passing' || value === 'warning' || value === 'critical') return value
  throw misshapen('status')
}

function fieldsOf(value: unknown): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields
  throw misshapen('an object')
}

function listOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value
  throw misshapen('a list')
}

function misshapen(what: string): RegistryError {
  return new RegistryError('ERR_REGISTRY_CLIENT_RESPONSE', `the agent's answer lacks ${what}`)
}
