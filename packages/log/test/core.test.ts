import { toHex } from '@kith/interface'
import type { StoreDamage, StoredOrigin } from '@kith/interface'
import { nodeDigests } from '@kith/interface/node'
import {
  array,
  assert,
  constantFrom,
  integer,
  property,
  record,
  tuple,
  uint8Array,
} from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkForeign, decideApply } from '../src/core/apply.ts'
import { gateDeadline, startGate, stepGate } from '../src/core/gate.ts'
import { lookUpAnswer, PRODUCER_ANSWERS_MAX, rememberAnswer } from '../src/core/producers.ts'
import { decodeRanges, encodeRanges, isRange } from '../src/core/ranges.ts'
import { createReplicaTracker } from '../src/core/replicas.ts'
import { mayRotate, ROTATION_INTERVAL_MS } from '../src/core/rotation.ts'
import { newOrigin, vectorOf } from '../src/core/state.ts'
import { stateFrom } from '../src/runtime/start.ts'
import { makeBatch, records } from './support.ts'
import type { MadeBatch } from './support.ts'

const origin = 'ab'.repeat(16)

/** What `decideApply` says of a batch, as its caller would ask. */
function decide(entry: StoredOrigin, batch: Uint8Array, held: readonly MadeBatch[] = []) {
  const checked = checkForeign(batch, nodeDigests)
  if (checked.outcome !== 'checked') throw new Error(checked.outcome)
  return decideApply(entry, checked.header, batch, nodeDigests, (first) => {
    const found = held.find((one) => one.next - 3 === first)
    return found && ({ bytes: found.bytes } as never)
  })
}

describe('apply', () => {
  const fresh = newOrigin(origin, 'm', 0, nodeDigests)
  const one = makeBatch(origin)
  const two = makeBatch(origin, one.next, one.chain)
  const atTwo: StoredOrigin = { ...fresh, next: one.next, chain: one.chain, bytes: 1, records: 3 }

  it('LOG-9 takes a batch at next whose chain continues ours, and none past it', () => {
    expect(decide(fresh, one.bytes)).toMatchObject({
      outcome: 'applied',
      entry: { next: 4, chain: one.chain, records: 3, bytes: one.bytes.length },
    })
    expect(decide(fresh, two.bytes)).toEqual({ outcome: 'ahead' })
    expect(decide(atTwo, two.bytes)).toMatchObject({ outcome: 'applied', entry: { next: 7 } })
  })

  it('LOG-10 drops what is held, also where the held bytes cannot be looked at', () => {
    expect(decide(atTwo, one.bytes, [one])).toEqual({ outcome: 'duplicate' })
    expect(decide(atTwo, one.bytes)).toEqual({ outcome: 'duplicate' })
  })

  it('LOG-11 calls another history by its name, wherever it meets ours', () => {
    const other = makeBatch(origin, 1, undefined, records(3, 10))
    expect(decide(atTwo, other.bytes, [one]).outcome).toBe('fork')
    const spanning = makeBatch(origin, 1, undefined, records(5))
    expect(decide(atTwo, spanning.bytes).outcome).toBe('fork')
    const strangeChain = makeBatch(origin, 4, 'cd'.repeat(32))
    expect(decide(atTwo, strangeChain.bytes).outcome).toBe('fork')
    const quarantined: StoredOrigin = { ...atTwo, status: 'quarantined' }
    expect(decide(quarantined, two.bytes)).toEqual({ outcome: 'quarantined' })
  })
})

describe('the gate', () => {
  const wait = { gate: 'wait', gateMs: 5_000 } as const

  it('LOG-14 is open at once without a history or where nobody is expected', () => {
    expect(startGate({ ...wait, gate: 'open' }, true, false, 0)).toEqual({ kind: 'open' })
    expect(startGate(wait, false, false, 0)).toEqual({ kind: 'open' })
  })

  it('LOG-14 opens by word without rotating, by deadline with a rotation after an unclean stop', () => {
    for (const clean of [true, false]) {
      const state = startGate(wait, true, clean, 100)
      expect(gateDeadline(state)).toBe(5_100)
      expect(stepGate(state, { kind: 'deadline' }, 5_099)).toEqual({ state, rotate: false })
      const opened = { state: { kind: 'open' }, rotate: false }
      expect(stepGate(state, { kind: 'open' }, 200)).toEqual(opened)
      const expired = stepGate(state, { kind: 'deadline' }, 5_100)
      expect(expired).toEqual({ ...opened, rotate: !clean })
      expect(stepGate(expired.state, { kind: 'deadline' }, 9_999)).toEqual(opened)
      expect(gateDeadline(expired.state)).toBe(undefined)
    }
  })
})

