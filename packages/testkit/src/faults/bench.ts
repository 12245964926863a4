/** What the cases of faults share: the store, the history, places to work in and figures. */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRandom } from '@kith/interface'
import type { Random } from '@kith/interface'
import { createHistory } from './history.ts'
import type { History } from './history.ts'
import type { StoreCall } from './strace.ts'
import { loadStore } from './subject.ts'
import type { LogStoreFaultSubject, OpenLogStore } from './subject.ts'

/** How long faults are looked for, and who is told. */
export interface LogStoreFaultOptions {
  /**
   * `short`: a sample of every fault, in a few seconds. `full`: every byte and every system call,
   * and what needs root and file systems of its own; minutes. Default: `short`.
   */
  readonly extent?: 'short' | 'full'
  /** Decides what is stored, and when faults happen. Default: 1. */
  readonly seed?: number
  /** Told what each case did, in a line: how many kills, cuts and flips, and what came of them. */
  readonly report?: (figure: string) => void
}

/** One case at work. */
export interface Bench {
  readonly subject: LogStoreFaultSubject
  readonly open: OpenLogStore
  readonly full: boolean
  readonly random: Random
  readonly seed: number
  /** A new, empty folder below the one of this case. */
  folder(): string
  /** Of the seed of the suite, or of another. */
  history(valueBytesMax: number, seed?: number): History
  report(figure: string): void
  /** What cases of one suite find out once for all of them. */
  readonly shared: Shared
}

export interface Shared {
  calls?: Promise<readonly StoreCall[]>
}

/** Gives a case its bench, and cleans up behind it. */
export async function withBench(
  subject: LogStoreFaultSubject,
  { extent = 'short', seed = 1, report = () => {} }: LogStoreFaultOptions,
  shared: Shared,
  run: (bench: Bench) => Promise<void> | void,
): Promise<void> {
  // In memory where there is such a place: stores are opened by the thousand.
  const place = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()
  const home = mkdtempSync(join(place, 'kith-faults-'))
  let folders = 0
  try {
    await run({
      subject,
      open: await loadStore(subject),
      full: extent === 'full',
      random: createRandom([seed, 11, 13]),
      seed,
      folder() {
        const folder = join(home, String((folders += 1)))
        mkdirSync(folder)
        return folder
      },
      history: (valueBytesMax, of = seed) => createHistory(of, valueBytesMax),
      report,
      shared,
    })
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
}

/**
 * Runs all of them, as many at a time as there are processors. Where one fails no other begins, and
 * it throws once those under way have ended.
 */
export async function inParallel<Item>(
  items: readonly Item[],
  run: (item: Item) => Promise<void>,
): Promise<void> {
  const left = items.values()
  const failures: unknown[] = []
  const worker = async (): Promise<void> => {
    for (const item of left) {
      await run(item).catch((cause: unknown) => failures.push(cause))
      if (failures.length > 0) return
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, worker))
  if (failures.length > 0) throw failures[0]
}

/** `3 refused, 2 reported` of a list of outcomes. */
export function tally(outcomes: Iterable<string>): string {
  const counts = new Map<string, number>()
  for (const outcome of outcomes) counts.set(outcome, (counts.get(outcome) ?? 0) + 1)
  const said = [...counts].toSorted(([one], [two]) => (one < two ? -1 : 1))
  return said.map(([outcome, count]) => `${count} ${outcome}`).join(', ')
}

/** So many of these, at random, in their order; all where there are no more. */
export function sample<Item>(
  items: readonly Item[],
  count: number,
  random: Random,
): readonly Item[] {
  const left = [...items.keys()]
  const chosen: number[] = []
  while (chosen.length < count && left.length > 0) {
    const [place] = left.splice(random.below(left.length), 1)
    if (place !== undefined) chosen.push(place)
  }
  return chosen.toSorted((one, two) => one - two).map((place) => items[place] as Item)
}
