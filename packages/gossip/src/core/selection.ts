/** Drawing random members: memberlist's way, cheap for few out of many. */
import type { Entry, State } from './state.ts'

/**
 * Up to `count` different entries that `fits`. Small clusters are shuffled whole, so that nobody is
 * missed by chance; large ones are drawn from up to 3N times.
 */
export function pickEntries(
  state: State,
  wanted: number,
  fits: (entry: Entry) => boolean,
): readonly Entry[] {
  const { ring, random } = state
  const picked: Entry[] = []
  if (wanted < 1) return picked
  if (ring.length < 3 * wanted) {
    const copy = [...ring]
    shuffle(state, copy)
    for (const entry of copy) {
      if (picked.length < wanted && fits(entry)) picked.push(entry)
    }
    return picked
  }
  for (let draw = 0; draw < 3 * ring.length && picked.length < wanted; draw += 1) {
    const entry = ring[random.below(ring.length)]
    if (entry !== undefined && fits(entry) && !picked.includes(entry)) picked.push(entry)
  }
  return picked
}

/** Fisher and Yates, in place. */
export function shuffle<Item>(state: State, items: Item[]): void {
  for (let last = items.length - 1; last > 0; last -= 1) {
    const place = state.random.below(last + 1)
    const a = items[last]
    const b = items[place]
    if (a === undefined || b === undefined) continue
    items[last] = b
    items[place] = a
  }
}
