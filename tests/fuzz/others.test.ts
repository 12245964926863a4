// The decoders of the other packages, and the expressions of filters.
import { describe, expect, it } from 'vitest'
import { atTier } from '../support/tier.ts'
import { runTarget, wanted } from './run.ts'
import { targets } from './targets/index.ts'

const inputs = atTier(20_000, 2_000_000)

describe('bent bytes for the rest', () => {
  it.each([
    ['RPC-3', 'rpc-server'],
    ['RPC-3', 'rpc-client'],
    ['LOG-4', 'batch'],
    ['REP-24', 'replication'],
    ['GOS-17', 'pattern'],
  ])(
    '%s %s: none throws, hangs, is misread, or takes 32 MiB',
    { timeout: 7_200_000 },
    async (_, name) => {
      if (!wanted(name)) return
      const { failure, ends, inputs: done, growthBytes } = await runTarget(name, inputs)
      expect(failure).toBeUndefined()
      expect(done).toBe(inputs)
      expect(growthBytes).toBeLessThan(32 * 2 ** 20)
      expect(Object.keys(ends)).toEqual(expect.arrayContaining([...(targets[name]?.ends ?? [])]))
    },
  )
})
