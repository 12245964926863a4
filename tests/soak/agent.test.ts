// Members that join an agent and leave it, or are killed, a thousand times: it keeps nothing.
import { describe, expect, it } from 'vitest'
import { atTier, evidence } from '../support/tier.ts'
import { soakAgent } from './agent/soak.ts'
import { complaints, showLine, trendOf } from './agent/trend.ts'

/**
 * The bound on the heap after collection. Some 200 bytes of each member are kept for its log, which
 * pulled from the agent's: of at most 4,096 logs, the last ones (`pullersMax` of the replicator).
 */
const bytesPerHourMax = 2 ** 20
/**
 * Until code is compiled, tables have their size, and what is remembered for five minutes
 * (`recentIntentTimeoutMs`) is as much as it will be.
 */
const warmUpMs = 6 * 60_000

describe('an agent around which members come and go', () => {
  // In every run of the tests once, so that this still works when somebody wants to know.
  const waves = atTier(
    { waves: 1, leaving: 2, killed: 0, waveMs: 0 },
    { waves: 86, leaving: 9, killed: 3, waveMs: 18_500 },
  )

  it('keeps nothing of them', { timeout: atTier(60_000, 2_400_000) }, async () => {
    const { joins, kills, looks } = await soakAgent(waves)
    expect(joins).toBe(waves.waves * (waves.leaving + waves.killed))
    expect(looks).toHaveLength(waves.waves)
    expect(looks[0]?.held['timers']).toBeGreaterThan(0)
    const warm = looks.filter(({ atMs }) => atMs > warmUpMs)
    const [first, last] = [warm[0], warm.at(-1)]
    if (first === undefined || last === undefined) return
    const trend = trendOf(warm)
    evidence('agent soak: joins, of which killed', `${joins}, ${kills}`)
    evidence('agent soak: minutes, of which judged', showMinutes(last.atMs, first.atMs))
    evidence('agent soak: looks judged', warm.length)
    evidence('agent soak: heap after collection, bytes', `${first.heapBytes}, ${last.heapBytes}`)
    evidence('agent soak: heap grows by', showLine(trend.heap))
    evidence('agent soak: bytes of heap for each join', trend.bytesPerJoin.toFixed(1))
    evidence('agent soak: memory of the process grows by', showLine(trend.rss))
    evidence('agent soak: held at first', JSON.stringify(first.held))
    evidence('agent soak: held at last', JSON.stringify(last.held))
    expect(complaints(trend, bytesPerHourMax)).toEqual([])
  })
})

function showMinutes(lastMs: number, firstMs: number): string {
  return [lastMs, lastMs - firstMs].map((ms) => (ms / 60_000).toFixed(1)).join(', ')
}
