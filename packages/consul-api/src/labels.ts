/**
 * How Consul names the checks of an instance. A check of ours has an id `instance/name`; what
 * Consul's clients call it, where that is something else, travels in one entry of the meta of the
 * instance, so that all members answer alike.
 */
import type { CheckState, ServiceInstance } from '@kith/interface'

export interface CheckLabel {
  readonly checkId: string
  readonly name: string
  readonly notes: string
}

/** What a registration said of a check; absent is what Consul would call it by itself. */
export interface GivenLabel {
  readonly checkId?: string | undefined
  readonly name?: string | undefined
  readonly notes?: string | undefined
}

/** The entry of the meta that holds them. */
export const labelsKey = 'kith.consul'
export const LABELS_BYTES_MAX = 1_024

const maintenanceKind = 'maintenance'

/** The names of checks without a label: `service` for the only one, else with its number. */
export function plainName(number: number, count: number): string {
  return count === 1 ? 'service' : `service-${number}`
}

/** The entry for these checks, by their names; undefined where nothing is to be said. */
export function encodeLabels(labels: ReadonlyMap<string, GivenLabel>): string | undefined {
  const rows = [...labels].flatMap(([check, { checkId = '', name = '', notes = '' }]) => {
    const row = [check, checkId, name, notes]
    while (row.length > 1 && row.at(-1) === '') row.pop()
    return row.length === 1 ? [] : [row]
  })
  return rows.length === 0 ? undefined : JSON.stringify(rows)
}

/** What another member says may be anything: what is no label is none. */
export function decodeLabels(meta: Readonly<Record<string, string>>): Map<string, GivenLabel> {
  const labels = new Map<string, GivenLabel>()
  const text = Object.hasOwn(meta, labelsKey) ? meta[labelsKey] : undefined
  if (text === undefined) return labels
  let rows: unknown
  try {
    rows = JSON.parse(text)
  } catch {
    return labels
  }
  for (const row of Array.isArray(rows) ? (rows as unknown[]) : []) {
    if (!Array.isArray(row) || !row.every((cell) => typeof cell === 'string')) continue
    const [check = '', checkId, name, notes] = row as string[]
    labels.set(check, {
      checkId: checkId === '' ? undefined : checkId,
      name: name === '' ? undefined : name,
      notes,
    })
  }
  return labels
}

/** The meta as callers see it. */
export function visibleMeta(meta: Readonly<Record<string, string>>): Record<string, string> {
  const { [labelsKey]: _labels, ...rest } = meta
  return rest
}

export function labelOf(
  { id, service }: ServiceInstance,
  check: CheckState,
  labels: ReadonlyMap<string, GivenLabel>,
): CheckLabel {
  if (check.kind === maintenanceKind) {
    const checkId = `_service_maintenance:${id}`
    return { checkId, name: 'Service Maintenance Mode', notes: check.output }
  }
  const own = check.id.slice(id.length + 1)
  const { checkId, name, notes = '' } = labels.get(own) ?? {}
  const number = /^service(?:-(\d{1,2}))?$/.exec(own)
  const usual = number === null ? check.id : ['service', id, number[1] ?? []].flat().join(':')
  return { checkId: checkId ?? usual, name: name ?? `Service '${service}' check`, notes }
}
