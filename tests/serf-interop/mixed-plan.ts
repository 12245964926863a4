// What happens to a mixed cluster, from a seed: what is said, and who goes and comes back.
import { createSimRandom } from '@kith/sim'
import type { Command } from './support/commands.ts'

interface By {
  /** Which command is run, and whose agent it asks. */
  readonly by: Command
  readonly at: string
}

export type Saying = By & { readonly kind: 'event' | 'query' | 'tags' }

/** One member goes, the others notice, and it comes back under its name and its address. */
export type Going = { readonly who: string } & (
  | { readonly kind: 'kill'; readonly seed: string }
  /** Through a command, as it also joins again. */
  | {
      readonly kind: 'leave'
      readonly by: Command
      readonly joinsBy: Command
      readonly seed: string
    }
)

export interface Round {
  readonly sayings: readonly Saying[]
  readonly going: Going
}

/** Of each kind of saying at least one. */
const sayingsMin = 3
const sayingsMax = 6

/**
 * Rounds without end. The first four kill one of each kind, and have one of each kind leave, in an
 * order that the seed decides; after that everything is drawn.
 */
export function* planned(seed: number, names: readonly string[]): Generator<Round, never> {
  const random = createSimRandom(seed)
  const one = <Value>(values: readonly Value[]): Value =>
    values[random.below(values.length)] as Value
  const command = (): Command => one(['serf', 'kith'])
  const serfs = names.filter((name) => name.startsWith('s'))
  const kiths = names.filter((name) => !serfs.includes(name))
  const first: (readonly ['kill' | 'leave', readonly string[]])[] = [
    ['kill', serfs],
    ['kill', kiths],
    ['leave', serfs],
    ['leave', kiths],
  ]
  for (;;) {
    const [next] = first.length > 0 ? first.splice(random.below(first.length), 1) : []
    const [kind, among] = next ?? [one(['kill', 'leave'] as const), names]
    const who = one(among)
    const seedMember = one(names.filter((name) => name !== who))
    const going: Going =
      kind === 'kill'
        ? { kind, who, seed: seedMember }
        : { kind, who, by: command(), joinsBy: command(), seed: seedMember }
    const kinds = ['event', 'query', 'tags'] as const
    const count = sayingsMin + random.below(sayingsMax - sayingsMin + 1)
    const sayings = Array.from({ length: count }, (_, at): Saying => {
      return { kind: kinds[at] ?? one(kinds), by: command(), at: one(names) }
    })
    yield { sayings, going }
  }
}
