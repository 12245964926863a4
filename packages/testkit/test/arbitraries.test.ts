/** The arbitraries make what they say, and reach their corners. */
import { isIP } from 'node:net'
import { assert, property, sample, uint8Array } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { addresses, byteArrays, hostileNames, memberNames, pieces } from '../src/index.ts'

describe('arbitraries', () => {
  it('make names that are allowed, and names that are not', () => {
    assert(property(memberNames(), (name) => /^[A-Za-z0-9._-]{1,128}$/.test(name)))
    const hostile = sample(hostileNames(), { numRuns: 500, seed: 1 })
    expect(hostile.some((name) => name === '')).toBe(true)
    expect(hostile.some((name) => !/^[A-Za-z0-9._-]{1,128}$/.test(name))).toBe(true)
  })

  it('make addresses of both families that can be sent to', () => {
    assert(property(addresses(), ({ host, port }) => isIP(host) > 0 && port > 0 && port < 65_536))
    const families = sample(addresses(), { numRuns: 100, seed: 1 }).map(({ host }) => isIP(host))
    expect(new Set(families)).toEqual(new Set([4, 6]))
  })

  it('make bytes up to the bound, near it too', () => {
    const sizes = sample(byteArrays(1_400), { numRuns: 300, seed: 1 }).map(({ length }) => length)
    expect(Math.max(...sizes)).toBeGreaterThan(1_000)
    expect(Math.max(...sizes)).toBeLessThanOrEqual(1_400)
    expect(Math.min(...sizes)).toBeLessThan(5)
  })

  it('cut bytes into pieces that join to the same bytes', () => {
    const cut = uint8Array({ maxLength: 200 }).chain((bytes) =>
      pieces(bytes).map((parts) => ({ bytes, parts })),
    )
    assert(
      property(cut, ({ bytes, parts }) => {
        expect(parts.every((part) => part.length > 0)).toBe(true)
        expect(parts.flatMap((part) => [...part])).toEqual([...bytes])
      }),
    )
  })
})
