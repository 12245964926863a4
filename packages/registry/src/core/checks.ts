/**
 * When each check runs, what its results mean, and what becomes of an instance that stays
 * critical.
 */
import type { CheckResult, CheckStatus } from '@kith/interface'
import { cutText } from '../wire/bytes.ts'
import { outputBytesMax } from '../wire/limits.ts'
import { refresh, takeDown } from './own.ts'
import { jitter } from './state.ts'
import type { CheckEntry, InstancePlan, State } from './types.ts'

/** First runs spread over this long for each check there is, at most over its interval. */
const startPerCheckMs = 10
const startSpreadMinMs = 100
/** Later runs come between this share of the interval and all of it, so that checks drift apart. */
const intervalShareMin = 0.9

/**
 * Entries for the checks of `plan`. A check that was there before under the same id and kind keeps
 * its status, so that registering again does not take a healthy instance out of resolution.
 */
export function openChecks(state: State, plan: InstancePlan, now: number): Map<string, CheckEntry> {
  const entries = new Map<string, CheckEntry>()
  for (const check of plan.checks) {
    const before = state.checks.get(check.id)?.entry
    const kept = before?.plan.kind === check.kind ? before : undefined
    const status = kept?.status ?? check.initialStatus
    entries.set(check.id, {
      plan: check,
      status,
      output: kept?.output ?? '',
      successes: 0,
      failures: 0,
      run: undefined,
      aborted: false,
      startedAt: now,
      criticalSince: status === 'critical' ? (kept?.criticalSince ?? now) : undefined,
    })
  }
  closeChecks(state, plan.id)
  for (const [id, entry] of entries) {
    state.checks.set(id, { owner: plan.id, entry })
    const first = Math.min(
      entry.plan.intervalMs,
      Math.max(startSpreadMinMs, startPerCheckMs * state.checks.size),
    )
    const delay = entry.plan.passive ? entry.plan.intervalMs : state.random.float() * first
    state.deadlines.set(`check:${id}`, now + delay)
    armDeregistration(state, entry)
  }
  return entries
}

/** Ends the checks of an instance; runs under way are told to stop. */
export function closeChecks(state: State, instanceId: string): void {
  for (const id of state.own.live.get(instanceId)?.checks.keys() ?? []) {
    const run = state.checks.get(id)?.entry.run
    if (run !== undefined) state.outputs.push({ kind: 'abortRun', id, run })
    state.checks.delete(id)
    state.waiting.delete(id)
    for (const key of ['check', 'timeout', 'critical']) state.deadlines.clear(`${key}:${id}`)
  }
}

/** The time of a check has come. One run at a time, and not more than allowed at once (REG-11). */
export function checkDue(state: State, id: string, now: number): void {
  const entry = state.checks.get(id)?.entry
  if (entry === undefined || entry.run !== undefined) return
  if (state.runs.size >= state.settings.checksRunningMax) {
    state.waiting.add(id)
    return
  }
  state.runIds += 1
  state.runs.add(state.runIds)
  state.counters.checkRuns += 1
  entry.run = state.runIds
  entry.aborted = false
  entry.startedAt = now
  state.deadlines.set(`timeout:${id}`, now + entry.plan.timeoutMs)
  state.outputs.push({ kind: 'run', id, run: entry.run })
}

/** A run takes too long: that is its result, but the next one waits until it really ended. */
export function checkTimedOut(state: State, id: string, now: number): void {
  const entry = state.checks.get(id)?.entry
  if (entry === undefined || entry.run === undefined || entry.aborted) return
  entry.aborted = true
  state.counters.checkTimeouts += 1
  state.outputs.push({ kind: 'abortRun', id, run: entry.run })
  note(
    state,
    id,
    { status: 'critical', output: `no answer within ${entry.plan.timeoutMs} ms` },
    now,
  )
}

export function checked(
  state: State,
  id: string,
  run: number,
  result: CheckResult,
  now: number,
): void {
  if (!state.runs.delete(run)) return
  const entry = state.checks.get(id)?.entry
  if (entry !== undefined && entry.run === run) {
    entry.run = undefined
    state.deadlines.clear(`timeout:${id}`)
    if (!entry.aborted) note(state, id, result, now)
    const { passive, intervalMs } = entry.plan
    const next = entry.startedAt + jitter(state, intervalMs, intervalShareMin)
    if (!passive && state.checks.has(id)) state.deadlines.set(`check:${id}`, Math.max(now, next))
  }
  for (const waiting of state.waiting) {
    if (state.runs.size >= state.settings.checksRunningMax) break
    state.waiting.delete(waiting)
    checkDue(state, waiting, now)
  }
}

/**
 * The word from outside on a passive check; a run that was to explain its silence counts no more.
 */
export function setCheck(state: State, id: string, result: CheckResult, now: number): void {
  const entry = state.checks.get(id)?.entry
  if (entry === undefined || !entry.plan.passive) return
  state.waiting.delete(id)
  if (entry.run !== undefined && !entry.aborted) {
    entry.aborted = true
    state.outputs.push({ kind: 'abortRun', id, run: entry.run })
  }
  state.deadlines.set(`check:${id}`, now + entry.plan.intervalMs)
  entry.output = cutText(result.output, outputBytesMax)
  become(state, id, entry, result.status, now)
}

function note(state: State, id: string, result: CheckResult, now: number): void {
  const entry = state.checks.get(id)?.entry
  if (entry === undefined) return
  const { plan } = entry
  entry.output = cutText(result.output, outputBytesMax)
  if (result.status === 'critical') {
    entry.successes = 0
    entry.failures += 1
    if (entry.failures >= plan.failureThreshold || plan.passive)
      become(state, id, entry, 'critical', now)
    return
  }
  entry.failures = 0
  entry.successes += 1
  // A warning is not a failure: only the way out of critical needs several good runs.
  if (entry.status !== 'critical' || entry.successes >= plan.successThreshold) {
    become(state, id, entry, result.status, now)
  }
}

function become(
  state: State,
  id: string,
  entry: CheckEntry,
  status: CheckStatus,
  now: number,
): void {
  const previous = entry.status
  if (previous === status) return
  entry.status = status
  entry.criticalSince = status === 'critical' ? now : undefined
  armDeregistration(state, entry)
  state.outputs.push({ kind: 'checkChanged', id, status, previous, output: entry.output })
  const owner = state.checks.get(id)?.owner
  if (owner !== undefined) refresh(state, owner, now)
}

function armDeregistration(state: State, entry: CheckEntry): void {
  const { id, deregisterCriticalAfterMs } = entry.plan
  if (entry.criticalSince === undefined || deregisterCriticalAfterMs === undefined) {
    state.deadlines.clear(`critical:${id}`)
  } else {
    state.deadlines.set(`critical:${id}`, entry.criticalSince + deregisterCriticalAfterMs)
  }
}

/** A check was critical for as long as its instance allows. */
export function criticalTooLong(state: State, id: string, now: number): void {
  const owner = state.checks.get(id)?.owner
  if (owner !== undefined) deregister(state, owner, 'critical', now)
}

export function deregister(
  state: State,
  instanceId: string,
  reason: 'asked' | 'critical',
  now: number,
): void {
  if (!state.own.live.has(instanceId)) return
  closeChecks(state, instanceId)
  takeDown(state, instanceId, now)
  state.outputs.push({ kind: 'deregistered', id: instanceId, reason })
}
