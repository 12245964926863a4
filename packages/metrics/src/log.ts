/** What the log holds and what was written to it. */
import { counter, type Distribution, gauge, histogram, type Part } from './family.ts'
import type { LatencySource, LogSource } from './sources.ts'

const records = gauge('kith_log_records', 'Records held, of every origin.')
const bytes = gauge('kith_log_bytes', 'Bytes of the batches held.')
const origins = gauge(
  'kith_log_origins',
  'Origins that the log knows, without retired ones of which nothing is held.',
)
const floor = gauge('kith_log_floor_offset', 'Offset of the oldest record held.')
const next = gauge('kith_log_next_offset', 'Offset that the next record gets.')
const gate = gauge('kith_log_gate', '1 at the state of the gate for appends, 0 at others.', 'state')
const queued = gauge('kith_log_queued_bytes', 'Bytes that wait to be written.')
const held = gauge(
  'kith_log_retention_held',
  '1 where retention waits for copies or for damage to be mended.',
)
const transactions = counter('kith_log_transactions_total', 'Transactions committed to the store.')
const flushes = counter('kith_log_flushes_total', 'Flushes to disk.')
const failures = counter('kith_log_failures_total', 'Writes or flushes that failed.')
const batches = counter('kith_log_written_batches_total', 'Batches written, copies included.')
const written = counter('kith_log_written_records_total', 'Records written, copies included.')
const writtenBytes = counter('kith_log_written_bytes_total', 'Bytes of the batches written.')
const droppedRecords = counter('kith_log_dropped_records_total', 'Records that retention dropped.')
const droppedBytes = counter('kith_log_dropped_bytes_total', 'Bytes that retention dropped.')
const droppedBatches = counter('kith_log_dropped_batches_total', 'Batches that retention dropped.')
const forced = counter(
  'kith_log_forced_batches_total',
  'Of these, dropped without the copies that were wanted, for want of room.',
)

const corrupt = gauge('kith_log_corrupt_runs', 'Damaged places known and not repaired yet.')
const repaired = counter('kith_log_repaired_batches_total', 'Damaged batches made whole again.')
const scrubbed = counter('kith_log_scrubbed_bytes_total', 'Bytes that scrubs looked at.')
const scrubOffset = gauge('kith_log_scrub_offset', 'Offset the scrub under way reached, or 0.')
const scrubs = counter('kith_log_scrubs_total', 'Scrubs that went over everything held.')

const appendTimes = histogram(
  'kith_log_append_duration_seconds',
  'Time from an append to its answer, without a wait for other members.',
)
const flushTimes = histogram(
  'kith_log_flush_duration_seconds',
  'Time that the store took to write a group and flush it.',
)
const walBytes = gauge(
  'kith_log_wal_bytes',
  'Bytes of the write-ahead log in use; with segments, that of their index.',
)
const lagBytes = gauge(
  'kith_log_checkpoint_lag_bytes',
  'Bytes written that the file does not have yet; with segments, that their index does not.',
)
const checkpoints = counter(
  'kith_log_checkpoints_total',
  'Checkpoints, whether readers held them up or not; with segments, times the index followed.',
)
const lastCheckpoint = gauge(
  'kith_log_last_checkpoint_seconds',
  'Time that the last checkpoint took; absent before the first.',
)
const oldestReader = gauge(
  'kith_log_oldest_reader_seconds',
  'Time since the backup under way began, or since readers hold up every checkpoint; 0 where neither.',
)

/** Metrics by the name that the log has for them. */
const counted = [
  [queued, 'queuedBytes'],
  [held, 'retentionHeld'],
  [transactions, 'transactions'],
  [flushes, 'flushes'],
  [failures, 'failures'],
  [batches, 'batches'],
  [written, 'records'],
  [writtenBytes, 'bytes'],
  [droppedRecords, 'droppedRecords'],
  [droppedBytes, 'droppedBytes'],
  [droppedBatches, 'droppedBatches'],
  [forced, 'forcedBatches'],
  [corrupt, 'corruptRuns'],
  [repaired, 'repairedBatches'],
  [scrubbed, 'scrubbedBytes'],
  [scrubOffset, 'scrubOffset'],
  [scrubs, 'scrubPasses'],
  [walBytes, 'walBytes'],
  [lagBytes, 'checkpointLagBytes'],
  [checkpoints, 'checkpoints'],
] as const
/** Likewise, in milliseconds there. */
const timed = [
  [lastCheckpoint, 'lastCheckpointMs'],
  [oldestReader, 'oldestReaderMs'],
] as const
const gates = ['open', 'waiting', 'refused', 'damaged', 'poisoned', 'readOnly'] as const

export function logPart(source: LogSource): Part {
  return {
    name: 'log',
    families: [
      ...[records, bytes, origins, floor, next, gate, appendTimes, flushTimes],
      ...[...counted, ...timed].map(([family]) => family),
    ],
    read(put) {
      const status = source.status()
      put(records, status.records)
      put(bytes, status.bytes)
      put(origins, status.origins.length)
      put(floor, status.floor)
      put(next, status.next)
      for (const state of gates) put(gate, status.gate === state ? 1 : 0, state)
      for (const [family, name] of counted) put(family, status.metrics[name])
      for (const [family, name] of timed) put(family, seconds(status.metrics[name]))
      if (status.latency === undefined) return
      put(appendTimes, distribution(status.latency.append))
      put(flushTimes, distribution(status.latency.flush))
    },
  }
}

function seconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1_000
}

function distribution({ boundsMs, counts, sumMs }: LatencySource): Distribution {
  return { bounds: boundsMs.map((ms) => ms / 1_000), counts, sum: sumMs / 1_000 }
}
