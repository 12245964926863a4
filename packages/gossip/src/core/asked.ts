/** Queries that came to this member and wait for an answer of its user, or of its keyring. */
import type { QueryMessage } from '../wire/message.ts'
import { schedule } from './deadlines.ts'
import { count, takeId } from './state.ts'
import type { State } from './state.ts'

/** A query of others is remembered for this long at the most, whatever it says. */
const timeoutMsMax = 3_600_000

export interface Remembered {
  /** For the `respond` command. */
  readonly id: number
  readonly timeoutMs: number
}

/** Until its time is over. */
export function remember(state: State, message: QueryMessage): Remembered {
  const timeoutMs = Math.min(timeoutMsMax, Math.max(0, Number(message.timeoutNs / 1_000_000n)))
  const id = takeId(state)
  const timer = schedule(state.deadlines, state.now + timeoutMs, { kind: 'askedEnd', id })
  state.talk.asked.set(id, { message, timer })
  return { id, timeoutMs }
}

/** False where more queries wait for answers than may: this one is not taken up. */
export function roomForQuery(state: State): boolean {
  if (state.talk.asked.size < state.timings.queriesPendingMax) return true
  count(state, 'queriesPendingFull')
  return false
}
