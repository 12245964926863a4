/** Chains of both sides of a fork at boundaries of ours: what the core bisects with (REP-45). */
import { setImmediate as turnOfLoop } from 'node:timers/promises'
import type { Chain, OriginId, ReplicaLog, ReplicationSource } from '@kith/interface'
import type { BoundaryAnswer } from '../core/messages.ts'

interface BoundaryQuestion {
  readonly origin: OriginId
  readonly from: number
  readonly to: number
  readonly boundariesMax: number
  readonly withEnd: boolean
}

interface BoundaryFindings {
  readonly boundaries: readonly BoundaryAnswer[]
  readonly adjacent: boolean
}

/** Rejects where our log, or the other side, does not tell. */
export async function askBoundaries(
  log: ReplicaLog,
  source: ReplicationSource,
  question: BoundaryQuestion,
  signal: AbortSignal,
): Promise<BoundaryFindings> {
  const { origin, to, withEnd } = question
  const { chains: ours, adjacent } = await boundariesBetween(log, question, signal)
  if (withEnd) {
    const end = await log.chainAt(origin, to)
    if (end !== undefined) ours.set(to, end)
  }
  if (ours.size === 0) return { boundaries: [], adjacent }
  const asked = [...ours.keys()]
  const theirs = await source.chainAt(origin, asked, signal)
  if (theirs.length !== asked.length) {
    throw new Error(`${theirs.length} chains were answered to ${asked.length} sequences`)
  }
  const boundaries = [...ours].map(([sequence, chain], index) => ({
    ...{ sequence, ours: chain, theirs: theirs[index] ?? null },
  }))
  return { boundaries, adjacent }
}

/** Each read is of a whole batch, hence a turn of the event loop. */
async function boundariesBetween(
  log: ReplicaLog,
  { origin, from, to, boundariesMax }: BoundaryQuestion,
  signal: AbortSignal,
): Promise<{ readonly chains: Map<number, Chain>; readonly adjacent: boolean }> {
  const chains = new Map<number, Chain>()
  const first = await log.batchBounds?.(origin, from)
  const adjacent = first?.first === from && first.next === to
  if (adjacent) return { chains, adjacent }
  for (let at = 1; at <= boundariesMax; at += 1) {
    await turnOfLoop()
    signal.throwIfAborted()
    const target = from + Math.floor(((to - from) * at) / (boundariesMax + 1))
    const batch = await log.batchBounds?.(origin, target)
    if (batch === undefined) continue
    // Its beginning, or where that is what is known already, its end.
    if (batch.first > from && batch.first < to) chains.set(batch.first, batch.previousChain)
    else if (batch.next > from && batch.next < to) chains.set(batch.next, batch.chain)
  }
  return { chains, adjacent }
}
