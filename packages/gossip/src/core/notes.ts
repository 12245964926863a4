/** Things seen that somebody should put right: each once, with since when and how often. */

import type { Address } from '@kith/interface'

/** Beyond it the one not seen for longest is forgotten. */
const notesMax = 64

export interface Note<Detail> {
  readonly detail: Detail
  readonly since: number
  readonly lastAt: number
  readonly times: number
}

/** By what they are about. */
export type Notes<Detail> = Map<string, Note<Detail>>

/** `since` stays where it was seen before and not longer ago than `lastsMs`. */
export function takeNote<Detail>(
  notes: Notes<Detail>,
  about: string,
  detail: Detail,
  now: number,
  lastsMs: number,
): void {
  const known = notes.get(about)
  const again = known !== undefined && now - known.lastAt <= lastsMs
  // Written anew at the end, so that the first one is the one not seen for longest.
  notes.delete(about)
  const since = again ? known.since : now
  notes.set(about, { detail, since, lastAt: now, times: (again ? known.times : 0) + 1 })
  const [oldest] = notes.keys()
  if (notes.size > notesMax && oldest !== undefined) notes.delete(oldest)
}

/** What was seen, by kind. */
export type FindingDetail =
  /** Its packets do not arrive, or ours do not; streams do. */
  | { readonly kind: 'packetsBlocked'; readonly address: Address }
  /** It tells others an address at which each of them finds itself. */
  | { readonly kind: 'loopbackAdvertised'; readonly address: Address; readonly elsewhere: Address }
  /** Two claim its name: the one that has it, and the other. */
  | { readonly kind: 'nameTwice'; readonly address: Address; readonly other: Address }
  /** What it says of itself is more than a member may, and is not heard. */
  | {
      readonly kind: 'metaTooLarge'
      readonly address: Address
      readonly bytes: number
      readonly bytesMax: number
    }
  /** This member itself did not run. */
  | { readonly kind: 'loopLate'; readonly longestMs: number; readonly lastMs: number }

/** What notes of the core are about. */
export type CoreNotes = Notes<{ readonly member: string; readonly what: FindingDetail }>
