/** The harness of `bench/log`: what it says about slices is right. */
import { describe, expect, it } from 'vitest'
import { geometricMean, quantile, ratios, spread, turns } from '../log/support/statistics.ts'

describe('statistics of slices', () => {
  it('takes median and quartiles of an odd and an even number of rounds', () => {
    expect(spread([5, 1, 4, 2, 3])).toEqual({ median: 3, low: 2, high: 4 })
    expect(spread([4, 1, 3, 2])).toEqual({ median: 2.5, low: 1.75, high: 3.25 })
    expect(spread([7])).toEqual({ median: 7, low: 7, high: 7 })
    expect(quantile([], 0.5)).toBeNaN()
  })

  it('sorts numbers as numbers, and leaves what it was given as it was', () => {
    const given = [100, 9, 20]
    expect(quantile(given, 0.5)).toBe(20)
    expect(quantile(given, 0)).toBe(9)
    expect(quantile(given, 1)).toBe(100)
    expect(given).toEqual([100, 9, 20])
  })

  it('pairs rounds: a round that was slow for both does not move the ratio', () => {
    const ours = [100, 10, 100]
    const theirs = [50, 5, 50]
    expect(spread(ratios(ours, theirs))).toEqual({ median: 2, low: 2, high: 2 })
    expect(() => ratios([1, 2], [1])).toThrow('both take part in every round')
  })

  it('weighs twice as high and half as high alike over cells', () => {
    expect(geometricMean([2, 0.5])).toBeCloseTo(1)
    expect(geometricMean([1, 1, 8])).toBeCloseTo(2)
  })
})

describe('turns', () => {
  it.each([1, 2, 5, 10, 11])('gives each of %i every place once', (contenders) => {
    const rounds = Array.from({ length: contenders }, (_, round) => turns(contenders, round))
    const everyone = Array.from({ length: contenders }, (_, at) => at)
    for (const place of everyone) {
      expect(rounds.map((row) => row[place] ?? -1).toSorted((a, b) => a - b)).toEqual(everyone)
      expect(rounds[place]?.toSorted((a, b) => a - b)).toEqual(everyone)
    }
  })

  it.each([4, 9, 10])('lets each of %i follow each other one about as often', (contenders) => {
    const follows = new Map<string, number>()
    for (let round = 0; round < 2 * contenders; round += 1) {
      const row = turns(contenders, round)
      for (let at = 1; at < row.length; at += 1) {
        const pair = `${row[at - 1]} before ${row[at]}`
        follows.set(pair, (follows.get(pair) ?? 0) + 1)
      }
    }
    expect(follows.size).toBe(contenders * (contenders - 1))
    expect(new Set(follows.values())).toEqual(new Set([2]))
  })
})
