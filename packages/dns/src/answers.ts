/** Answers counted by what was asked for and what came of it, in a bounded number of places. */
import type { Query, Reply } from './message.ts'

/** Whatever else somebody may ask for counts as `other`. */
const usual: ReadonlySet<string> = new Set([
  ...['A', 'AAAA', 'ANY', 'CAA', 'CNAME', 'HTTPS', 'MX', 'NS', 'PTR', 'SOA', 'SRV', 'SVCB', 'TXT'],
])
const outcomes: Readonly<Record<number, string>> = { 2: 'failed', 3: 'unknown', 5: 'refused' }

export class Answers {
  readonly #counts = new Map<string, Map<string, number>>()

  count({ type }: Pick<Query, 'type'>, reply: Pick<Reply, 'code' | 'answers'>): void {
    const place = usual.has(type) ? type : 'other'
    const outcome = outcomeOf(reply)
    const counts = this.#counts.get(place) ?? new Map<string, number>()
    this.#counts.set(place, counts)
    counts.set(outcome, (counts.get(outcome) ?? 0) + 1)
  }

  read(): Record<string, Record<string, number>> {
    const entries = [...this.#counts].map(([type, counts]) => [type, Object.fromEntries(counts)])
    return Object.fromEntries(entries) as Record<string, Record<string, number>>
  }
}

function outcomeOf({ code, answers }: Pick<Reply, 'code' | 'answers'>): string {
  if (code === 0) return answers.length > 0 ? 'found' : 'empty'
  return outcomes[code] ?? 'unsupported'
}
