/** Every bit of a write-ahead log that a killed process left (LOG-27). */
import { closeSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { expect } from 'vitest'
import { bits, seed, tryFlips } from './flip-one.ts'
import type { Flip, Outcomes, Subject } from './flip-one.ts'
import { judge, putFiles } from './flip-support.ts'
import type { Files, Outcome } from './flip-support.ts'

const headerBytes = 32
const frameHeaderBytes = 24
/** Of the pages that these logs have; in another one no page would pass its check. */
const pageBytes = 16_384
const frameBytes = frameHeaderBytes + pageBytes
/** One place in so many, a prime, where the log itself is asked and not only SQLite. */
const judgedEvery = 997

/**
 * What SQLite shows of a database and its write-ahead log. To open it read-only leaves both as they
 * are, and the first one who opens it reads all of the write-ahead log.
 */
function shown(database: string): Buffer {
  const db = new Database(database, { readonly: true })
  try {
    return db.serialize()
  } finally {
    db.close()
  }
}

/** The files with nothing behind so many pages of the write-ahead log. */
function cutWal({ image }: Subject, file: string, frames: number): Files {
  const end = headerBytes + frames * frameBytes
  const content = image.files.get(file) ?? Buffer.alloc(0)
  return new Map([...image.files, [file, content.subarray(0, end)]])
}

/**
 * A flip in the write-ahead log ends it there for SQLite: its checksum is wrong with each of the
 * eight bits of every byte. That SQLite sees so is asked of itself, by every page that it then
 * shows, with one bit of every byte; and what the log says then of itself, for the head of every
 * page and some of its bytes.
 */
export async function flipWal(subject: Subject, file: string, outcomes: Outcomes): Promise<void> {
  const { image } = subject
  const content = image.files.get(file) ?? Buffer.alloc(0)
  if (content.length === 0) return
  const frames = Math.floor((content.length - headerBytes) / frameBytes)
  expect(content.length).toBe(headerBytes + frames * frameBytes)
  expect(walHolds(content, 0, content.length)).toBe(true)
  for (let frame = -1; frame < frames; frame += 1) {
    const outcome = await flipPage(subject, file, frame)
    outcomes[outcome] += (frame < 0 ? headerBytes : frameBytes) * bits.length
  }
}

/** One page of the write-ahead log, or its header: -1. */
async function flipPage(subject: Subject, file: string, frame: number): Promise<Outcome> {
  const { image, copy } = subject
  const database = join(copy, file.slice(0, -'-wal'.length))
  const before = cutWal(subject, file, Math.max(0, frame))
  putFiles(before, copy)
  const expected = shown(database)
  putFiles(before, copy)
  const outcome = await judge(image, copy, `${image.name}: ends at page ${frame}`)
  const damaged = Buffer.from(image.files.get(file) ?? [])
  const from = frame < 0 ? 0 : headerBytes + frame * frameBytes
  const to = frame < 0 ? headerBytes : from + frameBytes
  const judged: Flip[] = []
  putFiles(image.files, copy)
  const opened = openSync(join(copy, file), 'r+')
  try {
    for (let at = from; at < to; at += 1) {
      const head = at - from < frameHeaderBytes
      for (const bit of bits) {
        const flip = { file, at, mask: 1 << bit }
        damaged[at] = (damaged[at] ?? 0) ^ flip.mask
        const one = bit === (at + seed) % bits.length
        writeSync(opened, damaged, at, 1, at)
        const holds = walHolds(damaged, from, to)
        const seen = head || one ? shown(database) : expected
        damaged[at] = (damaged[at] ?? 0) ^ flip.mask
        if (holds || !seen.equals(expected)) throw new Error(`${file} ${at} bit ${bit} is read`)
        if (one && (head || at % judgedEvery === 0)) judged.push(flip)
      }
      writeSync(opened, damaged, at, 1, at)
    }
  } finally {
    closeSync(opened)
  }
  for (const flip of judged) {
    expect(await tryFlips(subject, [flip]), `${image.name}: ${JSON.stringify(flip)}`).toBe(outcome)
  }
  return outcome
}

const walMagic = [0x377f0682, 0x377f0683]

/** Whether the header and every page between two places pass the checks of SQLite's format. */
function walHolds(wal: Buffer, from: number, to: number): boolean {
  const first = from === 0 ? headerBytes : from
  const big = wal.readUInt32BE(0) & 1
  const sums = (start: number, end: number, [one, two]: readonly [number, number]) => {
    let [a, b] = [one, two]
    for (let at = start; at < end; at += 8) {
      const words =
        big === 1
          ? ([wal.readUInt32BE(at), wal.readUInt32BE(at + 4)] as const)
          : ([wal.readUInt32LE(at), wal.readUInt32LE(at + 4)] as const)
      a = (a + words[0] + b) >>> 0
      b = (b + words[1] + a) >>> 0
    }
    return [a, b] as const
  }
  const stored = (at: number) => [wal.readUInt32BE(at), wal.readUInt32BE(at + 4)] as const
  const equal = (one: readonly number[], other: readonly number[]): boolean =>
    one[0] === other[0] && one[1] === other[1]
  if (!walMagic.includes(wal.readUInt32BE(0)) || wal.readUInt32BE(4) !== 3_007_000) return false
  if (!equal(sums(0, 24, [0, 0]), stored(24))) return false
  for (let at = first; at + frameBytes <= to; at += frameBytes) {
    const salted = wal.subarray(at + 8, at + 16).equals(wal.subarray(16, 24))
    const before = stored(at === headerBytes ? 24 : at - frameBytes + 16)
    const head = sums(at, at + 8, before)
    const whole = sums(at + frameHeaderBytes, at + frameBytes, head)
    if (!salted || !equal(whole, stored(at + 16))) return false
  }
  return true
}
