/**
 * From received to durable: one transaction at a time, as much as has arrived. The log decides
 * about
 * every batch; what it did not take is asked for again from where the log stands (REP-2, REP-5).
 */
import type { ApplyOutcome, ApplyReport, OriginId } from '@kith/interface'
import { onForked } from './fork.ts'
import { noteFork } from './locate.ts'
import { blame } from './pull.ts'
import { localNext, nextId } from './state.ts'
import type { QueuedBatch, Session, State, Turn } from './state.ts'

export function settleApply(turn: Turn): void {
  const { state, now, out } = turn
  if (state.applying !== undefined || state.queue.length === 0) return
  if (state.pausedUntil !== undefined && now < state.pausedUntil) return
  const items = takeQueue(state)
  const apply = nextId(state)
  state.applying = { id: apply, items }
  const members = new Map<OriginId, string>()
  for (const item of items) {
    const label = state.sessions.get(item.member)?.theirs.get(item.origin)?.member
    if (label !== undefined) members.set(item.origin, label)
  }
  out.push({ kind: 'apply', apply, batches: items.map((item) => item.bytes), members })
}

function takeQueue(state: State): readonly QueuedBatch[] {
  let bytes = 0
  let count = 0
  for (const item of state.queue) {
    if (count > 0 && bytes + item.bytes.length > state.tuning.applyBytesMax) break
    bytes += item.bytes.length
    count += 1
  }
  return state.queue.splice(0, count)
}

export function onApplied(
  turn: Turn,
  id: number,
  report: ApplyReport | undefined,
  reason: string,
): void {
  const { state } = turn
  const applying = state.applying
  if (applying?.id !== id) return
  state.applying = undefined
  state.pausedUntil = undefined
  // Credit came back, acks moved on: anybody may be asked again.
  for (const session of state.sessions.values()) session.due = true
  for (const item of applying.items) {
    state.dirty.add(item.origin)
    release(state, item)
  }
  if (report === undefined) return applyFailed(turn, applying.items, reason)
  state.applyFailures = 0
  state.counters.records += report.records
  state.counters.bytes += report.bytes
  state.counters.duplicateBytes += report.duplicateBytes
  const rewound = new Set<OriginId>()
  for (const [index, item] of applying.items.entries()) {
    const outcome = report.outcomes[index] ?? 'ahead'
    const taken = outcome === 'applied' || outcome === 'duplicate'
    // A log that lost it again, for want of room, stands where it stood.
    if (!taken || item.next > localNext(state, item.origin)) rewound.add(item.origin)
    takeOutcome(turn, item, outcome)
  }
  for (const origin of rewound) rewind(state, origin)
  forgetReached(state)
}

function takeOutcome(turn: Turn, item: QueuedBatch, outcome: ApplyOutcome): void {
  const { state } = turn
  const { counters } = state
  const session = sessionOf(state, item)
  switch (outcome) {
    case 'applied':
      counters.applied += 1
      noteSize(state, item)
      if (session === undefined) return
      session.attempt = 0
      session.avoid.delete(item.origin)
      return
    case 'duplicate':
      counters.duplicates += 1
      if (session !== undefined) session.counters.duplicateBytes += item.bytes.length
      return
    case 'ahead':
      counters.ahead += 1
      return
    case 'corrupt':
      counters.corrupt += 1
      if (session !== undefined) blame(turn, session, item.origin)
      return
    case 'fork': {
      // The log has quarantined it already; asking it again only brings the event and the row.
      const next = state.local.get(item.origin)?.next ?? 1
      if (state.local.get(item.origin)?.status !== 'quarantined') {
        onForked(turn, item.origin, next, item.member)
        return
      }
      counters.forks += 1
      const { origin, member } = item
      noteFork(turn, origin, next, member)
      const why = `${member} holds another history at ${next}`
      turn.out.push(
        { kind: 'event', event: { kind: 'fork', detail: { origin, sequence: next, member } } },
        { kind: 'event', event: { kind: 'quarantine', detail: { origin, why } } },
      )
      return
    }
    case 'unsupported':
      waitFor(turn, item)
      return
    case 'quarantined':
  }
}

function noteSize({ sizes }: State, { origin, first, next, bytes }: QueuedBatch): void {
  const size = sizes.get(origin) ?? { records: 0, bytes: 0 }
  size.records += next - first
  size.bytes += bytes.length
  sizes.set(origin, size)
}

/** Whoever wrote it runs a newer version; asking again at once would bring the same bytes. */
function waitFor(turn: Turn, item: QueuedBatch): void {
  const { state, now, out } = turn
  const { origin, member } = item
  if (state.waiting.has(origin)) return
  const retryInMs = state.tuning.refusedRetryMs
  state.waiting.set(origin, now + retryInMs)
  out.push({
    kind: 'event',
    event: { kind: 'unsupported', detail: { origin, member, retryInMs } },
  })
}

/** Credit comes back to the member, whichever connection the batch came over. */
function release(state: State, { member, bytes }: QueuedBatch): void {
  const session = state.sessions.get(member)
  if (session !== undefined) session.bufferedBytes -= bytes.length
}

function sessionOf(state: State, item: QueuedBatch): Session | undefined {
  const session = state.sessions.get(item.member)
  return session?.id === item.session ? session : undefined
}

/** What follows a batch that was not taken cannot be taken either: ask again from the log's end. */
function rewind(state: State, origin: OriginId): void {
  for (const session of state.sessions.values()) session.reached.delete(origin)
}

function forgetReached(state: State): void {
  for (const session of state.sessions.values()) {
    for (const [origin, reached] of session.reached) {
      if (reached <= (state.local.get(origin)?.next ?? 1)) session.reached.delete(origin)
    }
  }
}

function applyFailed(turn: Turn, items: readonly QueuedBatch[], reason: string): void {
  const { state, now, out } = turn
  // Everything that waits lies behind what failed; it is pulled again rather than kept in memory.
  for (const item of [...items, ...state.queue]) rewind(state, item.origin)
  for (const item of state.queue) {
    release(state, item)
    state.dirty.add(item.origin)
  }
  state.queue = []
  const { backoffMinMs, backoffMaxMs } = state.tuning
  const delayMs = Math.min(backoffMaxMs, backoffMinMs * 2 ** Math.min(state.applyFailures, 30))
  state.applyFailures += 1
  state.pausedUntil = now + delayMs
  out.push({
    kind: 'event',
    event: { kind: 'applyFailed', detail: { reason, retryInMs: delayMs } },
  })
}
