/**
 * Another history in front of a loss (REP-46). Behind a recorded hole a log stands at a chain that
 * it was told and did not compute: that it is ours as well says nothing of what lies before. So
 * whoever holds the records around the beginning of a member's hole asks for the chain there.
 */
import type { OriginId } from '@kith/interface'
import { holds } from './holding.ts'
import type { Input } from './messages.ts'
import { nextId } from './state.ts'
import type { Session, State, Turn } from './state.ts'

/** Holes that are asked about in one call. */
const holesMax = 64

/** Something changed of an origin, here or at a member: its holes are looked at again. */
export function noteHoles({ state }: Turn, origin: OriginId): void {
  for (const session of state.sessions.values()) {
    const holes = session.theirs.get(origin)?.holes.length ?? 0
    if (holes > 0 && session.phase === 'connected') session.holesDue.add(origin)
  }
}

/** One call at a time to a member, beside its pulls. */
export function settleHoles(turn: Turn): void {
  const { state, out } = turn
  for (const session of state.sessions.values()) {
    if (session.phase !== 'connected' || session.asking !== undefined) continue
    for (const origin of session.holesDue) {
      const sequences = unasked(state, session, origin)
      if (sequences.length < holesMax) session.holesDue.delete(origin)
      if (sequences.length === 0) continue
      const ask = nextId(state)
      session.asking = ask
      const asked = session.holesAsked.get(origin) ?? new Set()
      for (const sequence of sequences) asked.add(sequence)
      session.holesAsked.set(origin, asked)
      const { member, id } = session
      out.push({ kind: 'askChains', member, session: id, ask, origin, sequences })
      break
    }
  }
}

/** Where holes of the member begin, and we know the chain or hold a batch. */
function unasked(state: State, session: Session, origin: OriginId): readonly number[] {
  const ours = state.local.get(origin)
  const theirs = session.theirs.get(origin)
  if (ours === undefined || ours.status === 'quarantined') return []
  if (theirs === undefined || theirs.status === 'quarantined') return []
  const asked = session.holesAsked.get(origin)
  return theirs.holes
    .map(({ from }) => from)
    .filter((from) => asked?.has(from) !== true && (holds(ours, from - 1) || holds(ours, from)))
    .slice(0, holesMax)
}

/** Empty where the call failed; null where the member does not know the chain any more. */
export function onChainsAsked(
  turn: Turn,
  session: Session,
  input: Extract<Input, { kind: 'chainsAsked' }>,
): void {
  const { state, out } = turn
  const { ask, origin, sequences, chains } = input
  if (session.asking !== ask) return
  session.asking = undefined
  const own = state.local.get(origin)?.own === true
  for (const [index, sequence] of sequences.entries()) {
    const chain = chains[index] ?? null
    if (chain === null) continue
    const compare = nextId(state)
    state.comparisons.set(compare, { origin, sequence, member: session.member, own })
    out.push({ kind: 'compare', compare, origin, sequence, chain })
  }
}
