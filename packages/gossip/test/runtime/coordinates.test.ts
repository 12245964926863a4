// Whole members over links of known length: what they estimate comes to what is true.
import { createRandom } from '@kith/interface'
import { describe, expect, it } from 'vitest'
import { at, cluster, createPlace, stopAll, text } from './support.ts'
import type { Place } from './support.ts'

interface Spot {
  readonly x: number
  readonly y: number
  readonly access: number
}

/** Three sites on a plane, in milliseconds; each member has an access link of its own. */
function spots(count: number, seed: number): readonly Spot[] {
  const random = createRandom(seed)
  const sites = [
    [0, 0],
    [60, 10],
    [25, 90],
  ] as const
  return Array.from({ length: count }, (_, index) => {
    const [x, y] = sites[index % 3] ?? [0, 0]
    return { x: x + random.float() * 4, y: y + random.float() * 4, access: 1 + random.float() * 3 }
  })
}

function trueRttMs(a: Spot, b: Spot): number {
  return Math.hypot(a.x - b.x, a.y - b.y) + a.access + b.access
}

function lay(place: Place, places: readonly Spot[], jitterMs: number): void {
  for (const [a, from] of places.entries()) {
    for (const [b, to] of places.entries()) {
      const latencyMs = trueRttMs(from, to) / 2
      if (a !== b) place.network.setLink(at(a + 1), at(b + 1), { latencyMs, jitterMs })
    }
  }
}

describe('coordinates of a cluster', () => {
  it('GOS-136 estimates come close to the true round trips, for third parties too', async () => {
    const count = 12
    const places = spots(count, 5)
    const place = createPlace(11)
    lay(place, places, 1)
    const members = await cluster(place, count)
    await place.advance(150_000)
    const errors: number[] = []
    const [observer] = members
    for (const [a, from] of places.entries()) {
      for (const [b, to] of places.entries()) {
        if (a >= b) continue
        const truth = trueRttMs(from, to) + 1
        const told = observer?.rtt(`m${a + 1}`, `m${b + 1}`)
        const off = Math.abs((told ?? Infinity) - truth)
        errors.push(off / truth)
        // Within a site the distances of the others weigh more than what is measured there.
        expect(off, `m${a + 1} m${b + 1}: ${told}, ${truth}`).toBeLessThan(
          Math.max(truth * 0.15, 5),
        )
      }
    }
    errors.sort((a, b) => a - b)
    expect(errors[Math.floor(errors.length / 2)]).toBeLessThan(0.05)
    // Nobody of another site is nearer than somebody of one's own.
    for (const [index, member] of members.entries()) {
      const order = member.nearest().map(({ name }) => (Number(name.slice(1)) - 1) % 3)
      expect(order).toHaveLength(count - 1)
      expect(order.slice(0, 3)).toEqual([index % 3, index % 3, index % 3])
      expect(member.self.coordinate).toBeDefined()
      expect(member.stats().counters).not.toHaveProperty('coordinateResets')
    }
    await stopAll(place, members)
  })

  it('GOS-135 what is not known yet, or not any more, is undefined', async () => {
    const place = createPlace(3)
    const [one, two] = [place.gossip(1), place.gossip(2)]
    expect(one.rtt('m2')).toBeUndefined()
    expect(one.nearest()).toEqual([])
    await place.until(Promise.all([one.start(), two.start()]))
    expect(one.rtt('m2')).toBeUndefined()
    await place.until(one.join([text(2)]))
    await place.eventually(() => one.rtt('m2') !== undefined && two.rtt('m1') !== undefined)
    expect(one.rtt('m2')).toBe(one.rtt('m2', 'm1'))
    expect(one.rtt('m2')).toBeGreaterThan(0)
    expect(one.rtt('nobody')).toBeUndefined()
    expect(one.nearest('nobody').map(({ name }) => name)).toEqual(['m1', 'm2'])
    await stopAll(place, [one, two])
  })
})
