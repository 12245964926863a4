/**
 * What was sent, what was acknowledged, which disks were lost since, and hence who must hold what.
 *
 * What counts, and under which faults:
 * - A record acknowledged at `disk` is on the disk of the member that answered. It is owed as long
 *   as that disk is there: through any number of kills and partitions, not through the loss of that
 *   very disk (a replacement, a roll-back) before it was seen elsewhere.
 * - A record acknowledged at `replicas: 1` is on two disks. It is owed through everything, for a
 *   phase loses one disk at most. Of the second disk nobody says which it is, so that the loss of
 *   any other disk uses up what is owed of it.
 * - A disk on which a check has seen a record holds it as long as that disk is there, whoever
 *   acknowledged it or nobody.
 * - An append that was under way when the disk of its member was lost is not sent again: what makes
 *   a retry harmless went with that disk. It may be there once or not at all.
 */
import { createHash } from 'node:crypto'

export type Level = 'disk' | 'replicas'

/** One record, from before it is sent. */
export interface Sent {
  readonly key: string
  /** The disk that it is sent to, and how many were lost before. */
  readonly disk: number
  readonly lossesBefore: number
  /** Undefined until it is acknowledged; then also what it is named. */
  level?: Level
  origin?: string
  sequence?: number
  /** The disks on which the last check saw it. */
  on: readonly number[]
  /** A check has looked for it since it was acknowledged. */
  checked: boolean
}

export interface Owed {
  /** Disks that must hold it. */
  readonly disks: readonly number[]
  /** How many must hold it at least, with those. */
  readonly least: number
}

export interface LedgerCounts {
  readonly sent: number
  readonly disk: number
  readonly replicas: number
}

export class Ledger {
  readonly records: Map<string, Sent> = new Map()
  readonly #losses: number[] = []
  readonly #lost = new Set<number>()
  /** Names of members whose disk was rolled back: only their origins may fork. */
  readonly rolledBack: Set<string> = new Set()

  sending(key: string, disk: number): Sent {
    if (this.records.has(key)) throw new Error(`${key} is sent twice by the soak itself`)
    const lossesBefore = this.#losses.length
    const sent: Sent = { key, disk, lossesBefore, on: [], checked: false }
    this.records.set(key, sent)
    return sent
  }

  acknowledged(sent: Sent, level: Level, origin: string, sequence: number): void {
    sent.level = level
    sent.origin = origin
    sent.sequence = sequence
    sent.checked = false
  }

  diskLost(disk: number): void {
    this.#losses.push(disk)
    this.#lost.add(disk)
  }

  owed({ level, disk, lossesBefore, on, checked }: Sent): Owed {
    const disks = new Set(on.filter((each) => !this.#lost.has(each)))
    if (level !== undefined && !this.#lost.has(disk)) disks.add(disk)
    let more = level === 'replicas' && !checked ? 1 : 0
    for (const lost of this.#losses.slice(lossesBefore)) {
      if (more > 0 && lost !== disk && !on.includes(lost)) more -= 1
    }
    return { disks: [...disks], least: disks.size + more }
  }

  /** What a check saw is owed from now on. */
  seen(sent: Sent, disks: readonly number[]): void {
    sent.on = disks
    if (sent.level !== undefined) sent.checked = true
  }

  counts(): LedgerCounts {
    let [disk, replicas] = [0, 0]
    for (const { level } of this.records.values()) {
      if (level === 'disk') disk += 1
      else if (level === 'replicas') replicas += 1
    }
    return { sent: this.records.size, disk, replicas }
  }
}

/** What is in a record with this key: its own text all through, of 1 KiB. */
export function valueOf(key: string): string {
  const text = createHash('sha256').update(key).digest('hex')
  return `${key} ${text.repeat(Math.ceil(valueBytes / text.length))}`.slice(0, valueBytes)
}

export const valueBytes = 1024
