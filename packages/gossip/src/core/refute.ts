/** Contradicting what others say of us. Only the owner of an incarnation ever raises it. */
import { applyAwareness } from './awareness.ts'
import { announceSelf } from './announce.ts'
import { schedule } from './deadlines.ts'
import { uses } from './detector.ts'
import { count, emitEvent } from './state.ts'
import type { Entry, State } from './state.ts'
import { memberRefreshed } from './view.ts'

/**
 * From here on, near the end of the 32-bit counter, a stranger's word is not enough: one forged
 * packet could otherwise push a member to where it has nothing left to refute with, and Go's
 * counter wraps to 0.
 */
export const incarnationEvidenceMax: number = 2 ** 32 - 1 - 2 ** 20
/** How far beyond it a member may refute by itself, and beyond that in one step. */
export const incarnationStepMax: number = 2 ** 10

/** A suspicion or death at an incarnation that its subject cannot have reached by itself. */
export function absurdEvidence(stored: number, incarnation: number): boolean {
  return incarnation >= incarnationEvidenceMax && incarnation > stored
}

/** An alive further up than believable evidence could have pushed its subject. */
export function absurdAlive(stored: number, incarnation: number): boolean {
  return incarnation > Math.max(incarnationEvidenceMax, stored) + incarnationStepMax
}

/**
 * Takes an incarnation above the accused one and tells everyone; costs a step of awareness. `from`
 * says who accused us, where the message did. Twice within half a probe interval is once: each
 * refutation is news that everybody passes on, and no suspicion ends so soon. Whoever suspects us
 * at an incarnation knew of it a whole suspicion ago, and so we took it longer ago than that.
 */
export function refute(state: State, entry: Entry, accused: number, from?: string): void {
  const at = state.refutedAt + state.timings.probeIntervalMs / 2
  if (state.now >= at) return refuteNow(state, entry, accused, from)
  if (state.refuteNext === undefined) schedule(state.deadlines, at, { kind: 'refute' })
  const before = state.refuteNext?.accused ?? 0
  if (accused >= before) state.refuteNext = { accused, from }
}

/** The time for a refutation that was put off, if there is still something to refute. */
export function refuteLate(state: State): void {
  const next = state.refuteNext
  state.refuteNext = undefined
  const entry = state.entries.get(state.name)
  if (next === undefined || entry?.state !== 'alive' || state.phase !== 'active') return
  if (next.accused >= state.incarnation) refuteNow(state, entry, next.accused, next.from)
}

function refuteNow(state: State, entry: Entry, accused: number, from: string | undefined): void {
  state.refutedAt = state.now
  const next = Math.max(state.incarnation + 1, accused + 1)
  state.incarnation = Math.min(next, 2 ** 32 - 1)
  entry.incarnation = state.incarnation
  applyAwareness(state, 1)
  memberRefreshed(state, entry)
  announceSelf(state, entry)
  const about = { kind: 'refute', incarnation: entry.incarnation, accused } as const
  emitEvent(state, from === undefined ? about : { ...about, from })
}

/**
 * An accusation of us at an incarnation that we left behind. To us it says nothing; but its sender
 * has not heard of the newer one, everyone who has ignores its suspicion, and so nobody would ever
 * tell it before it declared us dead. memberlist says nothing here; we say again what we said.
 */
export function answerStale(state: State, entry: Entry): void {
  if (entry.name !== state.name || entry.state !== 'alive' || state.phase !== 'active') return
  if (state.broadcasts.byAbout.has(state.name) || !uses(state, 'own')) return
  if (state.now - state.answeredStaleAt < state.timings.probeIntervalMs) return
  state.answeredStaleAt = state.now
  count(state, 'accusationsStale')
  announceSelf(state, entry)
}
