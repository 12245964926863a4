/** Which news a stream asked for, by Serf's filters: `user:deploy,member-join,query`. */
import type { NewsEvent } from './input.ts'

interface EventFilter {
  readonly event: string
  /** Of a user event or a query; empty for all of them. */
  readonly name: string
}

export type EventFilters = readonly EventFilter[]

const filtersMax = 256
const events: ReadonlySet<string> = new Set([
  '*',
  'user',
  'query',
  'member-join',
  'member-leave',
  'member-failed',
  'member-update',
  'member-reap',
])

/** Undefined where a part is none of Serf's filters. */
export function parseFilters(text: string): EventFilters | undefined {
  const parts = (text === '' ? '*' : text).split(',', filtersMax + 1)
  if (parts.length > filtersMax) return undefined
  const filters = parts.map((part) => {
    const named = /^(user|query):(.*)$/s.exec(part)
    return { event: named?.[1] ?? part, name: named?.[2] ?? '' }
  })
  return filters.every(({ event }) => events.has(event)) ? filters : undefined
}

export function matches(filters: EventFilters, event: NewsEvent): boolean {
  const kind = event.kind === 'members' ? event.event : event.kind
  return filters.some((filter) => {
    if (filter.event === '*') return true
    if (filter.event !== kind) return false
    return filter.name === '' || event.kind === 'members' || filter.name === event.name
  })
}
