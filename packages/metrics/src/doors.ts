/**
 * What the other doors of a member count: the RPC, the DNS server and Consul's API, and the
 * programs that run on events. Each may not run at all, which the metrics then say.
 */
import { counter, gauge, type Part } from './family.ts'
import type { ConsulSource, DnsSource, HandlersSource, RpcSource } from './sources.ts'

/** What is asked each time: undefined while it does not run. */
type Late<Source> = () => Source | undefined

function running<Source>(source: Late<Source>): Source {
  const found = source()
  if (found === undefined) throw new Error('it does not run')
  return found
}

const callers = gauge('kith_rpc_connections', 'Connections of callers of the RPC, now.')
const called = counter('kith_rpc_connections_total', 'Connections of callers that were taken in.')
const commands = counter(
  'kith_rpc_requests_total',
  'Requests over the RPC that were understood, by command.',
  'command',
)
const sentAway = counter(
  'kith_rpc_refused_total',
  'Callers sent away and keys that were wrong, by why.',
  'reason',
)
const recordsDropped = counter(
  'kith_rpc_dropped_records_total',
  'Records of streams that were dropped because their reader was slow.',
)

/** In front of the name of a command among the counters of the RPC. */
const commandPrefix = 'command.'
/** Counters with a metric of their own; all others are reasons. */
const notReasons: ReadonlySet<string> = new Set(['accepted', 'requests', 'recordsDropped'])

export function rpcPart(source: Late<RpcSource>): Part {
  return {
    name: 'rpc',
    families: [callers, called, commands, sentAway, recordsDropped],
    read(put) {
      const { connections, counters } = running(source)
      put(callers, connections)
      put(called, counters['accepted'] ?? 0)
      put(recordsDropped, counters['recordsDropped'] ?? 0)
      for (const [what, count] of Object.entries(counters)) {
        if (what.startsWith(commandPrefix)) put(commands, count, what.slice(commandPrefix.length))
        else if (!notReasons.has(what)) put(sentAway, count, what)
      }
    },
  }
}

const queries = counter('kith_dns_queries_total', 'Queries of the DNS that came.', 'transport')
const answers = counter(
  'kith_dns_answers_total',
  'Answers of the DNS server, by what was asked for and what came of it.',
  'type',
  'outcome',
)
const truncated = counter(
  'kith_dns_truncated_answers_total',
  'Answers of the DNS server that did not fit, and said so.',
)
const queriesDropped = counter(
  'kith_dns_dropped_total',
  'What came to the DNS server and was dropped: no query, or one too many.',
  'reason',
)
const askers = gauge('kith_dns_connections', 'Connections to the DNS server, now.')

export function dnsPart(source: Late<DnsSource>): Part {
  return {
    name: 'dns',
    families: [queries, answers, truncated, queriesDropped, askers],
    read(put) {
      const stats = running(source)
      put(queries, stats.udpQueries, 'udp')
      put(queries, stats.tcpQueries, 'tcp')
      for (const [type, outcomes] of Object.entries(stats.answers)) {
        for (const [outcome, count] of Object.entries(outcomes)) put(answers, count, type, outcome)
      }
      put(truncated, stats.truncated)
      put(queriesDropped, stats.malformed, 'malformed')
      put(queriesDropped, stats.overloaded, 'overloaded')
      put(askers, stats.connections)
    },
  }
}

const consulRequests = counter('kith_consul_requests_total', "Requests to Consul's API.")
const consulRefused = counter(
  'kith_consul_refused_total',
  "Requests to Consul's API answered with a status from 400 to 499.",
)
const consulFailures = counter(
  'kith_consul_failures_total',
  "Requests to Consul's API answered with a status from 500.",
)
const consulParked = gauge(
  'kith_consul_parked_queries',
  "Queries to Consul's API that wait for a change, now.",
)

export function consulPart(source: Late<ConsulSource>): Part {
  return {
    name: 'consul',
    families: [consulRequests, consulRefused, consulFailures, consulParked],
    read(put) {
      const stats = running(source)
      put(consulRequests, stats.requests)
      put(consulRefused, stats.refused)
      put(consulFailures, stats.failures)
      put(consulParked, stats.parked)
    },
  }
}

const runs = counter(
  'kith_handler_runs_total',
  'Runs of event handlers, by how they ended: well, failed, or out of time.',
  'outcome',
)
const eventsDropped = counter(
  'kith_handler_dropped_events_total',
  'Events that a handler was not run for: it was behind, or nobody waited for its answer any more.',
  'reason',
)
const eventsWaiting = gauge('kith_handler_waiting_events', 'Events that wait for a handler, now.')

export function handlersPart(source: Late<HandlersSource>): Part {
  return {
    name: 'handlers',
    families: [runs, eventsDropped, eventsWaiting],
    read(put) {
      const stats = running(source)
      put(runs, stats.succeeded, 'well')
      put(runs, stats.failed, 'failed')
      put(runs, stats.timedOut, 'timeout')
      put(eventsDropped, stats.dropped, 'behind')
      put(eventsDropped, stats.late, 'late')
      put(eventsWaiting, stats.waiting)
    },
  }
}
