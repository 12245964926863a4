// What is remembered, what is written of it, and that both are the same.
import type { Address, Member, MemberEvent, MemberEventKind } from '@kith/interface'
import { array, assert, constantFrom, integer, oneof, property, record, tuple } from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  allLines,
  createMemory,
  fileBytesMax,
  recall,
  recalledProgress,
  recordExpired,
  recordIncarnation,
  recordLeave,
  recordMember,
  recordTimes,
  rememberedMembers,
} from '../../src/core/memory.ts'
import type { Memory } from '../../src/core/memory.ts'
import { createSnapshotReader } from '../../src/wire/snapshot.ts'

const wallMs = 1_764_000_000_000
const options = { membersMax: 100, rejoinAfterLeave: false }

function at(number: number): Address {
  return { host: `10.0.0.${number}`, port: 7946 }
}

function event(kind: MemberEventKind, name: string, address: Address): MemberEvent {
  const status = kind === 'fail' ? 'failed' : kind === 'leave' ? 'left' : 'alive'
  const member: Member = { name, address, tags: {}, status, incarnation: 1 }
  return { kind, member }
}

function recalled(text: string, changes: Partial<typeof options> = {}, now = wallMs): Memory {
  const memory = createMemory({ ...options, ...changes })
  const reader = createSnapshotReader((line) => recall(memory, line, now))
  reader.push(new TextEncoder().encode(text))
  return memory
}

/** What a Serf would know after reading the same file: its replay, written down from its rules. */
function serfReplay(text: string): { alive: ReadonlyMap<string, string>; clock: string } {
  const alive = new Map<string, string>()
  let clock = '0'
  for (const line of text.split('\n').slice(0, -1)) {
    if (line.startsWith('alive: ')) {
      const space = line.lastIndexOf(' ')
      alive.set(line.slice(7, space), line.slice(space + 1))
    } else if (line.startsWith('not-alive: ')) alive.delete(line.slice(11))
    else if (line.startsWith('clock: ')) clock = line.slice(7)
    else if (line === 'leave') {
      alive.clear()
      clock = '0'
    } else if (!/^(?:event-clock|query-clock): \d+$|^#/.test(line)) {
      throw new Error(`a Serf would warn of ${line}`)
    }
  }
  return { alive, clock }
}

function namesOf(memory: Memory): readonly string[] {
  return rememberedMembers(memory, 'self').map(({ name }) => name)
}

