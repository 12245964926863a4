/** Some bits of the files of a log are flipped, and a log opens what came of it. */
import { judge, putFiles } from './flip-support.ts'
import type { Image, Outcome } from './flip-support.ts'

export const seed = Number(process.env['KITH_SEED'] ?? 7)

/** Bits of one byte of one file. */
export interface Flip {
  readonly file: string
  readonly at: number
  /** Exclusive or with it. */
  readonly mask: number
}

export type Outcomes = Record<Outcome, number>

/** A log as files, and where damaged copies of it are opened. */
export interface Subject {
  readonly image: Image
  readonly copy: string
}

export const bits = [0, 1, 2, 3, 4, 5, 6, 7]

export function tryFlips({ image, copy }: Subject, flips: readonly Flip[]): Promise<Outcome> {
  const damaged = new Map(image.files)
  for (const file of new Set(flips.map((flip) => flip.file))) {
    damaged.set(file, Buffer.from(image.files.get(file) ?? []))
  }
  for (const { file, at, mask } of flips) {
    const content = damaged.get(file)
    if (content !== undefined) content[at] = (content[at] ?? 0) ^ mask
  }
  putFiles(damaged, copy)
  const what = `${image.name}: ${flips.length} flips, first ${JSON.stringify(flips[0])}`
  return judge(image, copy, what)
}
