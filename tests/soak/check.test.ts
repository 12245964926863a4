// The checker of the soak: what is right passes, and every planted fault is caught as what it is.
import { describe, expect, it } from 'vitest'
import { check, difference, type MemberView, type OriginView } from './replication/check.ts'
import { Copy, type Line, Violation } from './replication/copy.ts'
import { Ledger, type Level, valueOf } from './replication/ledger.ts'

const names = ['a', 'b', 'c'] as const
const [origin, other] = ['0a'.repeat(16), '0b'.repeat(16)]

interface State {
  readonly status?: string
  readonly chain?: string
  readonly next?: number
  readonly holes?: OriginView['holes']
}

/** Three members with disks 1, 2 and 3, each of which holds what the others hold. */
class World {
  readonly ledger = new Ledger()
  readonly lines: Line[][] = names.map(() => [])
  readonly states: Record<string, State>[] = names.map(() => ({}))
  readonly disks: number[] = [1, 2, 3]

  /** Sent to `a` and, where a level is given, acknowledged. */
  record(key: string, sequence: number, level?: Level, under: string = origin): void {
    const sent = this.ledger.sending(key, this.disks[0] ?? 0)
    if (level !== undefined) this.ledger.acknowledged(sent, level, under, sequence)
    for (const at of names.keys()) this.put(at, key, sequence, under)
  }

  put(at: number, key: string, sequence: number, under: string = origin): void {
    const lines = this.lines[at] ?? []
    lines.push({ offset: lines.length, origin: under, sequence, key, value: valueOf(key) })
  }

  drop(at: number, key: string): void {
    const kept = this.lines[at]?.filter((line) => line.key !== key) ?? []
    this.lines[at] = kept.map((line, offset) => ({ ...line, offset }))
  }

  views(): MemberView[] {
    return names.map((name, at) => {
      const copy = new Copy(name, this.disks[at] ?? 0, this.ledger)
      const states = this.states[at] ?? {}
      const declared = (of: string, from: number, to: number): boolean =>
        states[of]?.holes?.some((hole) => hole.from <= from && to <= hole.to) ?? false
      for (const line of this.lines[at] ?? []) copy.add(line, declared)
      const origins = [...copy.origins].map(([of, held]): OriginView => {
        const standing = { next: held.length + 1, chain: `chain of ${held.length}` }
        const rest = { status: 'live', holes: [], ...standing, ...states[of] }
        return { origin: of, member: 'a', ...rest }
      })
      return { name, origins, copy }
    })
  }

  check(): ReturnType<typeof check> {
    return check(this.views(), this.ledger)
  }

  /** What the checker finds. */
  found(): string {
    try {
      this.check()
    } catch (cause) {
      if (cause instanceof Violation) return cause.message
      throw cause
    }
    return 'nothing'
  }
}

function world(): World {
  const made = new World()
  made.record('one', 1, 'disk')
  made.record('two', 2, 'replicas')
  made.record('three', 3)
  return made
}

