/** Profiles, overrides and own tags. */
import { describe, expect, it } from 'vitest'
import { tagsProblem } from '../../src/core/index.ts'
import { GossipError } from '../../src/errors.ts'
import { nameProblem, profiles, resolveOptions } from '../../src/options.ts'
import type { GossipTimings, Profile } from '../../src/options.ts'

function problemsOf(profile: unknown, overrides: unknown): readonly string[] {
  try {
    resolveOptions(profile as Profile, overrides as Partial<GossipTimings>)
  } catch (error) {
    if (!(error instanceof GossipError) || error.code !== 'ERR_GOSSIP_OPTIONS') throw error
    return error.details?.problems?.map(({ field }) => field) ?? []
  }
  return []
}

describe('options', () => {
  it("GOS-66 profiles are memberlist's and Serf's, frozen", () => {
    const { lan, wan, local, fast } = profiles
    expect(lan).toMatchObject({
      probeIntervalMs: 1000,
      probeTimeoutMs: 500,
      indirectProbesMax: 3,
      suspicionFactor: 4,
      suspicionMaxFactor: 6,
      retransmitFactor: 4,
      gossipIntervalMs: 200,
      gossipFanout: 3,
      gossipToTheDeadMs: 30_000,
      pushPullIntervalMs: 30_000,
      streamTimeoutMs: 10_000,
      awarenessFactorMax: 8,
      reapIntervalMs: 15_000,
      reconnectIntervalMs: 30_000,
      recentIntentTimeoutMs: 300_000,
      eventBufferMax: 512,
      queryBufferMax: 512,
    })
    expect(wan).toMatchObject({ probeIntervalMs: 5000, probeTimeoutMs: 3000, suspicionFactor: 6 })
    expect(local).toMatchObject({ probeTimeoutMs: 200, retransmitFactor: 2, suspicionFactor: 3 })
    expect([lan, wan, local, fast].every((profile) => Object.isFrozen(profile))).toBe(true)
  })

  it('GOS-66 every field that is wrong is named, in one error', () => {
    const overrides = {
      probeIntervalMs: 1.5,
      gossipFanout: 0,
      streamProbe: 'yes',
      membersMax: Number.NaN,
      unheard: 1,
    }
    expect(problemsOf('lan', overrides)).toEqual(
      Object.keys(overrides).map((field) => `overrides.${field}`),
    )
    expect(problemsOf('moon', {})).toEqual(['profile'])
    expect(problemsOf('__proto__', {})).toEqual(['profile'])
  })

  it('GOS-66 a probe that would have no time to ask others is refused', () => {
    expect(problemsOf('lan', { probeIntervalMs: 500 })).toEqual(['overrides.probeTimeoutMs'])
    expect(problemsOf('lan', { probeIntervalMs: 501 })).toEqual([])
  })

  it('GOS-66 more packets within a probe interval than can be kept count of are refused', () => {
    // Each field is legal alone; together they would take two gigabytes.
    const much = { gossipFanout: 64, gossipIntervalMs: 1, probeIntervalMs: 3_600_000 }
    expect(problemsOf('lan', much)).toEqual(['overrides.gossipIntervalMs'])
    expect(problemsOf('lan', { ...much, gossipIntervalMs: 220 })).toEqual([])
  })

  it("GOS-66 what is given is merged, frozen, and not the caller's object", () => {
    const overrides = { membersMax: 7 }
    const resolved = resolveOptions('wan', overrides)
    expect(resolved).toEqual({ ...profiles.wan, membersMax: 7 })
    expect(Object.isFrozen(resolved)).toBe(true)
    expect(overrides).toEqual({ membersMax: 7 })
  })

  it('GOS-66 own names and own tags are checked before anybody hears of them', () => {
    expect(['a', 'A.b_c-9', 'x'.repeat(128)].map((name) => nameProblem(name))).toEqual([
      undefined,
      undefined,
      undefined,
    ])
    const bad = ['', 'a b', 'a/b', 'ä', 'x'.repeat(129), 5]
    expect(bad.map((name) => nameProblem(name)?.field)).toEqual(bad.map(() => 'name'))
    expect(tagsProblem({ role: 'web' })).toBeUndefined()
    const wrong = ['no', null, [], { role: 5 }, { 'kith.v': '2' }, { big: 'x'.repeat(512) }]
    expect(wrong.map((tags) => tagsProblem(tags)?.field)).toEqual([
      'tags',
      'tags',
      'tags',
      'tags.role',
      'tags.kith.v',
      'tags',
    ])
  })
})
