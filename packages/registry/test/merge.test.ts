/**
 * Merging: whatever order and repetition, the owner's last word, and nothing back from the dead.
 */
import { createRandom, type Random } from '@kith/interface'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  applyDelta,
  applySnapshot,
  beginEpoch,
  createReplica,
  forget,
  isComplete,
  liveIds,
  type Replica,
  replicaHash,
  wholeSnapshot,
} from '../src/core/replica.ts'
import type { Delta, Entry, Snapshot } from '../src/wire/message.ts'
import { drawInstance } from './support/arbitraries.ts'

const numRuns = process.env['KITH_TIER'] === '2' ? 3_000 : 100
const limits = { tombstonesMax: 2, bytesLeft: 1_000_000 }
type Statement = Delta | Snapshot

/** An owner that changes one to three of six instances with each version, and what it said. */
function history(
  random: Random,
  versions: number,
): { statements: Statement[]; owner: Replica; gone: Map<string, number> } {
  const owner = createReplica('o', 1)
  const statements: Statement[] = []
  const gone = new Map<string, number>()
  for (let version = 1; version <= versions; version += 1) {
    const ids = new Set(Array.from({ length: 1 + random.below(3) }, () => `i${random.below(6)}`))
    const entries = [...ids].map((id): Entry => {
      if (owner.entries.get(id)?.instance !== undefined && random.below(2) === 0) {
        gone.set(id, version)
        return { kind: 'remove', id }
      }
      gone.delete(id)
      return { kind: 'put', instance: drawInstance(random, 'o', id, version) }
    })
    const head = {
      kind: 'delta',
      member: 'o',
      epoch: 1,
      version,
      draining: version % 7 === 0,
    } as const
    statements.push(
      ...entries.map((entry, part): Delta => ({
        ...head,
        part,
        parts: entries.length,
        entries: [entry],
      })),
    )
    applyDelta(
      owner,
      { ...head, part: 0, parts: 1, entries },
      { tombstonesMax: 99, bytesLeft: 1e9 },
    )
    if (random.below(4) === 0) statements.push(...chunks(wholeSnapshot(owner)))
  }
  return { statements, owner, gone }
}

/** A whole snapshot as two ranges. */
function chunks(whole: Snapshot): Snapshot[] {
  const at = 'i2'
  const idOf = (entry: Entry): string => (entry.kind === 'put' ? entry.instance.id : entry.id)
  return [
    { ...whole, part: 0, parts: 2, upto: at, entries: whole.entries.filter((e) => idOf(e) <= at) },
    { ...whole, part: 1, parts: 2, after: at, entries: whole.entries.filter((e) => idOf(e) > at) },
  ]
}

function apply(replica: Replica, statement: Statement, within = limits): void {
  if (statement.kind === 'delta') applyDelta(replica, statement, within)
  else applySnapshot(replica, statement, within)
}

function shuffled(random: Random, statements: readonly Statement[]): Statement[] {
  const order = statements.map((statement) => ({ statement, at: random.float() }))
  return order.sort((a, b) => a.at - b.at).map(({ statement }) => statement)
}

function contentOf(replica: Replica): string[] {
  return [...replica.entries].map((entry) => JSON.stringify(entry)).sort((a, b) => (a < b ? -1 : 1))
}

