/** Is every copy the same, and is everything in it exactly once? */
import { logOf, type LogView, readAll, verify } from './api.ts'
import type { Seat } from './cluster.ts'
import type { CorpusLine } from './corpus.ts'
import { promised } from './wait.ts'

/** The origins of a log as one text: equal texts mean equal histories. */
function chainsOf(log: LogView): string {
  return log.origins
    .map(({ origin, next, chain }) => `${origin}@${next}:${chain}`)
    .toSorted()
    .join(' ')
}

/** What keeps these members from holding the same; undefined when nothing does. */
export async function difference(
  seats: readonly Seat[],
  records?: number,
): Promise<string | undefined> {
  const logs = await Promise.all(seats.map(({ process }) => logOf(process?.http ?? '')))
  const counts = seats.map(({ name }, at) => `${name} ${logs[at]?.records ?? '?'}`).join(', ')
  if (records !== undefined && logs.some((log) => log.records !== records)) {
    return `${records} records expected, there are: ${counts}`
  }
  const chains = new Set(logs.map(chainsOf))
  return chains.size === 1
    ? undefined
    : `${chains.size} different sets of chains; records: ${counts}`
}

/**
 * Reads the whole log of each member back: no record twice by its origin and sequence, no line
 * twice by its key, every line that must be there with its own text, and no line that nobody sent.
 */
export async function exactlyOnce(
  seats: readonly Seat[],
  required: readonly CorpusLine[],
  allowed: readonly CorpusLine[] = [],
): Promise<number> {
  const texts = new Map([...allowed, ...required].map(({ key, value }) => [key, value]))
  let read = 0
  for (const { name, process } of seats) {
    const identities = new Set<string>()
    const keys = new Set<string>()
    for (const { origin, sequence, key = '', value } of await readAll(process?.http ?? '')) {
      const identity = `${origin}/${sequence}`
      promised(!identities.has(identity), `${name} holds ${identity} twice`)
      promised(!keys.has(key), `${name} holds the line ${key} twice`)
      promised(texts.has(key), `${name} holds ${key}, which nobody sent`)
      promised(texts.get(key) === value, `${name} holds another text for ${key}`)
      identities.add(identity)
      keys.add(key)
    }
    const lost = required.find(({ key }) => !keys.has(key))
    promised(lost === undefined, `${name} lacks ${lost?.key}, which was acknowledged`)
    read += keys.size
  }
  return read
}

/** Every member's own check of its store. */
export async function storesWhole(seats: readonly Seat[]): Promise<void> {
  await Promise.all(
    seats.map(async ({ name, process }) => {
      const report = await verify(process?.http ?? '')
      promised(
        report.ok,
        `the store of ${name} is damaged: ${JSON.stringify(report).slice(0, 500)}`,
      )
    }),
  )
}
