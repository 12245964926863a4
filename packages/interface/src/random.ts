/** Randomness that can be repeated: simulations replay it, cores keep it in their state. */
import type { Random } from './context.ts'

/**
 * A seeded generator (sfc32, 128 bits of state): the same seed gives the same sequence on every
 * machine. Not for secrets.
 */
export function createRandom(seed: number | readonly [number, number, number]): Random {
  const [first, second, third] =
    typeof seed === 'number' ? [seed, Math.trunc(seed / 2 ** 32), 0x6b697468] : seed
  let a = first >>> 0
  let b = second >>> 0
  let c = third >>> 0
  let counter = 1
  const uint32 = (): number => {
    const sum = (a + b + counter) >>> 0
    counter = (counter + 1) >>> 0
    a = (b ^ (b >>> 9)) >>> 0
    b = (c + (c << 3)) >>> 0
    c = (((c << 21) | (c >>> 11)) + sum) >>> 0
    return sum
  }
  for (let round = 0; round < 15; round += 1) uint32()
  const float = (): number => ((uint32() >>> 5) * 2 ** 26 + (uint32() >>> 6)) / 2 ** 53
  return { uint32, float, below: (bound) => Math.floor(float() * bound) }
}