it('LOG-15 allows one rotation an hour, and a wall clock set back forbids none', () => {
  expect(mayRotate(0, 5)).toBe(true)
  expect(mayRotate(1_000, 1_000 + ROTATION_INTERVAL_MS - 1)).toBe(false)
  expect(mayRotate(1_000, 1_000 + ROTATION_INTERVAL_MS)).toBe(true)
  expect(mayRotate(1_000, 999)).toBe(true)
})

describe('producers', () => {
  const answer = (sequence: number) => ({
    sequence,
    origin,
    first: sequence * 10 + 1,
    count: 3,
    offset: sequence * 7,
  })

  it('LOG-16 remembers the last 64 answers, by sequence, and says what it cannot know', () => {
    assert(
      property(array(integer({ min: 0, max: 150 }), { maxLength: 200 }), (sequences) => {
        let answers = new Uint8Array(0)
        const model: number[] = []
        for (const sequence of sequences) {
          const found = lookUpAnswer(answers, sequence)
          const oldest = Math.min(...model)
          const full = model.length === PRODUCER_ANSWERS_MAX
          const stale = full && sequence < oldest ? { kind: 'stale', oldest } : { kind: 'new' }
          const stored = { kind: 'stored', answer: answer(sequence) }
          expect(found).toEqual(model.includes(sequence) ? stored : stale)
          if (found.kind !== 'new') continue
          answers = rememberAnswer(answers, answer(sequence)) as Uint8Array<ArrayBuffer>
          if (full) model.splice(model.indexOf(oldest), 1)
          model.push(sequence)
        }
      }),
      { numRuns: 200 },
    )
  })

  it('LOG-16 forgets nothing above what it forgot, where a group brings a new one and an old one', () => {
    let answers: Uint8Array = new Uint8Array(0)
    const remembered = Array.from({ length: PRODUCER_ANSWERS_MAX }, (_, index) => index + 6)
    for (const sequence of [4, ...remembered.slice(1), 1_000, 5]) {
      answers = rememberAnswer(answers, answer(sequence))
    }
    expect(lookUpAnswer(answers, 7)).toEqual({ kind: 'stored', answer: answer(7) })
    expect(lookUpAnswer(answers, 5)).toEqual({ kind: 'stale', oldest: 7 })
  })
})

