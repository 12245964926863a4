/** How far this member is behind the others, and what it copied. */
import { counter, gauge, type Part, type Put, tally } from './family.ts'
import type { LogSource, ReplicatorSource } from './sources.ts'

/**
 * Members with metrics of their own, the first by name. Who is beyond that is counted in
 * `kith_metrics_members_left_out`, and is part of every metric without that label.
 */
export const membersMax = 256

/** Pairs of an origin and a member with metrics of their own, those first that are behind. */
export const lagPairsMax = 1_024

const lag = gauge(
  'kith_replicator_lag_records',
  'Records of that member that somebody has and this one has not; absent where nobody knows.',
  'member',
)
const lagMax = gauge(
  'kith_replicator_lag_records_max',
  'The most records that this member is behind in one origin, of all that are known.',
)
const lagUnknown = gauge(
  'kith_replicator_lag_unknown_origins',
  'Origins of which nobody who would know was heard lately.',
)
const pairRecords = gauge(
  'kith_replicator_origin_lag_records',
  'Records of that origin that `member` holds and this one has not.',
  'origin',
  'member',
)
const pairBytes = gauge(
  'kith_replicator_origin_lag_estimated_bytes',
  'Bytes of these, by the mean size of what came of that origin since the start; absent where nothing came.',
  'origin',
  'member',
)
const pairSeconds = gauge(
  'kith_replicator_origin_lag_seconds',
  'Time for which something that `member` told of has been missing, at least; 0 where nothing is.',
  'origin',
  'member',
)
const pairsLeftOut = gauge(
  'kith_metrics_origin_lags_left_out',
  `Pairs of an origin and a member beyond ${lagPairsMax}, which have no metrics of their own.`,
)
const heard = gauge(
  'kith_replicator_heard_ago_seconds',
  'Time since that member answered, or asked, for the last time.',
  'member',
)
const roundTrip = gauge(
  'kith_replicator_round_trip_seconds',
  'Smoothed time of a call to that member.',
  'member',
)
const leftOut = gauge(
  'kith_metrics_members_left_out',
  `Members beyond ${membersMax}, which have no metrics of their own.`,
)
const sessions = gauge(
  'kith_replicator_members',
  'Members from which records are copied, by how the connection stands.',
  'phase',
)
const caughtUp = gauge('kith_replicator_caught_up', '1 where nothing known is missing here.')
const parked = gauge('kith_replicator_parked', 'Pulls of others that wait for a record.')
const buffered = gauge('kith_replicator_buffered_bytes', 'Bytes received that wait to be applied.')
const batches = counter('kith_replicator_applied_batches_total', 'Batches of others applied.')
const records = counter('kith_replicator_applied_records_total', 'Records of others applied.')
const bytes = counter('kith_replicator_applied_bytes_total', 'Bytes of these batches.')
const rejected = counter(
  'kith_replicator_rejected_batches_total',
  'Batches that came and were not applied, by why.',
  'reason',
)
const trouble = counter(
  'kith_replicator_occurrences_total',
  'Connections dialled and refused, sources chosen anew, gaps, forks, origins rotated.',
  'kind',
)

const phases = ['unreachable', 'dialling', 'connected', 'backoff', 'refused'] as const
const rejections = ['duplicates', 'ahead', 'corrupt', 'unwanted'] as const
const occurrences = ['dials', 'refusals', 'repicks', 'gaps', 'forks', 'rotations'] as const

export function replicatorPart(source: ReplicatorSource, log: LogSource): Part {
  return {
    name: 'replicator',
    families: [
      ...[pairRecords, pairBytes, pairSeconds, pairsLeftOut],
      ...[lag, lagMax, lagUnknown, heard, roundTrip, leftOut, sessions, caughtUp, parked],
      ...[buffered, batches, records, bytes, rejected, trouble],
    ],
    read(put) {
      const { counters, members, ...status } = source.status()
      const byPhase = tally(
        phases,
        members.map(({ phase }) => phase),
      )
      for (const [phase, count] of byPhase) put(sessions, count, phase)
      put(caughtUp, status.caughtUp ? 1 : 0)
      put(parked, status.parked)
      put(
        buffered,
        members.reduce((sum, { bufferedBytes }) => sum + bufferedBytes, 0),
      )
      put(batches, counters.applied)
      put(records, counters.records)
      put(bytes, counters.bytes)
      for (const reason of rejections) put(rejected, counters[reason], reason)
      for (const kind of occurrences) put(trouble, counters[kind], kind)
      readPairs(source, put)
      const behind = readLag(source, log, put)
      const names = [...new Set([...behind.keys(), ...members.map(({ member }) => member)])]
      const shown = new Set(names.toSorted().slice(0, membersMax))
      put(leftOut, names.length - shown.size)
      for (const [member, count] of behind) if (shown.has(member)) put(lag, count, member)
      for (const { member, heardAgoMs, roundTripMs } of members) {
        if (!shown.has(member) || heardAgoMs === undefined) continue
        put(heard, heardAgoMs / 1000, member)
        put(roundTrip, roundTripMs / 1000, member)
      }
    },
  }
}

/** What is unknown has no value: of whom nothing was heard lately, or that is quarantined. */
function readPairs(source: ReplicatorSource, put: Put): void {
  const { pairs, leftOut: count } = source.lags(lagPairsMax)
  put(pairsLeftOut, count)
  for (const { origin, member, records, bytesEstimate, forMs } of pairs) {
    put(pairRecords, records, origin, member)
    put(pairBytes, bytesEstimate ?? Number.NaN, origin, member)
    put(pairSeconds, forMs / 1000, origin, member)
  }
}

/** Records behind by who wrote them, without those of whom one origin is not known. */
function readLag(source: ReplicatorSource, log: LogSource, put: Put): Map<string, number> {
  const writers = new Map(log.status().origins.map(({ origin, member }) => [origin, member]))
  const behind = new Map<string, number>()
  let most = 0
  let unknown = 0
  let known = true
  for (const [origin, count] of source.lag()) {
    const member = writers.get(origin)
    if (count === 'unknown') {
      unknown += 1
      known = false
      if (member !== undefined) behind.set(member, Number.NaN)
      continue
    }
    most = Math.max(most, count)
    // NaN stays NaN: a sum of which a part is not known is not known, and is left out.
    if (member !== undefined) behind.set(member, (behind.get(member) ?? 0) + count)
  }
  put(lagMax, known || most > 0 ? most : Number.NaN)
  put(lagUnknown, unknown)
  return behind
}
