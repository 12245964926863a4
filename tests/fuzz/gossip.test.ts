// The decoders of gossip under bent inputs. Everything but the number is the same in both tiers.
import { describe, expect, it } from 'vitest'
import { atTier } from '../support/tier.ts'
import { runTarget, wanted } from './run.ts'
import { targets } from './targets/index.ts'

const inputs = atTier(200_000, 10_000_000)

describe('bent bytes for gossip', () => {
  it.each([
    ['GOS-180', 'packet'],
    ['GOS-180', 'stream'],
    ['GOS-180', 'msgpack'],
    ['GOS-180', 'lzw'],
    ['GOS-180', 'snapshot'],
    ['GOS-180', 'keyring'],
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
