/** What a large cluster costs: time of a step, room for a member, and speed of virtual time. */
import { describe, expect, it } from 'vitest'
import { atTier, evidence } from '../support/tier.ts'
import { crashStudy, memoryStudy, speedStudy, stepStudy } from './gossip/scale.ts'

const timeout = 3_600_000
const members = atTier(120, 1000)

describe('a large cluster', () => {
  it('GOS-204 runs 50 members at least 50 times as fast as real time', { timeout }, () => {
    // Processor time, so that others on this machine count little.
    const speed = speedStudy(50)
    evidence('50 members, times real time', Math.round(speed))
    expect(speed).toBeGreaterThanOrEqual(50)
  })

  it('GOS-205 takes at most 1 KiB for each further member that one knows', { timeout }, () => {
    const bytes = memoryStudy(atTier(20, 50), atTier(90, 1000))
    evidence('bytes of a known member', Math.round(bytes))
    expect(bytes).toBeLessThanOrEqual(1024)
    expect(bytes).toBeGreaterThan(100)
  })

  it(`GOS-206 of ${members}: a crash is known to all within the bound`, { timeout }, () => {
    const { formedMs, detections, likelyMs, falseFailures } = crashStudy(members, atTier(3, 20))
    evidence(`${members} members, all known after, virtual ms`, formedMs)
    for (const { firstMs, allMs } of detections) {
      expect(allMs).toBeLessThanOrEqual(likelyMs)
      // Nearly everybody hears of the first verdict, so that all of them have it within seconds.
      expect(allMs - firstMs).toBeLessThanOrEqual(5000)
    }
    const longest = Math.max(...detections.map(({ allMs }) => allMs))
    evidence(`${members} members, ${detections.length} crashes, failed by all, ms`, longest)
    expect(falseFailures).toBe(0)
  })

  it(`GOS-207 of ${members}: no step takes more than 5 ms`, { timeout }, () => {
    const { count, longestMs, kind, medianUs } = stepStudy(members)
    evidence(`${members} members, longest of ${count} steps, ms`, `${longestMs} (${kind})`)
    evidence(`${members} members, median step, us`, medianUs)
    expect(count).toBeGreaterThan(100)
    expect(longestMs).toBeLessThanOrEqual(5)
  })
})
