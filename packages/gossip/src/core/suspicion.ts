/** How long a suspect has to answer: Lifeguard's timer, shortened by every new accuser. */
import { cancel, schedule } from './deadlines.ts'
import type { Timer } from './deadlines.ts'
import { uses } from './detector.ts'
import type { KeptAccusation } from './reports.ts'
import type { Entry, State, Suspicion, Task } from './state.ts'

/** The least time for a cluster of `members`, memberlist's integer arithmetic included. */
export function suspicionMinMs(factor: number, members: number, probeIntervalMs: number): number {
  const scale = Math.max(1, Math.log10(Math.max(1, members)))
  return (factor * Math.floor(scale * 1000) * probeIntervalMs) / 1000
}

/** Confirmations expected; none where the cluster is too small to give them. */
export function confirmationsNeeded(factor: number, members: number): number {
  const wanted = factor - 2
  return members - 2 < wanted || wanted < 1 ? 0 : wanted
}

/** The whole time after `confirmations` of `needed`. */
export function suspicionMs(
  minMs: number,
  maxMs: number,
  confirmations: number,
  needed: number,
): number {
  if (needed < 1) return minMs
  const share = Math.log(confirmations + 1) / Math.log(needed + 1)
  return Math.max(minMs, Math.floor(maxMs - (maxMs - minMs) * share))
}

export function startSuspicion(state: State, entry: Entry, first: KeptAccusation): void {
  const { suspicionFactor, suspicionMaxFactor, probeIntervalMs } = state.timings
  const minMs = suspicionMinMs(suspicionFactor, state.ring.length, probeIntervalMs)
  const maxMs = suspicionMaxFactor * minMs
  const confirmable = uses(state, 'suspicion')
  const needed = confirmable ? confirmationsNeeded(suspicionFactor, state.ring.length) : 0
  const lasts = needed < 1 ? minMs : maxMs
  entry.suspicion = {
    startedAt: state.now,
    minMs,
    maxMs,
    needed,
    accusers: new Set([first.from]),
    kept: [first],
    confirmations: 0,
    timers: setTimers(state, entry, state.now + lasts),
  }
}

/**
 * The end, and shortly before it the question that gives the suspect the last word. A confirmation
 * may end the time at once; then it ends half a round of gossip later, so that an answer can come.
 */
function setTimers(state: State, entry: Entry, endsAt: number): readonly Timer<Task>[] {
  const { probeTimeoutMs, gossipIntervalMs } = state.timings
  if (!uses(state, 'own')) return [schedule(state.deadlines, endsAt, { kind: 'suspicion', entry })]
  const asksAt = Math.max(state.now, endsAt - probeTimeoutMs)
  const at = Math.max(endsAt, state.now + gossipIntervalMs / 2)
  return [
    schedule(state.deadlines, asksAt, { kind: 'lastWord', entry }),
    schedule(state.deadlines, at, { kind: 'suspicion', entry }),
  ]
}

/** True where `from` said something new; the timer then runs shorter, maybe out. */
export function confirmSuspicion(state: State, entry: Entry, from: string): boolean {
  const suspicion = entry.suspicion
  if (suspicion === undefined) return false
  if (suspicion.confirmations >= suspicion.needed || suspicion.accusers.has(from)) return false
  suspicion.accusers.add(from)
  suspicion.confirmations += 1
  const { minMs, maxMs, confirmations, needed, startedAt } = suspicion
  const at = Math.max(state.now, startedAt + suspicionMs(minMs, maxMs, confirmations, needed))
  cancelTimers(state, suspicion)
  suspicion.timers = setTimers(state, entry, at)
  return true
}

export function cancelSuspicion(state: State, entry: Entry): void {
  if (entry.suspicion !== undefined) cancelTimers(state, entry.suspicion)
  entry.suspicion = undefined
}

function cancelTimers(state: State, suspicion: Suspicion): void {
  for (const timer of suspicion.timers) cancel(state.deadlines, timer)
}
