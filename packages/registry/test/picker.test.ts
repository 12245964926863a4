/** Which one of several: fair, stable, near, and never one that does not fit. */
import { createRandom } from '@kith/interface'
import type { ServiceInstance } from '@kith/interface'
import { describe, expect, it } from 'vitest'
import { distancesHoldMs, Picker } from '../src/runtime/picker.ts'
import type { RoundTrip } from '../src/runtime/picker.ts'
import type { PickOptions } from '../src/runtime/types.ts'

function instance(member: string, id: string, tags: string[] = [], zone = ''): ServiceInstance {
  const meta = zone === '' ? {} : { zone }
  const common = { service: 'web', address: '10.0.0.1', port: 80, checks: [], version: 1 }
  return { ...common, id, member, tags, meta, status: 'passing' }
}

const many = (count: number): ServiceInstance[] =>
  Array.from({ length: count }, (_, index) => instance(`m${index}`, 'web'))

function picker(rtt: RoundTrip = () => undefined, clock = { now: () => 0 }): Picker {
  return new Picker({ random: createRandom([1, 2, 3]), clock, rtt, self: () => 'm0' })
}

function members(of: Picker, found: readonly ServiceInstance[], options: PickOptions, times = 1) {
  return Array.from({ length: times }, () => of.choose('web', found, options)?.member)
}

describe('the least loaded of two', () => {
  it('REG-17: leases keep the load of all instances within a few of each other', () => {
    const found = many(10)
    const one = picker()
    const loads = new Map<string, number>()
    for (let count = 0; count < 1_000; count += 1) {
      const chosen = one.choose('web', found, { strategy: 'least-loaded' })
      if (chosen === undefined) throw new Error('nobody was chosen')
      one.lease(chosen)
      loads.set(chosen.member, (loads.get(chosen.member) ?? 0) + 1)
    }
    expect(loads.size).toBe(10)
    const values = [...loads.values()]
    // By chance alone the spread would be about 30.
    expect(Math.max(...values) - Math.min(...values)).toBeLessThanOrEqual(6)
  })

  it('REG-17: a lease counts once until it is released, however it is released', () => {
    const [busy, idle] = many(2) as [ServiceInstance, ServiceInstance]
    const one = picker()
    const lease = one.lease(busy)
    const turns = (): unknown[] => members(one, [busy, idle], { strategy: 'least-loaded' }, 20)
    expect(new Set(turns())).toEqual(new Set(['m1']))
    lease.release()
    lease.release()
    one.lease(idle)
    expect(new Set(turns())).toEqual(new Set(['m0']))
    {
      using _second = one.lease(busy)
      using _third = one.lease(busy)
      expect(new Set(turns())).toEqual(new Set(['m1']))
    }
    expect(new Set(turns())).toEqual(new Set(['m0']))
  })
})

describe('rendezvous hashing', () => {
  const keys = Array.from({ length: 4_000 }, (_, index) => `user-${index}`)
  const placed = (found: readonly ServiceInstance[]): Map<string, string | undefined> => {
    const one = picker()
    return new Map(
      keys.map((key) => [key, one.choose('web', found, { strategy: 'rendezvous', key })?.member]),
    )
  }

  it('REG-17: gives a key the same instance at every member, whatever the order', () => {
    expect(placed(many(8).toReversed())).toEqual(placed(many(8)))
  })

  it('REG-17: spreads keys evenly, and moves only those of an instance that goes', () => {
    const before = placed(many(8))
    const shares = new Map<string | undefined, number>()
    for (const member of before.values()) shares.set(member, (shares.get(member) ?? 0) + 1)
    for (const share of shares.values()) {
      expect(share).toBeGreaterThan(400)
      expect(share).toBeLessThan(600)
    }
    const after = placed(many(8).filter(({ member }) => member !== 'm3'))
    for (const [key, member] of before) {
      if (member !== 'm3') expect(after.get(key)).toBe(member)
      else expect(after.get(key)).not.toBe('m3')
    }
  })

  it('REG-17: is the same from a list that stays as from one made for a call, at any size', () => {
    for (const count of [1, 15, 16, 300]) {
      const found = many(count)
      expect(placed(Object.freeze([...found]))).toEqual(placed(found))
    }
  })

  it('REG-17: moves only the keys of one of hundreds that goes, and follows a list that changes', () => {
    const all = Object.freeze(many(300))
    const fewer = Object.freeze(all.filter(({ member }) => member !== 'm7'))
    const one = picker()
    const owners = (found: readonly ServiceInstance[]): (string | undefined)[] =>
      keys.map((key) => one.choose('web', found, { strategy: 'rendezvous', key })?.member)
    const before = owners(all)
    expect(new Set(before).size).toBe(300)
    const after = owners(fewer)
    const moved = before.filter((member, at) => member !== after[at])
    expect(moved).toEqual(before.filter((member) => member === 'm7'))
    expect(owners(all)).toEqual(before)
  })

  it('REG-17: is refused without a key, as is a strategy that nobody knows', () => {
    const code = (options: PickOptions): unknown => {
      try {
        return picker().choose('web', many(2), options)
      } catch (cause) {
        return (cause as Error).message
      }
    }
    expect(code({ strategy: 'rendezvous' })).toMatch(/key/)
    expect(code({ strategy: 'best' as 'random' })).toMatch(/strategy.*'nearest'/)
  })
})

