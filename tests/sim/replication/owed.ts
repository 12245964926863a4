/** What appends were told of where they are held, and what retention may drop (REP-6, REP-22). */
import type { StoredBatch } from '@kith/interface'
import { readHead } from './checkers.ts'
import type { SimDisk } from './disk.ts'
import { Violation } from './violations.ts'

/**
 * Who holds what for good, and what is owed because an append was told so (REP-6): what was
 * answered as on the disk was flushed there, what waited for other logs by as many of them, and
 * either is lost only where all that held it lost their disks.
 */
export class Owed {
  /** By value the disks that hold it, and those that ever did. */
  readonly #holders = new Map<string, Set<SimDisk>>()
  readonly #ever = new Map<string, Set<SimDisk>>()
  readonly #owed = new Map<string, string>()
  /** Values that were owed and went with the last disk that had them. */
  excused = 0

  flushed(disk: SimDisk, batches: readonly StoredBatch[]): void {
    for (const value of batches.flatMap(({ bytes }) => readHead(bytes).values)) {
      add(this.#holders, value, disk)
      add(this.#ever, value, disk)
    }
  }

  /** An append was answered as on the disk it was made on. */
  stored(disk: SimDisk, name: string, value: string): void {
    if (this.#ever.get(value)?.has(disk) !== true) {
      const text = `${name} was told that its disk holds ${value}, it never did`
      throw new Violation('told of its disk', text)
    }
    this.#owed.set(value, name)
    this.#excuse(value)
  }

  /** An append was answered as stored by so many other logs. */
  acknowledged(disk: SimDisk, name: string, value: string, replicas: number): void {
    const others = [...(this.#ever.get(value) ?? [])].filter((holder) => holder !== disk)
    if (others.length < replicas) {
      const text = `${name} was told that ${replicas} others hold ${value}, ${others.length} did`
      throw new Violation('told of others', text)
    }
    this.#owed.set(value, name)
    this.#excuse(value)
  }

  /** Retention went as far as it may: what is gone as many others stored (REP-22). */
  dropped(disk: SimDisk, name: string, minReplicas: number): void {
    const { batches } = disk.flushed
    const kept = new Set(batches.flatMap(({ bytes }) => readHead(bytes).values))
    for (const [value, holders] of this.#holders) {
      if (kept.has(value) || !holders.has(disk)) continue
      const ever = [...(this.#ever.get(value) ?? [])].filter((holder) => holder !== disk)
      if (ever.length >= minReplicas) continue
      const text = `${name} dropped ${value}, which ${ever.length} of ${minReplicas} others had`
      throw new Violation('dropped too early', text)
    }
    this.lost(disk, batches)
  }

  /** The disk lost what it does not hold for good now: it is another one, or an older image. */
  lost(disk: SimDisk, kept: readonly StoredBatch[]): void {
    const values = new Set(kept.flatMap(({ bytes }) => readHead(bytes).values))
    for (const [value, holders] of this.#holders) {
      if (values.has(value) || !holders.delete(disk)) continue
      this.#excuse(value)
    }
    for (const value of values) add(this.#holders, value, disk)
  }

  #excuse(value: string): void {
    if ((this.#holders.get(value)?.size ?? 0) > 0 || !this.#owed.delete(value)) return
    this.excused += 1
  }

  /** At rest: what is owed somebody still holds; that all do then says REP-10. */
  check(disks: ReadonlyMap<string, SimDisk>): void {
    const held = new Set<string>()
    for (const { rows } of disks.values()) {
      for (const { bytes } of rows.batches)
        for (const value of readHead(bytes).values) held.add(value)
    }
    for (const [value, by] of this.#owed) {
      if (held.has(value)) continue
      const text = `nobody holds ${value}, which was held as ${by} was told`
      throw new Violation('held by nobody', text)
    }
  }
}

function add(sets: Map<string, Set<SimDisk>>, value: string, disk: SimDisk): void {
  const known = sets.get(value)
  if (known === undefined) sets.set(value, new Set([disk]))
  else known.add(disk)
}
