/**
 * Where Serf was measured to be weak, in miniature: joins, healing, and load that keeps itself up.
 */
import { step } from '@kith/gossip/core'
import type { State } from '@kith/gossip/core'
import { describe, expect, it } from 'vitest'
import { atTier, evidence } from '../support/tier.ts'
import type { Step } from './gossip/cluster.ts'
import { healing, joinTimes, storm } from './gossip/trials.ts'

const timeout = 3_600_000

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
}

/** Takes news out of the queue that this core would have sent. */
function forget(state: State, unwanted: (about: string, transmits: number) => boolean): void {
  const { broadcasts } = state
  for (const [transmits, tier] of broadcasts.tiers.entries()) {
    const kept = tier.filter(({ about }) => about === undefined || !unwanted(about, transmits))
    for (const { about } of tier) {
      if (about !== undefined && unwanted(about, transmits)) broadcasts.byAbout.delete(about)
    }
    broadcasts.size -= tier.length - kept.length
    tier.splice(0, tier.length, ...kept)
  }
}

/** News leaves the queue where Serf's would, after `2 * ceil(log10(N + 1))` transmissions. */
const sendsAsSerf: Step = (state, input, now) => {
  const outputs = step(state, input, now)
  const limit = 2 * Math.ceil(Math.log10(state.ring.length + 1))
  forget(state, (_about, transmits) => transmits >= limit)
  for (const entry of state.entries.values()) entry.heard = state.incarnation
  return outputs
}

/** Nobody passes on news of the members that join a settled cluster of ten. */
const ignoresNewcomers: Step = (state, input, now) => {
  const outputs = step(state, input, now)
  forget(state, (about) => about >= 'm10')
  return outputs
}

/** Nobody looks for lost members but Serf's way. */
const looksAsSerf: Step = (state, input, now) => {
  for (const name of state.failed) {
    const row = state.members.get(name)
    if (row !== undefined) row.askAt = Infinity
  }
  state.askFirst.clear()
  state.meetsAgainAt = Infinity
  return step(state, input, now)
}

/** Forgets what it has sent. */
const paceless: Step = (state, input, now) => {
  state.pace.sentAt.fill(-Infinity)
  return step(state, input, now)
}

describe('a join', () => {
  const seeds = atTier([1], [1, 2, 3, 4, 5])
  const cases = [
    { profile: 'local', members: 10, boundMs: 1000 },
    { profile: 'local', members: 40, boundMs: 1000 },
    { profile: 'lan', members: 10, boundMs: 1000 },
    { profile: 'lan', members: 40, boundMs: 1500 },
  ] as const
  for (const { profile, members, boundMs } of cases) {
    const title = `GOS-150 everybody hears of it without push/pull: ${profile}, ${members} members`
    it(title, { timeout }, () => {
      const times = seeds.flatMap((seed) => joinTimes({ seed, profile, members }, atTier(8, 20)))
      evidence(`join ${profile} ${members} median`, quantile(times, 0.5))
      evidence(`join ${profile} ${members} longest`, Math.max(...times))
      expect(Math.max(...times)).toBeLessThanOrEqual(boundMs)
    })
  }

  it('GOS-150 is missed by somebody where news is sent as often as Serf sends it', () => {
    const options = { profile: 'local', members: 40, step: sendsAsSerf } as const
    const times = [1, 2].flatMap((seed) => joinTimes({ ...options, seed }, 6))
    expect(times).toContain(Infinity)
  })

  it('GOS-151 reaches even whom all gossip missed, with our own probes', () => {
    const options = { seed: 1, profile: 'local', members: 10 } as const
    const times = joinTimes({ ...options, step: ignoresNewcomers }, 5)
    expect(Math.max(...times)).toBeLessThanOrEqual(20_000)
    const silent: Step = (state, input, now) => {
      for (const entry of state.entries.values()) entry.heard = state.incarnation
      return ignoresNewcomers(state, input, now)
    }
    expect(joinTimes({ ...options, step: silent }, 2)).toEqual([Infinity, Infinity])
  })
})

describe('a partition', () => {
  const cases = [
    { profile: 'lan', members: 3, cutOff: 1, cutMs: 20_000 },
    { profile: 'lan', members: 10, cutOff: 3, cutMs: 40_000 },
    { profile: 'local', members: 20, cutOff: 1, cutMs: 40_000 },
    { profile: 'lan', members: 20, cutOff: 10, cutMs: 60_000 },
    { profile: 'lan', members: 10, cutOff: 5, cutMs: 240_000 },
  ] as const
  for (const { profile, members, cutOff, cutMs } of cases) {
    const cut = `${cutOff} of ${members} for ${cutMs / 1000} s`
    it(`GOS-152 GOS-153 heals within 5 s: ${cut}, ${profile}`, { timeout }, () => {
      const trials = Array.from({ length: atTier(1, 20) }, (_, index) =>
        healing({ seed: index + 1, profile, members }, cutOff, cutMs),
      )
      // All of the larger side lost all of the smaller one; who is alone takes longer to notice.
      const least = cutOff * (members - cutOff)
      for (const { lost } of trials) expect(lost).toBeGreaterThanOrEqual(least)
      const times = trials.map(({ tookMs }) => tookMs)
      evidence(`heal ${cut} ${profile} longest`, Math.max(...times))
      expect(Math.max(...times)).toBeLessThanOrEqual(5000)
    })
  }

  it('GOS-152 does not heal in time where lost members are looked for as Serf does', () => {
    const times = [1, 2, 3].map((seed) => {
      const options = { seed, profile: 'lan', members: 3, step: looksAsSerf } as const
      return healing(options, 1, 20_000).tookMs
    })
    expect(Math.max(...times)).toBeGreaterThan(5000)
  })
})

describe('a machine that is too small', () => {
  /** Idle, these members need a third of what they have. */
  const busy = {
    members: atTier(30, 60),
    withinMs: 10_000,
    processors: atTier(0.075, 0.15),
    startMs: 20,
  } as const
  for (const [profile, most] of [
    ['lan', 19],
    ['local', 34],
  ] as const) {
    const title = `GOS-154 GOS-155 GOS-156 load dies out after a start and a stop at once: ${profile}`
    it(title, { timeout }, () => {
      for (const seed of atTier([1], [1, 2, 3, 4, 5])) {
        const result = storm({
          seed,
          profile,
          ...busy,
          stopped: busy.members / 10,
          stoppedMs: 16_000,
        })
        evidence(`storm ${profile} seed ${seed}`, JSON.stringify(result))
        expect(result.convergedMs).toBeLessThanOrEqual(30_000)
        expect(result.falseFailures).toBe(0)
        expect(result.packetsAfter).toBeLessThanOrEqual(2.1)
        expect(result.packetsWorst).toBeLessThanOrEqual(most)
      }
    })
  }

  it('GOS-154 more is sent where nobody remembers what it sent', { timeout }, () => {
    const options = { seed: 1, profile: 'lan', ...busy, processors: 1, step: paceless } as const
    expect(storm({ ...options, stopped: 6, stoppedMs: 8000 }).packetsWorst).toBeGreaterThan(19)
  })
})
