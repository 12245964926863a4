/** What a source answers, as a function of what its log holds. The runtime only reads and waits. */
import { isForgotten } from '@kith/interface'
import type {
  BatchRun,
  Chain,
  OriginId,
  OriginState,
  PullFork,
  PullGap,
  PullWant,
} from '@kith/interface'

export type WantVerdict =
  /** Something may be there: read it. */
  | { readonly kind: 'read' }
  /** Nothing for the asker now. */
  | { readonly kind: 'wait' }
  | { readonly kind: 'fork'; readonly fork: PullFork }

/** Decides from the vector alone, so that a parked pull of many origins costs no reads. */
export function judgeWant(ours: OriginState | undefined, want: PullWant): WantVerdict {
  if (ours === undefined || ours.status === 'quarantined' || want.next > ours.next) {
    return { kind: 'wait' }
  }
  if (want.next < ours.next) return { kind: 'read' }
  if (want.chain === null || want.chain === ours.chain) return { kind: 'wait' }
  return forked(want.origin, ours.next, ours.chain)
}

export type RunVerdict =
  | { readonly kind: 'batches'; readonly batches: readonly Uint8Array[]; readonly next: number }
  | { readonly kind: 'wait' }
  | { readonly kind: 'gap'; readonly gap: PullGap }
  | { readonly kind: 'fork'; readonly fork: PullFork }

/**
 * Standing inside a held batch proves another history: batches are immutable (REP-12). So does
 * another chain than `ours` where what we hold ends and a loss of ours begins: a gap would lead
 * past the place where the two part.
 */
export function judgeRun(run: BatchRun, want: PullWant, ours?: Chain): RunVerdict {
  switch (run.kind) {
    case 'batches':
      if (want.chain !== null && want.chain !== run.previousChain) {
        return forked(want.origin, want.next, run.previousChain)
      }
      return { kind: 'batches', batches: run.batches, next: run.next }
    case 'gap': {
      if (ours !== undefined && want.chain !== null && want.chain !== ours) {
        return forked(want.origin, want.next, ours)
      }
      const { resume, chainBefore } = run
      const gap = { origin: want.origin, asked: want.next, resume, chainBefore }
      return { kind: 'gap', gap }
    }
    case 'inside':
      // Asking ahead of what was applied is guessing; only a shown chain is a claim.
      return want.chain === null && want.next > 1
        ? { kind: 'wait' }
        : forked(want.origin, run.first, run.chain)
    case 'end':
    case 'unknown':
    case 'quarantined':
      return { kind: 'wait' }
  }
}

function forked(origin: OriginId, sequence: number, chain: Chain): RunVerdict & WantVerdict {
  return { kind: 'fork', fork: { origin, sequence, chain } }
}

/** Which states changed since a version, so that an answer carries only news. */
export interface VectorVersions {
  /** The version after taking in the log's present vector. */
  update(states: readonly OriginState[]): number
  /** Everything that is not forgotten, where `version` is none of ours. */
  since(version: number): readonly OriginState[]
  /** Whether an origin was first there after `version`, or `version` is none of ours. */
  newSince(version: number): boolean
  /** Whether the origin was in any vector so far. */
  has(origin: OriginId): boolean
}

/**
 * `base` differs between two lives of a source, so that versions of one mean nothing to the next.
 */
export function createVectorVersions(base: number): VectorVersions {
  const known = new Map<OriginId, { readonly state: OriginState; readonly version: number }>()
  let last: readonly OriginState[] | undefined
  let version = base
  let newest = base
  const isForeign = (asked: number): boolean => asked < base || asked > version
  return {
    update(states) {
      if (states === last) return version
      last = states
      const next = version + 1
      for (const state of states) {
        const before = known.get(state.origin)?.state
        if (before !== undefined && sameState(before, state)) continue
        known.set(state.origin, { state, version: next })
        version = next
        if (before === undefined) newest = next
      }
      return version
    },
    newSince: (asked) => isForeign(asked) || newest > asked,
    has: (origin) => known.has(origin),
    since(asked) {
      const foreign = isForeign(asked)
      const changed: OriginState[] = []
      for (const { state, version: at } of known.values()) {
        if (foreign ? !isForgotten(state) : at > asked) changed.push(state)
      }
      return changed
    },
  }
}

function sameState(a: OriginState, b: OriginState): boolean {
  return (
    a === b ||
    (a.next === b.next &&
      a.floor === b.floor &&
      a.status === b.status &&
      a.own === b.own &&
      a.chain === b.chain &&
      a.holes.length === b.holes.length)
  )
}
