/** The table of members as its readers see it, and who is found at which address. */
import { createRandom, formatAddress } from '@kith/interface'
import type { Address } from '@kith/interface'
import { describe, expect, it } from 'vitest'
import { hasMemberAt, member, members } from '../../src/core/index.ts'
import { memberLocated } from '../../src/core/view.ts'
import { origin } from '../../src/core/vivaldi.ts'
import { alive, bytesOf, Core, dead } from './support.ts'

const timings = { reconnectTimeoutMs: 20_000, tombstoneTimeoutMs: 20_000 }
const names = Array.from({ length: 40 }, (_, index) => `m${index}`)
const places: readonly Address[] = Array.from({ length: 12 }, (_, index) => {
  return { host: `10.2.0.${index + 1}`, port: 7946 }
})

/** What a list made anew would say. */
function expectTrue(core: Core): void {
  const rows = [...core.state.members.keys()].sort().map((name) => member(core.state, name))
  expect(members(core.state)).toEqual(rows)
  const taken = new Set(members(core.state).map(({ address }) => formatAddress(address)))
  for (const place of places) {
    expect([place, hasMemberAt(core.state, place)]).toEqual([
      place,
      taken.has(formatAddress(place)),
    ])
  }
  expect(core.state.addresses.size).toBe(taken.size)
}

describe('the table of members', () => {
  it.each([1, 2, 3])('GOS-86 is in order of name whatever comes and goes: seed %i', (seed) => {
    const random = createRandom(seed)
    const core = new Core({ timings })
    const [first = core.state.address] = places
    let incarnation = 1
    for (let turn = 0; turn < 300; turn += 1) {
      const name = names[random.below(names.length)] ?? ''
      const place = places[random.below(places.length)] ?? first
      incarnation += 1
      const change = random.below(6)
      if (change < 3) core.tell(alive(name, { incarnation, address: bytesOf(place) }))
      else if (change === 3) core.tell(dead(name, name, incarnation))
      else if (change === 4) core.tell(dead(name, 'm0', incarnation))
      else core.advanceTo(core.now + 3_000)
      expectTrue(core)
    }
    expect(core.eventsOf('reap').length).toBeGreaterThan(10)
    expect(core.eventsOf('join').length).toBeGreaterThan(50)
    expect(members(core.state).length).toBeGreaterThan(10)
  })

  it('GOS-86 is one frozen array until something changes, and then all but that is as it was', () => {
    const core = new Core()
    core.know('c', 'a', 'b')
    const before = members(core.state)
    expect(before.map(({ name }) => name)).toEqual(['a', 'b', 'c', 'self'])
    expect(Object.isFrozen(before)).toBe(true)
    core.know('a', 'b')
    expect(members(core.state)).toBe(before)
    memberLocated(core.state, 'b', origin)
    const after = members(core.state)
    expect(after).not.toBe(before)
    expect(after.map((each, index) => each === before[index])).toEqual([true, false, true, true])
    expect(before[1]?.coordinate).toBeUndefined()
    memberLocated(core.state, 'nobody', origin)
    expect(members(core.state)).toBe(after)
  })

  it('GOS-32 an address is one of a member as long as any member has it', () => {
    const core = new Core({ timings })
    const [first, second] = places
    if (first === undefined || second === undefined) throw new Error('two places')
    core.tell(alive('a', { address: bytesOf(first) }), alive('b', { address: bytesOf(first) }))
    core.tell(dead('a', 'a', 2))
    core.tell(alive('a', { address: bytesOf(second), incarnation: 3 }))
    expect([first, second].map((at) => hasMemberAt(core.state, at))).toEqual([true, true])
    core.tell(dead('b', 'a', 2))
    expect(hasMemberAt(core.state, first)).toBe(true)
    core.advanceTo(60_000)
    expect(core.status('b')).toBeUndefined()
    expect(hasMemberAt(core.state, first)).toBe(false)
    expect(hasMemberAt(core.state, { ...second, port: 7_947 })).toBe(false)
  })
})
