/**
 * Every bit of every byte of every file of a small log is flipped (LOG-27), and of a log that was
 * killed every bit of what it had not put away: one at a time, but for those that many at once show
 * to be read by nobody, and for a write-ahead log, which SQLite itself ends where a checksum is
 * wrong.
 */
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createRandom } from '@kith/interface'
import { expect } from 'vitest'
import { bits, seed, tryFlips } from './flip-one.ts'
import type { Flip, Outcomes, Subject } from './flip-one.ts'
import { makeImage, place } from './flip-support.ts'
import type { Ending, Image, Storage } from './flip-support.ts'
import { flipWal } from './flip-wal.ts'

/** Flips of each image in tier 1. */
const sampleSize = 60
/** Flips anywhere in each image in tier 2, beside those of every bit. */
const longSampleSize = 1_000
/** Files that are smaller are flipped bit by bit in tier 2, and would take most of a sample. */
const sampledBytesMin = 1_024

const allBits = 0xff

/**
 * Whether a log with all of them is as it was. Many flips at once may do what one never may, so an
 * answer that is wrong only tells that they are to be tried in smaller company.
 */
async function isHarmless(subject: Subject, flips: readonly Flip[]): Promise<boolean> {
  try {
    return (await tryFlips(subject, flips)) === 'harmless'
  } catch {
    return false
  }
}

/** Bytes of which it is asked at once whether anybody reads them, at most and at least. */
const stretchBytes = 4_096
const blockBytes = 4

/**
 * Those places that nobody reads, as far as flipping all bits of a block of them at once can tell:
 * zeros for the most part, and what a segment says of batches that the index knows.
 */
async function unreadOf(
  subject: Subject,
  file: string,
  places: readonly number[],
): Promise<ReadonlySet<number>> {
  const unread = new Set<number>()
  const look = async (some: readonly number[]): Promise<void> => {
    const flips = some.map((at) => ({ file, at, mask: allBits }))
    if (await isHarmless(subject, flips)) {
      for (const at of some) unread.add(at)
    } else if (some.length > blockBytes) {
      const middle = blockBytes * Math.ceil(some.length / blockBytes / 2)
      await look(some.slice(0, middle))
      await look(some.slice(middle))
    }
  }
  for (let from = 0; from < places.length; from += stretchBytes) {
    await look(places.slice(from, from + stretchBytes))
  }
  return unread
}

function shuffled<Item>(items: readonly Item[], below: (bound: number) => number): Item[] {
  const mixed = [...items]
  for (let last = mixed.length - 1; last > 0; last -= 1) {
    const other = below(last + 1)
    const one = mixed[last] as Item
    mixed[last] = mixed[other] as Item
    mixed[other] = one
  }
  return mixed
}

const groupSize = 4_096

/**
 * Bits that seem to be read by nobody are flipped many at once, each twice and in other company.
 * Where all of a group are harmless together each of them is alone: a flip that is noticed or
 * changes an answer would be so here too, unless another one undid just that, and then the second
 * company would tell. Of a group that is not harmless each half is tried, down to those that are to
 * be tried alone.
 */
async function notHarmless(subject: Subject, unread: readonly Flip[]): Promise<ReadonlySet<Flip>> {
  const alone = new Set<Flip>()
  const { below } = createRandom(seed)
  const look = async (group: readonly Flip[]): Promise<void> => {
    const rest = group.filter((flip) => !alone.has(flip))
    if (rest.length === 0) return
    if (rest.length === 1) {
      for (const flip of rest) alone.add(flip)
      return
    }
    if (await isHarmless(subject, rest)) return
    const middle = rest.length >> 1
    await look(rest.slice(0, middle))
    await look(rest.slice(middle))
  }
  for (const _ of [1, 2]) {
    const mixed = shuffled(unread, below)
    for (let at = 0; at < mixed.length; at += groupSize) {
      await look(mixed.slice(at, at + groupSize))
    }
  }
  return alone
}

/** Places of a file that the log before it was killed, stopped in order, did not have so. */
function changedPlaces({ before, files }: Image, file: string): readonly number[] {
  const content = files.get(file) ?? Buffer.alloc(0)
  const known = before === files ? undefined : before.get(file)
  return [...content.keys()].filter((at) => content[at] !== known?.[at])
}

/** Of a log that was killed, what those commits changed: the rest is that of the one before. */
async function flipAll(subject: Subject, outcomes: Outcomes): Promise<string> {
  const { image } = subject
  const tried = (): number => Object.values(outcomes).reduce((sum, count) => sum + count)
  const unread: Flip[] = []
  const alone = new Set<Flip>()
  let size = 0
  for (const file of image.files.keys()) {
    if (file.endsWith('-wal')) {
      size += image.files.get(file)?.length ?? 0
      await flipWal(subject, file, outcomes)
      continue
    }
    const places = changedPlaces(image, file)
    const quiet = await unreadOf(subject, file, places)
    size += places.length
    for (const at of places) {
      for (const bit of bits) {
        const flip = { file, at, mask: 1 << bit }
        if (quiet.has(at)) unread.push(flip)
        else alone.add(flip)
      }
    }
  }
  for (const flip of await notHarmless(subject, unread)) alone.add(flip)
  for (const flip of alone) outcomes[await tryFlips(subject, [flip])] += 1
  outcomes.harmless += unread.filter((flip) => !alone.has(flip)).length
  expect(tried()).toBe(size * bits.length)
  return `all bits of ${size} bytes, ${alone.size} of them alone`
}

/** Mostly places that hold something, some that do not. */
async function flipSome(subject: Subject, count: number, outcomes: Outcomes): Promise<string> {
  const { below } = createRandom(seed)
  const files = [...subject.image.files].filter(([, { length }]) => length >= sampledBytesMin)
  for (let tried = 0; tried < count;) {
    const [file, content] = files[below(files.length)] ?? ['', Buffer.alloc(1)]
    const at = below(4) === 0 ? below(Math.min(128, content.length)) : below(content.length)
    if (content[at] === 0 && tried % 10 !== 0) continue
    outcomes[await tryFlips(subject, [{ file, at, mask: 1 << below(8) }])] += 1
    tried += 1
  }
  return `${count} bits`
}

/** Flips bits of a new log, a sample or `everything`, and holds that none of them is served. */
export async function flipBits(
  storage: Storage,
  ending: Ending,
  everything: boolean,
): Promise<void> {
  const home = mkdtempSync(join(place, 'kith-flip-'))
  try {
    const subject = { image: await makeImage(storage, ending, home), copy: join(home, 'copy') }
    const outcomes: Outcomes = { refused: 0, reported: 0, harmless: 0, cut: 0, misnamed: 0 }
    const whats = everything ? [await flipAll(subject, outcomes)] : []
    whats.push(await flipSome(subject, everything ? longSampleSize : sampleSize, outcomes))
    evidence(`${subject.image.name}: ${whats.join(', and ')}`, outcomes)
    // Each way out was taken, or the test looked at nothing.
    const { refused, reported, harmless } = outcomes
    expect(Math.min(refused, reported, harmless)).toBeGreaterThan(0)
    expect(outcomes).toMatchObject({ cut: 0, misnamed: 0 })
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
}

/** A figure for the evidence of `npm run prove`; outside it does nothing. */
function evidence(name: string, outcomes: Outcomes): void {
  const file = process.env['KITH_EVIDENCE']
  const told = Object.entries(outcomes).map(([outcome, count]) => `${count} ${outcome}`)
  if (file) appendFileSync(file, `${name}: ${told.join(', ')}\n`)
}