describe('distance', () => {
  const rtts: Record<string, number> = { 'm0 m1': 20, 'm0 m2': 5, 'm0 m3': 5, 'm9 m1': 1 }
  const rtt: RoundTrip = (from, to) => rtts[`${from} ${to}`]

  it('REG-17: nearest takes turns among the nearest, oneself before all others', () => {
    const one = picker(rtt)
    const others = many(5).slice(1)
    expect(members(one, others, { strategy: 'nearest' }, 4)).toEqual(['m2', 'm3', 'm2', 'm3'])
    expect(members(one, many(5), { strategy: 'nearest' }, 2)).toEqual(['m0', 'm0'])
    expect(members(one, others, { strategy: 'nearest', near: 'm9' })).toEqual(['m1'])
    // Nobody measured anything: all are as near.
    expect(new Set(members(picker(), others, { strategy: 'nearest' }, 8)).size).toBe(4)
  })

  it('REG-17: distances hold for a second, and not for another list', () => {
    let [now, far] = [0, 20]
    const clock = { now: (): number => now }
    const one = picker((_from, to) => (to === 'm1' ? far : 10), clock)
    const others = Object.freeze(many(3).slice(1))
    const nearest = (found = others): unknown => members(one, found, { strategy: 'nearest' })
    expect(nearest()).toEqual(['m2'])
    far = 1
    now = distancesHoldMs - 1
    expect(nearest()).toEqual(['m2'])
    expect(nearest(Object.freeze([...others]))).toEqual(['m1'])
    far = 20
    now += distancesHoldMs
    expect(nearest()).toEqual(['m2'])
    expect(members(one, others, { strategy: 'nearest', near: 'm1' })).toEqual(['m1'])
  })

  it('REG-25: near orders by round trip, unmeasured members last', () => {
    const order = picker(rtt).byDistance(many(5), 'm0')
    expect(order.map(({ member }) => member)).toEqual(['m0', 'm2', 'm3', 'm1', 'm4'])
  })
})

describe('what is preferred', () => {
  it('REG-17: a zone and tags narrow the choice only while somebody has them', () => {
    const found = [
      instance('a', 'web', ['v2'], 'eu'),
      instance('b', 'web', [], 'eu'),
      instance('c', 'web', ['v2'], 'us'),
    ]
    const one = picker()
    const set = (prefer: PickOptions['prefer']): unknown =>
      new Set(members(one, found, prefer === undefined ? {} : { prefer }, 6))
    expect(set({ zone: 'eu' })).toEqual(new Set(['a', 'b']))
    expect(set({ zone: 'eu', tags: ['v2'] })).toEqual(new Set(['a']))
    expect(set({ zone: 'moon' })).toEqual(new Set(['a', 'b', 'c']))
    expect(one.choose('web', [], { prefer: { zone: 'eu' } })).toBeUndefined()
  })

  it('REG-17: what the caller excepts is never chosen, preferred or not', () => {
    const found = [instance('a', 'web', [], 'eu'), instance('b', 'web', [], 'us')]
    const one = picker()
    const except = (given: ServiceInstance): boolean => given.member === 'a'
    for (let turn = 0; turn < 4; turn += 1) {
      expect(one.choose('web', found, { prefer: { zone: 'eu' }, except })?.member).toBe('b')
    }
    expect(one.choose('web', found, { except: () => true })).toBeUndefined()
  })
})