describe('merge', () => {
  it("REG-3: all statements in any order, some twice, give the owner's state", () => {
    fc.assert(
      fc.property(fc.nat(2 ** 31 - 1), (seed) => {
        const random = createRandom(seed)
        const { statements, owner } = history(random, 12)
        const replica = createReplica('o', 1)
        // The last snapshot stands for anti-entropy, which never ceases to come.
        const heard = [...statements, ...statements.filter(() => random.below(3) === 0)]
        for (const statement of shuffled(random, heard)) apply(replica, statement)
        apply(replica, wholeSnapshot(owner))
        expect(isComplete(replica)).toBe(true)
        expect(liveIds(replica)).toEqual(liveIds(owner))
        expect(replicaHash(replica)).toBe(replicaHash(owner))
        expect(replica.draining).toBe(owner.draining)
        expect([replica.tombstones, replica.entries.size]).toEqual([0, liveIds(owner).length])
      }),
      { numRuns },
    )
  })

  it('REG-3: all changes in any order suffice where tombstones have room', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 31 - 1), (seed) => {
        const random = createRandom(seed)
        const { statements, owner } = history(random, 10)
        const replica = createReplica('o', 1)
        const deltas = statements.filter((statement) => statement.kind === 'delta')
        for (const statement of shuffled(random, deltas)) {
          apply(replica, statement, { tombstonesMax: 99, bytesLeft: 1e9 })
        }
        expect(isComplete(replica)).toBe(true)
        expect(replicaHash(replica)).toBe(replicaHash(owner))
      }),
      { numRuns },
    )
  })

  it('REG-3: a second time changes nothing', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 31 - 1), (seed) => {
        const random = createRandom(seed)
        const { statements } = history(random, 8)
        const replica = createReplica('o', 1)
        for (const statement of shuffled(random, statements)) {
          apply(replica, statement)
          const before = contentOf(replica)
          const { floor, barrier, tombstones, bytes } = replica
          apply(replica, statement)
          expect(contentOf(replica)).toEqual(before)
          expect([replica.floor, replica.tombstones, replica.bytes]).toEqual([
            floor,
            tombstones,
            bytes,
          ])
          expect(replica.barrier).toBe(barrier)
        }
      }),
      { numRuns },
    )
  })

  it('REG-3: what was removed stays away whatever comes late, tombstones dropped or not', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 31 - 1), fc.nat(3), (seed, tombstonesMax) => {
        const random = createRandom(seed)
        const { statements } = history(random, 14)
        const replica = createReplica('o', 1)
        const removed = new Map<string, number>()
        for (const statement of shuffled(random, [...statements, ...statements])) {
          const fresh = statement.version > replica.floor
          apply(replica, statement, { tombstonesMax, bytesLeft: 1e9 })
          for (const entry of statement.entries) {
            if (entry.kind !== 'remove' || !fresh) continue
            removed.set(entry.id, Math.max(statement.version, removed.get(entry.id) ?? 0))
          }
          const risen = [...replica.entries].filter(
            ([id, held]) => held.instance !== undefined && held.version <= (removed.get(id) ?? -1),
          )
          expect(risen).toEqual([])
        }
      }),
      { numRuns },
    )
  })

  it('REG-3: tombstones and collected parts stay within their bounds', () => {
    const replica = createReplica('o', 1)
    for (let version = 2; version < 500; version += 1) {
      const entries: Entry[] = [{ kind: 'remove', id: `gone-${version}` }]
      applyDelta(
        replica,
        {
          kind: 'delta',
          member: 'o',
          epoch: 1,
          version,
          part: 0,
          parts: 1,
          draining: false,
          entries,
        },
        limits,
      )
      expect(replica.tombstones).toBeLessThanOrEqual(limits.tombstonesMax)
      expect(replica.parts.size).toBeLessThanOrEqual(64)
    }
    expect(isComplete(replica)).toBe(false)
  })

  it('REG-14: an instance that a byte limit keeps out leaves the replica incomplete', () => {
    const replica = createReplica('o', 1)
    const instance = drawInstance(createRandom(1), 'o', 'i1', 1)
    const delta: Delta = {
      kind: 'delta',
      member: 'o',
      epoch: 1,
      version: 1,
      part: 0,
      parts: 1,
      draining: false,
      entries: [{ kind: 'put', instance }],
    }
    expect(applyDelta(replica, delta, { tombstonesMax: 2, bytesLeft: 10 }).refused).toBe(1)
    expect(isComplete(replica)).toBe(false)
    expect(replica.bytes).toBe(0)
    applyDelta(replica, delta, limits)
    expect(isComplete(replica)).toBe(true)
    expect(replica.bytes).toBeGreaterThan(0)
  })

  it('REG-3: a new epoch voids the old one; REG-9: a leave voids all that was said', () => {
    const random = createRandom(5)
    const { statements, owner } = history(random, 10)
    const replica = createReplica('o', 1)
    apply(replica, wholeSnapshot(owner))
    expect(liveIds(replica).length).toBeGreaterThan(0)
    expect(forget(replica)).toHaveLength(liveIds(owner).length)
    for (const statement of statements) {
      if (statement.kind === 'delta') apply(replica, statement)
    }
    expect(liveIds(replica)).toEqual([])
    // The same owner back with the same state says it whole, and is believed.
    apply(replica, wholeSnapshot(owner))
    expect(liveIds(replica)).toEqual(liveIds(owner))
    beginEpoch(replica, 2)
    expect([liveIds(replica), replica.floor, replica.bytes, isComplete(replica)]).toEqual([
      [],
      0,
      0,
      true,
    ])
  })
})
