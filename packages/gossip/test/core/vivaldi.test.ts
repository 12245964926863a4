// The arithmetic of coordinates, against what a real Serf computed, and what it must never do.
import { createRandom, estimatedRttMs, rawDistanceSeconds } from '@kith/interface'
import type { Coordinate } from '@kith/interface'
import { assert, double, integer, property } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { coordinateFits, moved, origin } from '../../src/core/vivaldi.ts'

function samples(): number[] {
  return Array.from({ length: 20 }, () => 0)
}

function length(vector: readonly number[]): number {
  return Math.sqrt(vector.reduce((sum, value) => sum + value ** 2, 0))
}

function at(first: number, changes: Partial<Coordinate> = {}): Coordinate {
  return { ...origin, vector: [first, 0, 0, 0, 0, 0, 0, 0], ...changes }
}

describe('Vivaldi', () => {
  it('GOS-131 gives to the last digit what a real Serf gave for the same measurement', () => {
    for (let seed = 0; seed < 20; seed += 1) {
      const random = createRandom(seed)
      const rttSeconds = 0.002_344_046
      const own = { own: origin, other: origin, rttSeconds, samples: samples(), at: 0, random }
      const coordinate = moved(own)
      expect(coordinate.error).toBe(1.436433468029211)
      expect(coordinate.adjustment).toBe(5.083850624999999e-5)
      expect(coordinate.height).toBe(1e-5)
      // Any direction, so that its length is only exact up to rounding.
      expect(length(coordinate.vector)).toBeCloseTo(0.00029050574419691, 17)
    }
  })

  it('GOS-131 estimates with adjustments, unless they leave nothing', () => {
    const [a, b] = [at(0.01, { adjustment: 0.001 }), at(0.03, { adjustment: -0.002 })]
    expect(rawDistanceSeconds(a, b)).toBeCloseTo(0.02002, 12)
    expect(estimatedRttMs(a, b)).toBeCloseTo(19.02, 9)
    expect(estimatedRttMs(at(0, { adjustment: -1 }), at(0.01))).toBeCloseTo(10.02, 9)
  })

  it('GOS-131 is pulled back to the origin, the stronger the further out', () => {
    const far = at(90)
    const still = { own: far, other: at(89.9), rttSeconds: 0.10002, samples: samples(), at: 0 }
    const after = moved({ ...still, random: createRandom(1) })
    expect(after.vector[0]).toBeLessThan(89.8)
    expect(after.vector[0]).toBeGreaterThan(89)
  })

  it('GOS-132 stays a possible place after any measurements of possible places', () => {
    const component = double({ min: -100, max: 100, noNaN: true })
    const seconds = double({ min: 0, max: 10, noNaN: true })
    const error = double({ min: 0, max: 1.5, noNaN: true })
    assert(
      property(integer(), component, seconds, error, seconds, (seed, x, height, err, rtt) => {
        const random = createRandom(seed)
        let own = origin
        const ring = samples()
        for (let round = 0; round < 30; round += 1) {
          const other = at(round % 2 === 0 ? x : -x, { height, error: err })
          own = moved({ own, other, rttSeconds: rtt, samples: ring, at: round % 20, random })
          // Far enough out it may leave what others accept, and is then reset; it stays a number.
          if (!coordinateFits(own)) own = origin
          expect(own.vector.every(Number.isFinite)).toBe(true)
        }
      }),
      { numRuns: 200 },
    )
  })

  const unfit: readonly (readonly [string, Coordinate])[] = [
    ['not a number in the vector', at(Number.NaN)],
    ['infinite vector', at(Infinity)],
    ['seven dimensions', { ...origin, vector: [0, 0, 0, 0, 0, 0, 0] }],
    ['nine dimensions', { ...origin, vector: [0, 0, 0, 0, 0, 0, 0, 0, 0] }],
    ['no dimensions', { ...origin, vector: [] }],
    ['absurdly far', at(-101)],
    ['negative height', at(0, { height: -1e-9 })],
    ['height not a number', at(0, { height: Number.NaN })],
    ['absurd height', at(0, { height: 101 })],
    ['infinite adjustment', at(0, { adjustment: -Infinity })],
    ['adjustment not a number', at(0, { adjustment: Number.NaN })],
    ['absurd adjustment', at(0, { adjustment: 101 })],
    ['negative error', at(0, { error: -0.1 })],
    ['error not a number', at(0, { error: Number.NaN })],
    ['error above the most there is', at(0, { error: 1.5000001 })],
  ]
  it.each(unfit)('GOS-132 refuses %s', (_, coordinate) => {
    expect(coordinateFits(coordinate)).toBe(false)
  })

  it('GOS-132 takes what is possible', () => {
    const places = [origin, at(-100), at(3, { height: 0, error: 0, adjustment: -0.5 })]
    for (const place of places) expect(coordinateFits(place)).toBe(true)
  })
})
