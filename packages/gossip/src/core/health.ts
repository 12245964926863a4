/**
 * How well this member itself runs. A process that stood still was deaf and dumb meanwhile: what it
 * missed lies unread in its sockets, and nothing that its timers would say now is evidence against
 * anybody. So the time goes back to everyone, and for a while this member doubts itself first.
 */
import type { GossipTimings } from '../options.ts'
import { applyAwareness, awarenessMax } from './awareness.ts'
import { postpone } from './deadlines.ts'
import { uses } from './detector.ts'
import { noteStall } from './findings.ts'
import { count, emitEvent } from './state.ts'
import type { State, Task } from './state.ts'

/** Probe intervals for which the longest standstill counts. */
const remembered = 10
/** Standstills that are kept. */
const stallsMax = 32

/** Less than this is the ordinary unrest of a process, and makes no verdict wrong. */
export function stallToleratedMs(timings: GossipTimings): number {
  return Math.min(timings.gossipIntervalMs, timings.probeTimeoutMs / 2)
}

/**
 * This member did not run from `since` until now. A part of that time may have been noticed, and
 * given back, before: by a deadline that came late.
 */
export function stoodStill(state: State, since: number): void {
  const { health, now, timings } = state
  const before = health.givenAt > since ? health.givenMs : 0
  const lostMs = now - since - before
  if (lostMs <= stallToleratedMs(timings) || !uses(state, 'own')) return
  health.givenAt = now
  health.givenMs = before + lostMs
  giveBack(state, lostMs)
  const { stalls } = health
  if (before > 0) stalls.pop()
  stalls.push({ at: now, lostMs: health.givenMs })
  if (stalls.length > stallsMax) stalls.shift()
  noteStall(state, health.givenMs)
  count(state, 'pauses')
  emitEvent(state, { kind: 'paused', lateMs: lostMs })
  if (health.givenMs <= timings.probeTimeoutMs) return
  health.pausedAt = now
  applyAwareness(state, 1)
}

/**
 * Everybody who has a time in which to answer us gets that much more of it; and those who would be
 * accused a moment more, in which to read what they said meanwhile.
 */
function giveBack(state: State, lostMs: number): void {
  for (const { task } of state.deadlines.heap) {
    const suspicion = task.kind === 'suspicion' ? task.entry.suspicion : undefined
    if (suspicion !== undefined) suspicion.startedAt += lostMs
  }
  const readMs = stallToleratedMs(state.timings)
  postpone(state.deadlines, (task) => {
    if (accuses(task)) return lostMs + readMs
    return task.kind === 'queryEnd' ? lostMs : 0
  })
}

function accuses(task: Task): boolean {
  return (
    task.kind === 'suspicion' ||
    task.kind === 'lastWord' ||
    task.kind === 'probeTimeout' ||
    task.kind === 'probeEnd' ||
    task.kind === 'helperTimeout'
  )
}

/** Whether this member stood still since then. */
export function stalledSince(state: State, since: number): boolean {
  return state.health.givenAt >= since
}

/** The longest standstill of late, in milliseconds. */
export function longestStallMs(state: State): number {
  const { health, now, timings } = state
  const oldest = now - remembered * timings.probeIntervalMs
  let longest = 0
  for (const { at, lostMs } of health.stalls) {
    if (at >= oldest && lostMs > longest) longest = lostMs
  }
  return longest
}

/**
 * Lifeguard's local health, 0 for a healthy member: what probes tell, and at least so much that a
 * probe has, beyond its own time, all the time for which we ourselves stood still of late. Good
 * probes between two standstills do not talk that away.
 */
export function ownAwareness(state: State): number {
  if (!uses(state, 'awareness')) return state.awareness
  const doubt = Math.ceil(longestStallMs(state) / state.timings.probeTimeoutMs)
  return Math.max(state.awareness, Math.min(awarenessMax(state), doubt))
}

/** The probe interval as scaled by how much we doubt ourselves. */
export function scaledProbeIntervalMs(state: State): number {
  return state.timings.probeIntervalMs * (ownAwareness(state) + 1)
}

/**
 * The time after which helpers are asked, scaled alike: a member that is slow itself must not turn
 * each of its probes into a dozen packets, which keep everybody else as slow.
 */
export function scaledProbeTimeoutMs(state: State): number {
  return state.timings.probeTimeoutMs * (ownAwareness(state) + 1)
}