describe('the checker of the soak', () => {
  it('passes what is right and counts it', () => {
    const findings = world().check()
    expect(findings).toEqual({
      ...{ records: 3, origins: 1, forked: [], holes: 0, excused: 0, beyond: 0 },
    })
  })

  it('catches a lost record that was acknowledged', () => {
    const made = world()
    made.record('four', 4, 'replicas')
    for (const at of names.keys()) made.drop(at, 'four')
    expect(made.found()).toMatch(/^lost: four, acknowledged at replicas as .*\/4, is on no disk/)
  })

  it('catches a record acknowledged by two disks that is on one', () => {
    const made = world()
    made.record('four', 4, 'replicas')
    for (const at of [1, 2]) made.drop(at, 'four')
    // An origin that is stopped somewhere is no excuse: both disks are still there.
    made.ledger.rolledBack.add('a')
    made.states[0] = { [origin]: { status: 'quarantined' } }
    expect(made.found()).toMatch(/^lost: four, .* is on a; owed by 2/)
  })

  it('catches a record that a disk held at the check before', () => {
    const made = world()
    made.check()
    made.ledger.rolledBack.add('a')
    for (const at of names.keys()) made.states[at] = { [origin]: { status: 'quarantined' } }
    made.drop(1, 'three')
    expect(made.found()).toMatch(/^lost: three/)
  })

  it('catches a record stored twice, under two names and under one', () => {
    const again = world()
    for (const at of names.keys()) again.put(at, 'three', 4)
    expect(() => again.views()).toThrow(/^twice: a holds .*\/4 \(three\) at offset 3, and as .*\/3/)
    const elsewhere = world()
    elsewhere.drop(1, 'three')
    elsewhere.put(1, 'three', 1, other)
    expect(elsewhere.found()).toMatch(/^twice: three is .*\/3 at a and .*\/1 at b/)
    const identity = world()
    identity.ledger.sending('four', 1)
    identity.put(0, 'four', 3)
    expect(() => identity.views()).toThrow(/^twice: .* had that sequence before/)
  })

  it('catches a silent gap, and takes a declared one', () => {
    const made = world()
    for (const at of names.keys()) made.drop(at, 'one')
    expect(() => made.views()).toThrow(/^gap: a holds .*\/2 \(two\) .* nothing from 1 on/)
    for (const at of names.keys()) made.states[at] = { [origin]: { holes: [{ from: 1, to: 2 }] } }
    expect(() => made.views()).not.toThrow()
  })

  it('catches a position past what is held', () => {
    const made = world()
    for (const at of names.keys()) made.states[at] = { [origin]: { next: 5 } }
    expect(made.found()).toMatch(/^gap: a says that it holds .* up to 5, and holds 3/)
  })

  it('catches a silent fork, and counts one with a durable event', () => {
    const made = world()
    for (const key of ['left', 'right']) made.ledger.sending(key, 1)
    made.put(0, 'left', 4)
    for (const at of [1, 2]) made.put(at, 'right', 4)
    made.states[0] = { [origin]: { chain: 'x' } }
    expect(made.found()).toMatch(/^fork: .*\/4 is left at a and right at b, and neither/)
    made.states[0] = { [origin]: { chain: 'x', status: 'quarantined' } }
    expect(made.found()).toMatch(/^fork: .* was never rolled back/)
    made.ledger.rolledBack.add('a')
    expect(made.check().forked).toEqual([origin])
  })

  it('catches the same records with another chain, and members that differ', () => {
    const made = world()
    made.states[2] = { [origin]: { chain: 'x' } }
    expect(made.found()).toMatch(/^unequal: c has up to 4 with chain x/)
    expect(difference(made.views())).toMatch(/^c has/)
    const behind = world()
    behind.drop(2, 'three')
    expect(behind.found()).toMatch(/^unequal: c has up to 3/)
  })

  it('waits for no member whose log may not take another origin yet', () => {
    const made = world()
    made.drop(2, 'three')
    const views = made.views().map((view, at) => {
      const origins = view.origins.map((state) => ({ ...state, own: at === 2 }))
      return { ...view, origins, refuses: at === 2 }
    })
    expect(difference(views)).toBeUndefined()
    expect(difference(views.map((view) => ({ ...view, refuses: false })))).toMatch(/^c has/)
    const ofOthers = views.map((view) => ({ ...view, origins: made.views()[2]?.origins ?? [] }))
    expect(
      difference([...ofOthers.slice(0, 2), { ...views[0]!, name: 'c', refuses: true }]),
    ).toMatch(/^a has up to 3/)
  })

  it('catches what nobody sent, another text, and another name than was acknowledged', () => {
    const made = world()
    made.put(0, 'stranger', 4)
    expect(() => made.views()).toThrow(/^invented: .* which nobody sent/)
    const text = world()
    text.ledger.sending('four', 1)
    text.lines[0]?.push({ offset: 3, origin, sequence: 4, key: 'four', value: 'another' })
    expect(() => text.views()).toThrow(/^invented: .* with another text/)
    const named = world()
    named.ledger.acknowledged(named.ledger.sending('four', 1), 'disk', origin, 5)
    for (const at of names.keys()) named.put(at, 'four', 4)
    expect(named.found()).toMatch(/^moved: four, acknowledged at disk as .*\/5, is .*\/4 at a/)
  })

  it('catches an offset that means another record than it did', () => {
    const made = world()
    const before = made.views()[0]?.copy
    if (before === undefined) throw new Error('three members')
    expect(() => made.views()[0]?.copy.mustContinue(before)).not.toThrow()
    made.drop(0, 'three')
    expect(() => made.views()[0]?.copy.mustContinue(before)).toThrow(/^moved: a held three/)
    made.ledger.sending('four', 1)
    made.lines[0]?.push({ offset: 3, origin, sequence: 3, key: 'four', value: valueOf('four') })
    expect(() => made.views()).toThrow(/^gap: .* at offset 3, not at 2/)
  })
})

describe('what is owed', () => {
  it('at disk ends with that disk, unless it was seen elsewhere before', () => {
    const made = world()
    made.record('four', 4, 'disk')
    for (const at of names.keys()) made.drop(at, 'four')
    made.ledger.diskLost(1)
    made.disks[0] = 4
    expect(made.check().excused).toBe(1)
    const seen = world()
    seen.record('four', 4, 'disk')
    seen.check()
    for (const at of names.keys()) seen.drop(at, 'four')
    seen.ledger.diskLost(1)
    seen.disks[0] = 4
    expect(seen.found()).toMatch(/^lost: four/)
  })

  it('at replicas: 1 outlives any one disk and not two', () => {
    for (const lost of [1, 2]) {
      const made = world()
      made.record('four', 4, 'replicas')
      for (const at of names.keys()) made.drop(at, 'four')
      made.ledger.diskLost(lost)
      made.disks[lost - 1] = 4
      expect(made.found()).toMatch(/^lost: four, .* owed by 1/)
      made.ledger.diskLost(3 - lost)
      made.disks[2 - lost] = 5
      expect(made.check().beyond).toBe(1)
    }
  })

  it('is not shortened by losses before the request', () => {
    const made = world()
    made.ledger.diskLost(7)
    made.ledger.diskLost(8)
    made.record('four', 4, 'replicas')
    for (const at of names.keys()) made.drop(at, 'four')
    expect(made.found()).toMatch(/^lost: four, .* owed by 2/)
  })
})
