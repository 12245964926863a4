/** The comparison of detectors in miniature; `npm run sim -- lifeguard` runs all of it. */
import { describe, expect, it } from 'vitest'
import { atTier, evidence } from '../support/tier.ts'
import { detectors, runCell } from './gossip/lifeguard.ts'
import type { Column, Found } from './gossip/lifeguard.ts'

describe('detectors while members stand still', () => {
  it('GOS-208 plain SWIM fails whom Lifeguard and Kith do not', { timeout: 3_600_000 }, () => {
    const cell = { members: 32, blocked: 8, openMs: 4, blockedMs: 8192 } as const
    const sums = new Map<Column, Found>()
    const judged: readonly Column[] = ['plain SWIM', 'Lifeguard', 'Kith']
    for (const column of atTier(judged, Object.keys(detectors) as Column[])) {
      for (let seed = 1; seed <= atTier(2, 10); seed += 1) {
        const found = runCell({ ...cell, column, seed })
        const sum = sums.get(column) ?? { ...found, falseAll: 0, falseHealthy: 0 }
        sums.set(column, { ...sum, falseAll: sum.falseAll + found.falseAll })
      }
      evidence(`8 of 32 stand still, false failures, ${column}`, sums.get(column)?.falseAll ?? 0)
    }
    const plain = sums.get('plain SWIM')?.falseAll ?? 0
    expect(plain).toBeGreaterThan(20)
    for (const column of ['Lifeguard', 'Kith'] as const) {
      expect(sums.get(column)?.falseAll).toBeLessThanOrEqual(plain / 4)
    }
  })

  it('GOS-77 the same cell gives the same counts again', () => {
    const cell = { members: 12, blocked: 4, openMs: 16, blockedMs: 2048, seed: 3 } as const
    const run = (): Found => runCell({ ...cell, column: 'Kith' })
    expect(run()).toEqual(run())
  })
})
