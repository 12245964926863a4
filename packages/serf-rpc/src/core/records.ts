/** Records: what streams, monitors and queries are told, at the pace of whoever reads them. */
import type { SerfLogLevel, SerfLogLine } from '../words.ts'
import type { QueryRecord, StreamedRecord, StreamRecord } from '../wire/message.ts'
import { encodeRecord } from '../wire/record.ts'
import { matches } from './filter.ts'
import type { NewsEvent } from './input.ts'
import { toWireMember } from './members.ts'
import type { Outbox } from './outbox.ts'
import { put, take } from './outbox.ts'
import type { ConnectionState, Monitor } from './state.ts'
import { send } from './state.ts'

const severities: Readonly<Record<SerfLogLevel, number>> = {
  TRACE: 0,
  DEBUG: 1,
  INFO: 2,
  WARN: 3,
  ERR: 4,
}

export function parseLevel(text: string): SerfLogLevel | undefined {
  const level = text.toUpperCase()
  return Object.hasOwn(severities, level) ? (level as SerfLogLevel) : undefined
}

export function tellEvent(state: ConnectionState, event: NewsEvent, now: number): void {
  // Serf's own queries are answered inside the agents and shown to nobody.
  if (event.kind === 'query' && event.name.startsWith('_serf_')) return
  for (const [sequence, { filters, outbox }] of state.streams) {
    if (!matches(filters, event)) continue
    const record = streamRecord(state, event, now)
    tell(state, sequence, outbox, { command: 'stream', record })
  }
}

function streamRecord(state: ConnectionState, event: NewsEvent, now: number): StreamRecord {
  switch (event.kind) {
    case 'members':
      return { kind: 'members', event: event.event, members: event.members.map(toWireMember) }
    case 'user': {
      const { name, lamportTime, coalesce } = event
      return { kind: 'user', name, payload: orNil(event.payload), lamportTime, coalesce }
    }
    case 'query': {
      const { name, lamportTime, handle, timeoutMs } = event
      const id = openQuery(state, handle, now + timeoutMs)
      return { kind: 'query', id, name, payload: orNil(event.payload), lamportTime }
    }
  }
}

function openQuery(state: ConnectionState, handle: number, expiresAt: number): bigint {
  const { openQueries, options } = state
  const id = state.nextQueryId
  state.nextQueryId += 1n
  openQueries.set(id, { handle, expiresAt })
  for (const oldest of openQueries.keys()) {
    if (openQueries.size <= options.limits.queriesMax) break
    openQueries.delete(oldest)
  }
  return id
}

/** As Go writes a slice that has nothing. */
export function orNil(bytes: Uint8Array): Uint8Array | undefined {
  return bytes.length === 0 ? undefined : bytes
}

export function tellLine(state: ConnectionState, line: SerfLogLine): void {
  if (state.monitor !== undefined) tellMonitor(state, state.monitor, line)
}

export function tellMonitor(state: ConnectionState, monitor: Monitor, line: SerfLogLine): void {
  if (severities[line.level] < severities[monitor.level]) return
  tell(state, monitor.sequence, monitor.outbox, { command: 'monitor', line: line.text })
}

export function tellAnswer(state: ConnectionState, sequence: bigint, record: QueryRecord): void {
  const query = state.queries.get(sequence)
  if (query === undefined || query.done) return
  query.done = record.kind === 'done'
  tell(state, sequence, query.outbox, { command: 'query', record }, query.done)
  if (query.done && query.outbox.waiting.length === 0) state.queries.delete(sequence)
}

function tell(
  state: ConnectionState,
  sequence: bigint,
  outbox: Outbox,
  streamed: StreamedRecord,
  must = false,
): void {
  const { limits } = state.options
  const record = encodeRecord(sequence, streamed)
  if (outbox.waiting.length === 0 && state.unsentBytes < limits.unsentBytesMax) {
    send(state, record)
    return
  }
  if (put(outbox, record, limits, must)) return
  state.outputs.push({ kind: 'count', what: 'recordsDropped' })
  if (outbox.dropped > 1) return
  // Said once a stream: a line for each would feed the monitor that is too slow for them.
  const text = `a reader is too slow for its ${streamed.command}: records are dropped`
  state.outputs.push({ kind: 'warn', text })
}

/** Sends what waits, one record of each stream in turn, as long as the reader keeps up. */
export function flush(state: ConnectionState): void {
  const { unsentBytesMax } = state.options.limits
  const outboxes = [
    ...[...state.streams.values()].map(({ outbox }) => outbox),
    ...[...state.queries.values()].map(({ outbox }) => outbox),
    ...(state.monitor === undefined ? [] : [state.monitor.outbox]),
  ].filter(({ waiting }) => waiting.length > 0)
  for (let moved = outboxes.length > 0; moved;) {
    moved = false
    for (const outbox of outboxes) {
      if (state.unsentBytes >= unsentBytesMax) break
      const record = take(outbox)
      if (record === undefined) continue
      send(state, record)
      moved = true
    }
  }
  for (const [sequence, query] of state.queries) {
    if (query.done && query.outbox.waiting.length === 0) state.queries.delete(sequence)
  }
}
