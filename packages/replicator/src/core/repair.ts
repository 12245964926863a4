/**
 * Batches that are damaged in our log and whole in a member's (REP-38): fetched from one after the
 * other until one of them has what was there, which the log alone decides. One run at a time.
 */
import type { CorruptRun, OriginId, RepairOutcome } from '@kith/interface'
import { holds } from './holding.ts'
import type { Failure, RepairCall } from './messages.ts'
import { nextId } from './state.ts'
import type { Repair, Session, State, Turn } from './state.ts'

/** Runs remembered; the log tells the others again. */
const repairsMax = 1_024

function keyOf({ origin, from }: CorruptRun): string {
  return `${origin}:${from}`
}

/** The log found damage. */
export function onCorrupt({ state }: Turn, run: CorruptRun): void {
  const key = keyOf(run)
  const known = state.repairs.get(key)
  if (known?.run.to === run.to || state.repairs.size >= repairsMax) return
  state.repairs.set(key, { run, tried: new Set(), waitUntil: undefined, attempt: 0 })
}

/** Asks for one run, where one may be asked for and somebody has it. */
export function settleRepairs(turn: Turn): void {
  const { state, now, out } = turn
  if (state.repairing !== undefined) return
  for (const repair of state.repairs.values()) {
    if (repair.waitUntil !== undefined && now < repair.waitUntil) continue
    const { run } = repair
    const session = holderOf(state, repair)
    if (session === undefined) {
      if (repair.tried.size > 0) pause(turn, repair)
      continue
    }
    repair.tried.add(session.member)
    const { member, id } = session
    const deadline = now + state.tuning.pullTimeoutMs
    state.repairing = { id: nextId(state), key: keyOf(run), member, deadline }
    out.push({ kind: 'fetch', member, session: id, repair: state.repairing.id, run })
    return
  }
}

/** A connected member that says it holds all of the run, and was not asked yet. */
function holderOf(state: State, { run, tried }: Repair): Session | undefined {
  for (const session of state.sessions.values()) {
    if (session.phase !== 'connected' || tried.has(session.member)) continue
    if (holdsRun(session, run.origin, run)) return session
  }
  return undefined
}

function holdsRun(session: Session, origin: OriginId, { from, to }: CorruptRun): boolean {
  const theirs = session.theirs.get(origin)
  if (theirs === undefined || theirs.status === 'quarantined') return false
  return theirs.next >= to && holds(theirs, from) && holds(theirs, to - 1)
}

/** Everybody was asked: again after a while, growing and bounded. */
function pause(turn: Turn, repair: Repair): void {
  const { state, now, out } = turn
  const { backoffMinMs, backoffMaxMs } = state.tuning
  const delayMs = Math.min(backoffMaxMs, backoffMinMs * 2 ** Math.min(repair.attempt, 30))
  repair.attempt += 1
  repair.tried.clear()
  repair.waitUntil = now + delayMs
  const { origin, from, to } = repair.run
  const detail = { origin, from, to, retryInMs: delayMs }
  out.push({ kind: 'event', event: { kind: 'repairFailed', detail } })
}

export function onFetched(
  turn: Turn,
  input: RepairCall & { readonly batches: readonly Uint8Array[] },
): void {
  const { state, out } = turn
  const { repair, run, member, batches } = input
  if (state.repairing?.id !== repair) return
  if (batches.length === 0) {
    state.repairing = undefined
    return
  }
  // A log that flushes takes its time: only the fetch has a deadline.
  state.repairing = { ...state.repairing, deadline: Infinity }
  out.push({ kind: 'repair', repair, run, batches, member })
}

/** The session goes on: whatever is wrong with it, its pulls will tell. */
export function onFetchFailed({ state }: Turn, { repair }: RepairCall & Failure): void {
  if (state.repairing?.id === repair) state.repairing = undefined
}

/** `outcome` is undefined where the log could not write: `reason` says why. */
export function onRepaired(
  turn: Turn,
  repair: number,
  outcome: RepairOutcome | undefined,
  reason: string,
): void {
  const { state, out } = turn
  const under = state.repairing
  if (under?.id !== repair) return
  state.repairing = undefined
  const known = state.repairs.get(under.key)
  if (known === undefined) return
  const { origin, from, to } = known.run
  if (outcome === undefined) {
    out.push({
      kind: 'event',
      event: { kind: 'repairRefused', detail: { origin, from, to, reason } },
    })
    // No other member's bytes would be written where these were not.
    return pause(turn, known)
  }
  if (outcome === 'refused') return
  state.repairs.delete(under.key)
  if (outcome === 'healed') return
  state.counters.repairs += 1
  const detail = { origin, from, to, member: under.member }
  out.push({ kind: 'event', event: { kind: 'repaired', detail } })
}

/** A member that does not answer is left for the next one. */
export function repairDeadlinePassed({ state, now }: Turn): void {
  if (state.repairing !== undefined && now >= state.repairing.deadline) state.repairing = undefined
  for (const repair of state.repairs.values()) {
    if (repair.waitUntil !== undefined && now >= repair.waitUntil) repair.waitUntil = undefined
  }
}

export function repairDeadline(state: State): number | undefined {
  let earliest = state.repairing?.deadline ?? Infinity
  for (const { waitUntil } of state.repairs.values()) {
    if (waitUntil !== undefined && waitUntil < earliest) earliest = waitUntil
  }
  return earliest === Infinity ? undefined : earliest
}
