/** A sample of the bits of every file of a segment store in tier 1, all of them in tier 2. */
import { describe, expect, it } from 'vitest'
import { flipBits } from './flip-bits.ts'

const everything = process.env['KITH_TIER'] === '2'
const timeoutMs = everything ? 7_200_000 : 120_000

describe('a damaged segment store', () => {
  it.each(['stopped', 'killed'] as const)(
    'LOG-27 a flipped bit anywhere in its files is noticed or changes nothing, %s',
    async (ending) => {
      await expect(flipBits('segment', ending, everything)).resolves.toBeUndefined()
    },
    timeoutMs,
  )
})
