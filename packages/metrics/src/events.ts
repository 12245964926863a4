/** What the parts tell on channels of `node:diagnostics_channel`: counted, and timed. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { ChannelMessage } from '@kith/interface/node'
import { counter, type Family, type Part } from './family.ts'
import type { MetricSources } from './sources.ts'

const memberEvents = counter(
  'kith_gossip_events_total',
  'What gossip told its listeners, by kind.',
  'kind',
)
const checkChanges = counter(
  'kith_registry_check_changes_total',
  'Changes of checks of this member, by what they changed to.',
  'status',
)

/** Requests by their route, which is a pattern of the interface and never the path asked for. */
export const requestDuration: Family = {
  name: 'kith_http_request_duration_seconds',
  kind: 'histogram',
  help: 'Time from a request to the end of its answer; those that follow last as long as they are read.',
  labels: ['method', 'route', 'status'],
}
/** Upper bounds in seconds. */
export const durationBuckets: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
]

/** What the channel `kith:server:request` says. */
interface RequestMessage {
  readonly source: object
  readonly method: string
  /** Undefined where no route fits. */
  readonly route: string | undefined
  /** Undefined where the caller went before there was one. */
  readonly status: number | undefined
  readonly durationMs: number
}

export type OnRequest = (seconds: number, labels: Readonly<Record<string, string>>) => void

export interface EventsPart extends Part {
  stop(): void
}

/** Listens from here on; channels belong to the process, so that others' messages are skipped. */
export function eventsPart(sources: MetricSources, onRequest: OnRequest): EventsPart {
  const { gossip, registry, server } = sources
  const events = new Map<string, number>()
  const changes = new Map([
    ['passing', 0],
    ['warning', 0],
    ['critical', 0],
  ])
  const undo: (() => void)[] = []
  const listen = (name: string, source: object | undefined, take: (it: never) => void): void => {
    if (source === undefined) return
    const listener = (message: unknown): void => {
      if ((message as ChannelMessage).source === source) take(message as never)
    }
    subscribe(name, listener)
    undo.push(() => void unsubscribe(name, listener))
  }
  listen('kith:gossip:event', gossip, ({ kind }: ChannelMessage) => {
    events.set(kind, (events.get(kind) ?? 0) + 1)
  })
  listen('kith:registry:event', registry, ({ kind, event }: ChannelMessage) => {
    if (kind !== 'check') return
    const { status } = event as { readonly status: string }
    changes.set(status, (changes.get(status) ?? 0) + 1)
  })
  listen('kith:server:request', server, (message: RequestMessage) => {
    const { method, route, status, durationMs } = message
    onRequest(durationMs / 1000, {
      method: route === undefined ? 'any' : method,
      route: route ?? 'none',
      status: String(status ?? 'none'),
    })
  })
  return {
    name: 'events',
    families: [
      ...(gossip === undefined ? [] : [memberEvents]),
      ...(registry === undefined ? [] : [checkChanges]),
    ],
    read(put) {
      for (const [kind, count] of events) put(memberEvents, count, kind)
      if (registry === undefined) return
      for (const [status, count] of changes) put(checkChanges, count, status)
    },
    stop: () => undo.splice(0).forEach((each) => each()),
  }
}
