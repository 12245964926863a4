/**
 * What a process that may die at any moment leaves behind of what it saw: symbolic links, whose
 * names are numbers and whose targets are the entries. Each is made by one system call, which no
 * store makes, so that faults planted in the system calls of a store never hit the journal.
 */
import { readdirSync, readlinkSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'

export type Entry =
  /** The store was opened, and held so many steps. */
  | { readonly kind: 'opened'; readonly steps: number }
  /** A commit returned, and with it so many steps are held. */
  | { readonly kind: 'done'; readonly steps: number; readonly flush: boolean }
  /** A commit after so many steps failed with this code. */
  | { readonly kind: 'failed'; readonly steps: number; readonly code: string }
  /** It gave up: the fault stayed. */
  | { readonly kind: 'gave-up'; readonly why: string }
  /** The store broke a promise. */
  | { readonly kind: 'wrong'; readonly why: string }
  /** The store was closed in order. */
  | { readonly kind: 'closed' }

/** An entry, and when it was made on the clock of `process.hrtime`, in nanoseconds. */
export interface Noted {
  readonly entry: Entry
  readonly at: bigint
}

export type Note = (entry: Entry) => void

/** The longest target of a link is a page; an explanation may be longer than is useful. */
const entryLengthMax = 1_500

export function openJournal(directory: string): Note {
  let count = 0
  return (entry) => {
    const at = String(process.hrtime.bigint())
    const why = 'why' in entry ? { why: entry.why.slice(0, entryLengthMax) } : {}
    symlinkSync(JSON.stringify([at, { ...entry, ...why }]), join(directory, String(count)))
    count += 1
  }
}

export function readJournal(directory: string): readonly Noted[] {
  const names = readdirSync(directory).toSorted((one, two) => Number(one) - Number(two))
  return names.map((name) => {
    const [at, entry] = JSON.parse(readlinkSync(join(directory, name))) as [string, Entry]
    return { at: BigInt(at), entry }
  })
}