describe('replicas', () => {
  const logs = ['01', '02', '03'].map((mark) => mark.repeat(16))

  const sequence = integer({ min: -1, max: 20 })

  it('LOG-17 counts the logs that acknowledged, and never counts one back', () => {
    assert(
      property(
        array(record({ log: constantFrom(...logs), next: sequence })),
        integer({ min: 2, max: 20 }),
        integer({ min: 1, max: 3 }),
        (acks, next, needed) => {
          const tracker = createReplicaTracker([])
          const best = new Map<string, number>()
          let done: number | undefined
          tracker.wait(origin, { from: next - 1, next }, needed, (acked) => (done = acked))
          for (const ack of acks) {
            tracker.acknowledge(ack.log, new Map([[origin, { from: 1, next: ack.next }]]))
            best.set(ack.log, Math.max(best.get(ack.log) ?? 0, ack.next))
            const acked = [...best.values()].filter((value) => value >= next).length
            expect(tracker.ackedBy(origin, { from: next - 1, next })).toBe(acked)
            expect(done !== undefined).toBe(acked >= needed)
          }
        },
      ),
    )
  })

  it('LOG-17 never counts a log for a record that it did not say it stored', () => {
    const told = record({ from: sequence, next: sequence })
    assert(
      property(array(told), told, (ranges, asked) => {
        const tracker = createReplicaTracker([])
        const stored = new Set<number>()
        for (const range of ranges) {
          const before = tracker.rowOf('01'.repeat(16), 0)?.acked
          const moved = tracker.acknowledge('01'.repeat(16), new Map([[origin, range]]))
          const after = tracker.rowOf('01'.repeat(16), 0)?.acked
          expect(moved).toBe(before === undefined || !Buffer.from(before).equals(after!))
          if (!isRange(range) || range.from === range.next) continue
          for (let at = range.from; at < range.next; at += 1) stored.add(at)
          // What was said last counts, unless something later is known.
          const known = tracker.ackedBy(origin, range)
          if (range.next === Math.max(...stored) + 1) expect(known).toBe(1)
        }
        if (!isRange(asked) || tracker.ackedBy(origin, asked) === 0) return
        for (let at = asked.from; at < asked.next; at += 1) expect(stored).toContain(at)
      }),
      { numRuns: 1_000 },
    )
  })

  it('LOG-17 a removed wait is not called, and ranges survive being written down', () => {
    const ranges = new Map([
      [origin, { from: 3, next: 2 ** 40 }],
      ['cd'.repeat(16), { from: 1, next: 1 }],
    ])
    const tracker = createReplicaTracker([
      { logId: '01'.repeat(16), member: '', acked: encodeRanges(ranges) },
    ])
    expect(tracker.ackedBy(origin, { from: 3, next: 5 })).toBe(1)
    expect(tracker.ackedBy(origin, { from: 2, next: 5 })).toBe(0)
    let called = false
    const ahead = { from: 2 ** 40, next: 2 ** 41 }
    tracker.wait(origin, ahead, 1, () => (called = true))()
    tracker.acknowledge('01'.repeat(16), new Map([[origin, { from: 3, next: 2 ** 42 }]]))
    expect(called).toBe(false)
  })

  it('LOG-17 reads back the ranges that it wrote, and none from other bytes', () => {
    const end = 2 ** 48 - 1
    const range = tuple(integer({ min: 1, max: end }), integer({ min: 1, max: end })).map(
      ([a, b]) => ({ from: Math.min(a, b), next: Math.max(a, b) }),
    )
    const id = uint8Array({ minLength: 16, maxLength: 16 }).map(toHex)
    assert(
      property(array(tuple(id, range)), uint8Array({ maxLength: 100 }), (entries, bytes) => {
        const ranges = new Map(entries)
        expect(decodeRanges(encodeRanges(ranges))).toEqual(ranges)
        for (const read of decodeRanges(bytes).values()) expect(isRange(read)).toBe(true)
      }),
    )
    // What earlier versions wrote, ids of 16 bytes and `next`, says nothing of from where on.
    for (let count = 0; count < 60; count += 1) {
      expect(decodeRanges(new Uint8Array(22 * count).fill(1)).size).toBe(0)
    }
  })

  it('LOG-74 says no more than it holds where the table that knows it is damaged', () => {
    const [own, logId] = ['01'.repeat(16), '02'.repeat(16)]
    const meta = { logId, origin: own, clean: true, createdAt: 0, rotatedAt: 0, rotationOwed: '' }
    const row = (id: string): StoredOrigin => ({
      ...newOrigin(id, '', 0, nodeDigests),
      ...{ floor: 4, next: 7, records: 6, dropped: 3, bytes: 9 },
    })
    const said = (damage: readonly StoreDamage[]): unknown => {
      const none = { holes: [], cursors: [], producers: [], replicas: [] }
      const stored = { meta: undefined, ...none, origins: [row(own), row(origin)] }
      const state = stateFrom({ ...stored, nextOffset: 12, damage }, { ...meta, floor: 6 })
      return vectorOf(state).map(({ storedFrom }) => storedFrom)
    }
    expect(said([])).toEqual([1, 1])
    expect(said([{ table: 'cursor', key: '', reason: 'x' }])).toEqual([1, 1])
    expect(said([{ table: 'replica', key: '', reason: 'x' }])).toEqual([1, undefined])
  })

  it('LOG-41 counts one log a member: what a replaced one acknowledged is gone with it', () => {
    const range = (next: number) => ({ from: 1, next })
    const tracker = createReplicaTracker([
      { logId: logs[0] ?? '', member: 'a', acked: encodeRanges(new Map([[origin, range(9)]])) },
    ])
    expect(tracker.acknowledge(logs[1] ?? '', new Map([[origin, range(9)]]), 'b')).toBe(true)
    expect(tracker.ackedBy(origin, range(9))).toBe(2)
    expect(tracker.acknowledge(logs[2] ?? '', new Map([[origin, range(1)]]), 'a')).toBe(true)
    expect(tracker.ackedBy(origin, range(9))).toBe(1)
    expect(tracker.rowOf(logs[0] ?? '', 5)).toBe(undefined)
    // A log that does not say whose it is stays what it was.
    expect(tracker.acknowledge(logs[2] ?? '', new Map([[origin, range(1)]]))).toBe(false)
    expect(tracker.rowOf(logs[2] ?? '', 5)).toMatchObject({ member: 'a', seenAt: 5 })
  })
})
