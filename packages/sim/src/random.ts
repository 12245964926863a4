/** Seeded randomness that can be split by name, so that one part's draws never move another's. */
import { crc32 } from 'node:zlib'
import { createRandom } from '@kith/interface'
import type { Random } from '@kith/interface'

export interface SimRandom extends Random {
  /** The seed this generator and its forks come from. */
  readonly seed: number
  /** A generator of its own: equal seed and label give equal draws, however much was drawn here. */
  fork(label: string): SimRandom
  /** True with probability `chance`. Draws nothing where the answer is certain. */
  chance(chance: number): boolean
  /** Uniform in [min, max). */
  between(min: number, max: number): number
  /** One of the items; the list must not be empty. */
  pick<Item>(items: readonly Item[]): Item
  /** The items in random order, as a new list. */
  shuffle<Item>(items: readonly Item[]): Item[]
}

/** `label` names the whole path of forks; leave it out for the root of a seed. */
export function createSimRandom(seed: number, label = ''): SimRandom {
  const name = new TextEncoder().encode(label)
  const random = createRandom([seed >>> 0, Math.trunc(seed / 2 ** 32) >>> 0, crc32(name)])
  return {
    ...random,
    seed,
    fork: (part) => createSimRandom(seed, `${label}/${part}`),
    chance: (chance) => chance >= 1 || (chance > 0 && random.float() < chance),
    between: (min, max) => min + random.float() * (max - min),
    pick: (items) => items[random.below(items.length)] as (typeof items)[number],
    shuffle(items) {
      const copy = [...items]
      for (let index = copy.length - 1; index > 0; index -= 1) {
        const other = random.below(index + 1)
        const item = copy[index] as (typeof items)[number]
        copy[index] = copy[other] as (typeof items)[number]
        copy[other] = item
      }
      return copy
    },
  }
}
