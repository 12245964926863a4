// The soak in short, on loopback, where a member that should be cut off stands still instead.
import { describe, expect, it } from 'vitest'
import { atTier, evidence } from '../support/tier.ts'
import { loopbackGround } from './replication/ground.ts'
import { soak } from './replication/soak.ts'

describe('agents over kills, pauses, a replacement and a roll-back', () => {
  // In every run of the tests three, which cost half the processor time of five, and as many of
  // these faults as two minutes have room for. One disk is lost in each phase, and by this seed in
  // the first two of them in either way.
  const members = atTier(3, 5)
  const quota = {
    kills: atTier(16, 60),
    partitions: atTier(8, 20),
    replacements: atTier(4, 5),
    rollBacks: atTier(4, 5),
  }
  const endsAfterMs = atTier(110_000, Infinity)

  it(
    'REP-2 REP-6 REP-10 REP-11 REP-12 REP-14 lose, repeat and mix up nothing',
    {
      timeout: 1_200_000,
    },
    async () => {
      const printed: string[] = []
      const result = await soak({
        ground: await loopbackGround(members),
        ...{
          seed: 1,
          quota,
          paceMs: atTier(1_000, 800),
          appendMs: atTier(1_500, 800),
          endsAt: performance.now() + endsAfterMs,
          phasesMin: 2,
        },
        ...{ keep: false, signal: new AbortController().signal },
        print: (line) => void printed.push(line),
      }).catch((cause: unknown) => {
        throw new Error(printed.join('\n'), { cause })
      })
      const { kills, partitions, replacements, rollBacks } = result.faults
      const happened = { kills, partitions, replacements, rollBacks }
      if (endsAfterMs === Infinity) expect(happened).toEqual(quota)
      for (const count of Object.values(happened)) expect(count).toBeGreaterThan(0)
      const { acknowledged, appends, findings } = result
      expect(acknowledged.disk).toBeGreaterThan(0)
      expect(acknowledged.replicas).toBeGreaterThan(0)
      expect(appends.retries).toBeGreaterThan(0)
      expect(findings.records).toBeGreaterThan(0)
      // One disk at most is lost between two checks.
      expect(findings.beyond).toBe(0)
      evidence('soak on loopback: faults', JSON.stringify(result.faults))
      evidence('soak on loopback: records acknowledged', JSON.stringify(acknowledged))
      evidence('soak on loopback: found at the end', JSON.stringify(findings))
    },
  )
})
