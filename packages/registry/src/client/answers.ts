/** Agents' answers, checked before anybody relies on their shape. */
import type { CheckState, ServiceInstance } from '@kith/interface'
import { RegistryError } from '../errors.ts'

/** Instances of a service, or services of a cluster; more is believed of nobody. */
const listMax = 100_000

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

/** What an agent says of one service. */
export interface ServiceState {
  /** Of every status, by member and id. */
  readonly instances: readonly ServiceInstance[]
  /** Milliseconds to the members that somebody measured. */
  readonly distances: ReadonlyMap<string, number>
}

/** `{ instances: [...], distances?: { member: ms } }`. */
export function readState(answer: unknown): ServiceState {
  const { instances, distances = {} } = fieldsOf(answer)
  const measured = Object.entries(fieldsOf(distances)).map(([member, ms]) => {
    if (typeof ms !== 'number' || !(ms >= 0)) throw misshapen('distances')
    return [member, ms] as const
  })
  return {
    instances: Object.freeze(listOf(instances).map(readInstance)),
    distances: new Map(measured),
  }
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
    address: readAddress(text('address')),
    port: readPort(whole('port')),
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

/** What somebody will connect to: never text that could mean more than a host. */
function readAddress(address: string): string {
  if (/^[0-9A-Za-z._:%-]{1,253}$/.test(address)) return address
  throw misshapen('an address')
}

function readPort(port: number): number {
  if (port >= 1 && port <= 65_535) return port
  throw misshapen('a port')
}

function fieldsOf(value: unknown): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields
  throw misshapen('an object')
}

function listOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value) && value.length <= listMax) return value
  throw misshapen('a list')
}

function misshapen(what: string): RegistryError {
  return new RegistryError('ERR_REGISTRY_CLIENT_RESPONSE', `the agent's answer lacks ${what}`)
}