describe('memory', () => {
  it('GOS-140 recalls what Serf wrote, and remembers the failed beyond Serf', () => {
    const memory = createMemory(options)
    let file = recordMember(memory, event('join', 'self', at(1)), wallMs)
    file += recordMember(memory, event('join', 'a', at(2)), wallMs)
    file += recordMember(memory, event('join', 'b c', at(3)), wallMs)
    file += recordMember(memory, event('join', 'd', at(4)), wallMs)
    file += recordTimes(memory, { clock: 5n, eventClock: 0n, queryClock: 9n })
    file += recordIncarnation(memory, 3)
    file += recordMember(memory, event('fail', 'b c', at(3)), wallMs + 1500)
    file += recordMember(memory, event('leave', 'd', at(4)), wallMs)
    expect(file).toBe(
      [
        ...['alive: self 10.0.0.1:7946', 'alive: a 10.0.0.2:7946', 'alive: b c 10.0.0.3:7946'],
        ...['alive: d 10.0.0.4:7946', 'clock: 5', 'query-clock: 9', '# kith.incarnation: 3'],
        ...['not-alive: b c', '# kith.failed: 1764000001 b c 10.0.0.3:7946', 'not-alive: d', ''],
      ].join('\n'),
    )
    expect([...serfReplay(file).alive.keys()]).toEqual(['self', 'a'])
    const next = recalled(file)
    expect(namesOf(next)).toEqual(['a', 'b c'])
    expect(recalledProgress(next)).toEqual({
      clock: 5n,
      eventClock: 0n,
      queryClock: 9n,
      incarnation: 3,
    })
    expect([next.readable, next.unreadable]).toEqual([10, 0])
  })

  it('GOS-140 a member that comes back is remembered where it is now', () => {
    const memory = createMemory(options)
    recordMember(memory, event('join', 'a', at(2)), wallMs)
    recordMember(memory, event('fail', 'a', at(2)), wallMs)
    recordMember(memory, event('join', 'a', at(5)), wallMs)
    expect(rememberedMembers(memory, 'self')).toEqual([{ name: 'a', address: at(5) }])
    expect(recordMember(memory, event('update', 'a', at(5)), wallMs)).toBe('')
    expect(recordMember(memory, event('update', 'a', at(6)), wallMs)).toBe(
      'alive: a 10.0.0.6:7946\n',
    )
    expect(recordMember(memory, event('reap', 'a', at(6)), wallMs)).toBe('not-alive: a\n')
    expect(recordMember(memory, event('reap', 'a', at(6)), wallMs)).toBe('')
    expect(namesOf(memory)).toEqual([])
  })

  it('GOS-141 a leave ends what was before it, unless it shall not', () => {
    const before = 'alive: a 10.0.0.2:7946\nclock: 5\nevent-clock: 6\n# kith.incarnation: 4\n'
    const left = recalled(`${before}leave\nclock: 7\n`)
    expect(namesOf(left)).toEqual([])
    const progress = { clock: 7n, eventClock: 0n, queryClock: 0n, incarnation: 4 }
    expect(recalledProgress(left)).toEqual(progress)
    const kept = recalled(`${before}leave\n`, { rejoinAfterLeave: true })
    expect(namesOf(kept)).toEqual(['a'])
    expect(recalledProgress(kept).eventClock).toBe(6n)
  })

  it('GOS-141 after its own leave nothing but clocks is recorded, and a rewrite keeps the leave', () => {
    for (const rejoinAfterLeave of [false, true]) {
      const memory = createMemory({ ...options, rejoinAfterLeave })
      recordMember(memory, event('join', 'a', at(2)), wallMs)
      expect(recordLeave(memory)).toBe('leave\n')
      expect(recordLeave(memory)).toBe('')
      expect(recordMember(memory, event('join', 'b', at(3)), wallMs)).toBe('')
      expect(recordTimes(memory, { clock: 5n, eventClock: 0n, queryClock: 0n })).toBe('clock: 5\n')
      const next = recalled(allLines(memory), { rejoinAfterLeave })
      expect(namesOf(next)).toEqual(rejoinAfterLeave ? ['a'] : [])
    }
  })

  it('GOS-140 clocks only go on, and never to where none can be', () => {
    const memory = createMemory(options)
    const times = { clock: 5n, eventClock: 5n, queryClock: 5n }
    expect(recordTimes(memory, times)).toBe('clock: 5\nevent-clock: 5\nquery-clock: 5\n')
    expect(recordTimes(memory, times)).toBe('')
    expect(recordTimes(memory, { ...times, clock: 4n, eventClock: 1n << 62n })).toBe('')
    const damaged = recalled('clock: 4611686018427387904\nclock: 3\n')
    expect([damaged.times.clock, damaged.unreadable]).toEqual([3n, 1])
  })

  it('GOS-142 who was not heard of for a day is forgotten, whoever is here is not', () => {
    const dayMs = 86_400_000
    const old = `# kith.failed: ${wallMs / 1000 - 90_000} old 10.0.0.9:7946\n`
    const memory = recalled(`${old}alive: a 10.0.0.2:7946\nalive: b 10.0.0.3:7946\n`)
    recordMember(memory, event('join', 'b', at(3)), wallMs)
    expect(recordExpired(memory, wallMs, dayMs)).toBe('not-alive: old\n')
    expect(recordExpired(memory, wallMs + dayMs, dayMs)).toBe('')
    expect(recordExpired(memory, wallMs + dayMs + 1, dayMs)).toBe('not-alive: a\n')
    expect(namesOf(memory)).toEqual(['b'])
  })

  it('GOS-142 is bounded, in members and in names', () => {
    let text = ''
    for (let number = 0; number < 300; number += 1) text += `alive: m${number} 10.0.1.1:7946\n`
    text += `not-alive: ${'x'.repeat(200)}\nalive: ${'\u0007'} 10.0.0.1:7946\n`
    const memory = recalled(text)
    expect(memory.alive.size).toBe(100)
    expect(memory.unreadable).toBe(2)
    expect(fileBytesMax(memory)).toBe(131_072)
    expect(recordMember(memory, event('join', 'more', at(2)), wallMs)).toBe('')
    expect(memory.alive.size).toBe(100)
  })

  it('GOS-140 whatever happens, the lines written and the file anew say the same', () => {
    const names = constantFrom('self', 'a', 'b', 'c d', 'é')
    const kinds = constantFrom('join', 'fail', 'leave', 'update', 'reap' as MemberEventKind)
    const changes = record({ kind: kinds, name: names, where: integer({ min: 1, max: 9 }) })
    const times = tuple(integer({ max: 50, min: 0 }), integer({ max: 50, min: 0 }))
    assert(
      property(array(oneof(changes, times), { maxLength: 40 }), (steps) => {
        const memory = createMemory(options)
        let file = ''
        for (const step of steps) {
          if ('kind' in step) {
            file += recordMember(memory, event(step.kind, step.name, at(step.where)), wallMs)
          } else {
            const [clock, eventClock] = step.map(BigInt)
            const seen = { clock: clock ?? 0n, eventClock: eventClock ?? 0n, queryClock: 0n }
            file += recordTimes(memory, seen)
          }
        }
        const [appended, anew] = [recalled(file), recalled(allLines(memory))]
        const byName = (one: Memory): unknown =>
          rememberedMembers(one, '').toSorted((x, y) => (x.name < y.name ? -1 : 1))
        expect(byName(appended)).toEqual(byName(memory))
        expect(byName(anew)).toEqual(byName(memory))
        expect(recalledProgress(anew)).toEqual(recalledProgress(appended))
        const alive = [...memory.alive.keys()].toSorted()
        expect([...serfReplay(file).alive.keys()].toSorted()).toEqual(alive)
        expect([...serfReplay(allLines(memory)).alive.keys()].toSorted()).toEqual(alive)
        expect(appended.unreadable + anew.unreadable).toBe(0)
      }),
    )
  })
})
