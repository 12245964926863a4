/** Profile `fast`: how soon it finds a crash, whom it wrongs, and how it lives with others. */
import { profiles } from '@kith/gossip/core'
import { describe, expect, it } from 'vitest'
import { atTier, evidence } from '../support/tier.ts'
import { detection } from './gossip/detection.ts'
import type { Detection, DetectionOptions } from './gossip/detection.ts'

const timeout = 3_600_000

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

function trials(count: number, options: Omit<DetectionOptions, 'seed'>): readonly Detection[] {
  return Array.from({ length: count }, (_, index) => detection({ ...options, seed: index + 1 }))
}

function report(name: string, found: readonly Detection[]): void {
  evidence(`${name} first suspected, median`, median(found.map((it) => it.suspectedMs)))
  evidence(`${name} first failed, median`, median(found.map((it) => it.firstMs)))
  evidence(`${name} failed everywhere, longest`, Math.max(...found.map((it) => it.lastMs)))
}

function wronged(found: readonly Detection[]): number {
  return found.reduce((sum, { falseFailures }) => sum + falseFailures, 0)
}

const fast = (): (typeof profiles)['fast'] => profiles.fast
/** Every other member has the timings of a Serf. */
const mixed = (index: number): (typeof profiles)['lan'] =>
  index % 2 === 0 ? profiles.fast : profiles.lan

describe('profile fast', () => {
  for (const [members, kills] of [
    [3, atTier(5, 50)],
    [10, atTier(5, 50)],
    [50, atTier(3, 20)],
    [atTier(60, 200), atTier(2, 10)],
  ] as const) {
    it(`GOS-174 finds a crash within 3 s: ${members} members`, { timeout }, () => {
      const found = trials(kills, { members, timings: fast })
      report(`fast ${members}`, found)
      expect(median(found.map(({ firstMs }) => firstMs))).toBeLessThanOrEqual(3000)
      expect(wronged(found)).toBe(0)
      // Nobody was ever in the position to have to say that it lives.
      expect(found.reduce((sum, { refutes }) => sum + refutes, 0)).toBe(0)
    })
  }

  for (const [members, how] of [
    [10, { loss: 0.1 }],
    [10, { blockedMs: 500 }],
    [20, { blockedMs: 1500 }],
    [20, { blockedMs: 6000 }],
  ] as const) {
    const trouble = JSON.stringify(how)
    it(`GOS-174 wrongs nobody else in trouble: ${members} members, ${trouble}`, { timeout }, () => {
      const found = trials(atTier(3, 30), { members, timings: fast, ...how })
      report(`fast ${members} ${trouble}`, found)
      expect(wronged(found)).toBe(0)
      expect(found.some(({ refutes }) => refutes > 0)).toBe(true)
      expect(median(found.map(({ firstMs }) => firstMs))).toBeLessThanOrEqual(3000)
    })
  }

  it('GOS-174 is four times as soon as lan', { timeout }, () => {
    const lan = trials(3, { members: 10, timings: () => profiles.lan })
    const quick = trials(3, { members: 10, timings: fast })
    const [slow, soon] = [lan, quick].map((found) => median(found.map((it) => it.firstMs)))
    expect((slow ?? 0) / (soon ?? 1)).toBeGreaterThan(3)
  })

  it('GOS-175 lives with members of lan, whom it decides for', { timeout }, () => {
    for (const how of [{}, { loss: 0.05 }, { blockedMs: 1500 }]) {
      const found = trials(atTier(3, 30), { members: 12, timings: mixed, ...how })
      report(`fast and lan ${JSON.stringify(how)}`, found)
      expect(wronged(found)).toBe(0)
      expect(median(found.map(({ firstMs }) => firstMs))).toBeLessThanOrEqual(4000)
      expect(Math.max(...found.map(({ lastMs }) => lastMs))).toBeLessThan(Infinity)
    }
  })
})
