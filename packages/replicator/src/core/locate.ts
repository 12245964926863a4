/**
 * Where two histories of one origin part (REP-45). Looked for once after a fork: a member of the
 * other history is asked for its chains at batch boundaries of ours, by bisection, until none is
 * left between the last at which both agree and the first at which they do not. It changes nothing
 * that was decided; whatever the other side answers, it ends.
 */
import type { OriginId } from '@kith/interface'
import { holds } from './holding.ts'
import type { BoundaryAnswer, ForkStanding, Input } from './messages.ts'
import { nextId } from './state.ts'
import type { MetFork, State, Turn } from './state.ts'

/** Forks remembered; of more than that the places are not looked for. */
const forksMax = 256
/**
 * Calls for one fork. Each leaves a seventeenth of what was between, and no more than one batch
 * beside it: twelve of them do for the largest sequence there can be.
 */
const roundsMax = 16
/** Boundaries between the two ends that are asked for in one call. */
const boundariesMax = 16
/** Milliseconds a call may take. */
const answerMsMax = 5_000
/** Milliseconds a member is waited for that is not connected, or another fork before this one. */
const patienceMs = 60_000

/** Two histories met: notes that the place is to be looked for, unless it was already. */
export function noteFork(
  { state, now }: Turn,
  origin: OriginId,
  sequence: number,
  member: string,
): void {
  const known = state.forks.get(origin)
  if (known === undefined ? state.forks.size >= forksMax : known.rounds > 0 || known.ended) return
  // Wherever they met below, ours is another one at its end.
  const to = known?.to ?? state.local.get(origin)?.next ?? 1
  if (to <= 1) return
  state.forks.set(origin, {
    ...{ origin, member, sequence, from: 1, to, exact: false },
    ...{ rounds: 0, waitUntil: now + patienceMs, ended: false, noted: false },
  })
}

export function forkStandings(state: State): readonly ForkStanding[] {
  return [...state.forks.values()].map(({ origin, member, sequence, from, to, exact, ended }) => ({
    ...{ origin, member, sequence, from, to, exact },
    searching: !ended,
  }))
}

/** Asks about one fork, where its member can be asked; one at a time. */
export function settleForks(turn: Turn): void {
  const { state, now, out } = turn
  for (const fork of state.forks.values()) {
    const { origin, member } = fork
    if (fork.ended) {
      if (!fork.noted) noteInLog(turn, fork)
      continue
    }
    // First of all the origin is stopped.
    if (state.locating !== undefined || state.quarantining.has(origin)) continue
    const session = state.sessions.get(member)
    if (session?.phase !== 'connected') continue
    const locate = nextId(state)
    const first = fork.rounds === 0
    fork.rounds += 1
    state.locating = { id: locate, origin, session: session.id, deadline: now + answerMsMax }
    out.push({
      ...{ kind: 'locate', member, session: session.id, locate, origin },
      ...{ from: fork.from, to: fork.to, boundariesMax, withEnd: first },
    })
  }
}

export function onLocated(turn: Turn, input: Extract<Input, { kind: 'located' }>): void {
  const fork = underWay(turn.state, input.locate)
  if (fork === undefined) return
  turn.state.locating = undefined
  const { from, to } = fork
  const parted = judge(turn.state, fork, input.boundaries)
  // Equal behind where it differs: no history is like that, and nothing it says is kept.
  if (parted === undefined) return end(turn, fork, false)
  fork.from = parted.from
  fork.to = parted.to
  const between = input.boundaries.some(({ sequence }) => sequence > from && sequence < to)
  if (!between) return end(turn, fork, input.adjacent)
  const moved = parted.from > from || parted.to < to
  if (!moved || fork.rounds >= roundsMax) end(turn, fork, false)
}

/** Of a session that ended another one may answer; of any other failure there is no second try. */
export function onLocateFailed(turn: Turn, locate: number): void {
  const { state } = turn
  const fork = underWay(state, locate)
  if (fork === undefined) return
  const session = state.sessions.get(fork.member)
  const lost = session?.phase !== 'connected' || session.id !== state.locating?.session
  state.locating = undefined
  if (!lost || fork.rounds >= roundsMax) end(turn, fork, false)
}

function underWay(state: State, locate: number): MetFork | undefined {
  const { locating } = state
  return locating?.id === locate ? state.forks.get(locating.origin) : undefined
}

function judge(
  state: State,
  fork: MetFork,
  boundaries: readonly BoundaryAnswer[],
): { readonly from: number; readonly to: number } | undefined {
  let { from, to } = fork
  for (const { sequence, ours, theirs } of boundaries) {
    if (theirs === ours) from = Math.max(from, sequence)
    else if (theirs !== null || isCutElsewhere(state, fork, sequence)) to = Math.min(to, sequence)
  }
  return from < to ? { from, to } : undefined
}

/** Who holds the records around, and no boundary there, holds other batches. */
function isCutElsewhere(state: State, { origin, member }: MetFork, sequence: number): boolean {
  const theirs = state.sessions.get(member)?.theirs.get(origin)
  return theirs !== undefined && (sequence >= theirs.next || holds(theirs, sequence))
}

function end(turn: Turn, fork: MetFork, exact: boolean): void {
  const { origin, member, from, to } = fork
  fork.ended = true
  fork.exact = exact
  const detail = { origin, member, from, to, exact }
  turn.out.push({ kind: 'event', event: { kind: 'forkLocated', detail } })
  noteInLog(turn, fork)
}

/** The row of a stopped origin says where, so that it is still known after a restart. */
function noteInLog({ state, out }: Turn, fork: MetFork): void {
  const { origin, member, sequence, from, to, exact } = fork
  if (state.local.get(origin)?.status !== 'quarantined') return
  fork.noted = true
  const met = `${member} holds another history at ${sequence}`
  const parted = exact
    ? `which parts from ours in the batch from ${from} to ${to - 1}`
    : `which parts from ours somewhere from ${from} to ${to - 1}`
  out.push({ kind: 'note', origin, why: `${met}, ${parted}` })
}

export function locateDeadlinePassed(turn: Turn): void {
  const { state, now, out } = turn
  const { locating } = state
  if (locating !== undefined && now >= locating.deadline) {
    const fork = state.forks.get(locating.origin)
    state.locating = undefined
    out.push({ kind: 'endLocate', locate: locating.id })
    if (fork !== undefined) end(turn, fork, false)
  }
  for (const fork of state.forks.values()) {
    if (isWaiting(state, fork) && now >= fork.waitUntil) end(turn, fork, false)
  }
}

export function locateDeadline(state: State): number | undefined {
  let earliest = state.locating?.deadline ?? Infinity
  for (const fork of state.forks.values()) {
    if (isWaiting(state, fork)) earliest = Math.min(earliest, fork.waitUntil)
  }
  return earliest === Infinity ? undefined : earliest
}

function isWaiting({ locating }: State, { origin, ended }: MetFork): boolean {
  return !ended && locating?.origin !== origin
}
