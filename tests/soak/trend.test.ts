// The judge of what an agent keeps: what stays level passes, and every planted leak is found.
import { createSimRandom } from '@kith/sim'
import { describe, expect, it } from 'vitest'
import { complaints, lineThrough, type Look, trendOf } from './agent/trend.ts'

const bytesPerHourMax = 2 ** 20
/** Of the heap of an agent that keeps nothing, from one look to the next: measured. */
const scatterBytes = 40_000

interface Kept {
  /** Of each member that joined. */
  readonly bytes?: number
  readonly timers?: number
}

/** An agent that is looked at for 20 minutes, after every 12 of 840 members, and what it keeps. */
function soaked({ bytes = 0, timers = 0 }: Kept, scatter = scatterBytes): Look[] {
  const random = createSimRandom(7)
  return Array.from({ length: 70 }, (_, at) => {
    const joins = 12 * (at + 1)
    const noise = (random.uint32() / 2 ** 32 - 0.5) * 2 * scatter
    return {
      atMs: at * 17_000,
      joins,
      heapBytes: 32_000_000 + noise + joins * bytes,
      rssBytes: 180_000_000,
      // Some wait at any look, now more, now fewer.
      held: { timers: 30 + (random.uint32() % 8) + Math.floor(joins * timers), sockets: 7 },
    }
  })
}

function verdict(kept: Kept, scatter?: number): readonly string[] {
  return complaints(trendOf(soaked(kept, scatter)), bytesPerHourMax)
}

describe('the judge of what an agent keeps', () => {
  it('passes an agent that keeps nothing', () => {
    expect(verdict({})).toEqual([])
  })

  it('finds a mutant that keeps something of every member', () => {
    // A name, an address and what holds them: some 500 bytes.
    expect(verdict({ bytes: 500 })).toEqual([
      expect.stringMatching(/^the heap grows by 1\.\d\d MiB/),
    ])
    expect(trendOf(soaked({ bytes: 500 })).bytesPerJoin).toBeCloseTo(500, -2)
  })

  it('finds a mutant that leaves one timer of ten members', () => {
    expect(verdict({ timers: 0.1 })).toEqual([expect.stringMatching(/^timers: at most \d+ first/)])
  })

  it('does not pass looks that scatter too widely to tell', () => {
    expect(verdict({}, 4_000_000)).toEqual([expect.stringMatching(/^the heap grows by .* ± /)])
  })

  it('says nothing about a few looks', () => {
    expect(() => trendOf(soaked({}).slice(0, 8))).toThrow(/it takes 9/)
  })

  it('draws the line of least squares, and knows how far off it is', () => {
    const points = (...ys: readonly number[]) => ys.map((y, x): [number, number] => [x, y])
    expect(lineThrough(points(1, 3, 5))).toEqual({ slope: 2, error: 0 })
    // Worked by hand: residuals 1/6, -1/3, 1/6, so that the error is the root of 1/12.
    const { slope, error } = lineThrough(points(0, 1, 3))
    expect(slope).toBeCloseTo(1.5)
    expect(error).toBeCloseTo(Math.sqrt(1 / 12))
  })
})
