/**
 * What must hold of replicated logs, checked on the rows of the medium with code of its own:
 * nothing here is shared with the log or the replicator.
 */
import { hash } from 'node:crypto'
import type { StoreChanges, StoredBatch, StoredHole, StoredOrigin } from '@kith/interface'
import type { Rows, SimDisk } from './disk.ts'

export class Violation extends Error {
  constructor(clause: string, text: string) {
    super(`${clause}: ${text}`)
    this.name = 'Violation'
  }
}

interface Head {
  readonly origin: string
  readonly first: number
  readonly count: number
  readonly values: readonly string[]
}

/** Reads the fixed fields where they must be, and the driver's values by their brackets. */
export function readHead(bytes: Uint8Array): Head {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  return {
    origin: buffer.subarray(28, 44).toString('hex'),
    first: buffer.readUIntLE(20, 6),
    count: buffer.readUInt32LE(16),
    values:
      buffer
        .subarray(64)
        .toString('latin1')
        .match(/<<[^>]*>>/g) ?? [],
  }
}

/** The chain after a batch, by the definition in DESIGN section 4. */
function nextChain(chain: string, bytes: Uint8Array): string {
  const head = Buffer.from(bytes.subarray(0, 64))
  head.fill(0, 4, 8).fill(0, 54, 62)
  const body = hash('sha256', bytes.subarray(64), 'buffer')
  return hash('sha256', Buffer.concat([Buffer.from(chain, 'hex'), head, body]), 'hex')
}

export function firstChain(origin: string): string {
  return hash('sha256', Buffer.concat([Buffer.from('origin'), Buffer.from(origin, 'hex')]), 'hex')
}

interface Position {
  next: number
  chain: string
}

/** Where one disk stands by its batches and holes alone. */
class Shadow {
  offset = 0
  readonly positions = new Map<string, Position>()
  readonly quarantined = new Set<string>()
  /** Where each origin that is said to have ended ends. */
  readonly retired = new Map<string, number>()

  at(origin: string): Position {
    let position = this.positions.get(origin)
    if (position === undefined) {
      position = { next: 1, chain: firstChain(origin) }
      this.positions.set(origin, position)
    }
    return position
  }
}

/** Watches every commit of every disk of a run. */
export class Checkers {
  readonly #shadows = new Map<SimDisk, Shadow>()
  /** value -> the one identity it has. */
  readonly #identities = new Map<string, string>()
  readonly #appended = new Set<string>()
  readonly #rotateBy = new Map<SimDisk, { readonly origin: string; readonly by: number }>()
  commits = 0

  /** The driver is about to append this value. */
  appending(value: string): void {
    this.#appended.add(value)
  }

  /** After a crash, a start or an image: what is on the disk must agree with itself (REP-5). */
  reopened(disk: SimDisk, name: string): void {
    const shadow = new Shadow()
    const { rows } = disk
    for (const [origin, row] of rows.origins) {
      // Retention drops from below; what is left must still lead to where the row says.
      const batches = rows.batches.filter((batch) => batch.origin === origin)
      const holes = rows.holes.filter((hole) => hole.origin === origin)
      const position = startOf(origin, row.floor, batches, row.chain, row.next)
      follow(name, position, origin, batches, holes)
      if (position.next !== row.next || position.chain !== row.chain) {
        const text = `${name} says ${row.next} of ${origin}, its batches say ${position.next}`
        throw new Violation('REP-5', text)
      }
      shadow.positions.set(origin, position)
      if (row.status === 'quarantined') shadow.quarantined.add(origin)
      if (row.status === 'retired') shadow.retired.set(origin, row.next)
    }
    for (const batch of rows.batches) {
      if (rows.origins.has(batch.origin)) continue
      throw new Violation('REP-5', `${name} holds batches of ${batch.origin} and no row`)
    }
    const last = rows.batches.at(-1)
    shadow.offset = [...rows.origins.values()].reduce((sum, row) => sum + row.records, 0)
    if (last !== undefined && last.offset + last.count > shadow.offset) {
      throw new Violation('REP-5', `${name} holds offsets past what its rows count`)
    }
    this.#shadows.set(disk, shadow)
    // A new life, maybe of an older image, knows nothing of what an earlier one was shown.
    this.#rotateBy.delete(disk)
  }

  /** One transaction reached the medium. */
  committed(disk: SimDisk, name: string, changes: StoreChanges, now: number): void {
    this.commits += 1
    const shadow = this.#shadows.get(disk)
    if (shadow === undefined) throw new Error('a disk that was never opened')
    const holes = [...(changes.holes ?? [])]
    for (const batch of changes.batches ?? []) {
      // One transaction may declare a hole and hold what comes behind it.
      passHoles(shadow, batch.origin, holes)
      this.#batch(disk, shadow, name, batch, now)
    }
    for (const { origin } of [...holes]) passHoles(shadow, origin, holes)
    for (const { origin } of holes) {
      throw new Violation('REP-4', `${name}: a hole of ${origin} begins off its end`)
    }
    for (const row of changes.origins ?? []) {
      const position = shadow.at(row.origin)
      const nothing = row.bytes === 0 && row.floor === row.next && row.next > position.next
      if (nothing) shadow.positions.set(row.origin, { next: row.next, chain: row.chain })
      else if (row.next !== position.next) {
        const text = `${name} moved ${row.origin} to ${row.next}, it holds up to ${position.next}`
        throw new Violation(row.next > position.next ? 'REP-11' : 'REP-5', text)
      } else if (row.chain !== position.chain) {
        throw new Violation('REP-5', `${name} has another chain at ${row.next} of ${row.origin}`)
      }
      if (row.status === 'quarantined') shadow.quarantined.add(row.origin)
      else if (shadow.quarantined.has(row.origin)) {
        throw new Violation('REP-12', `${name} took the quarantine off ${row.origin}`)
      }
      this.#retired(shadow, name, row)
    }
  }

  /** What comes of an origin that was said to have ended is not taken in silence (REP-40). */
  #retired(shadow: Shadow, name: string, row: StoredOrigin): void {
    const ended = shadow.retired.get(row.origin)
    if (row.status !== 'retired') shadow.retired.delete(row.origin)
    else if (ended === undefined) shadow.retired.set(row.origin, row.next)
    else if (ended !== row.next) {
      const text = `${name} has ${row.origin} up to ${row.next}, retired at ${ended}`
      throw new Violation('REP-40', text)
    }
  }

  #batch(disk: SimDisk, shadow: Shadow, name: string, batch: StoredBatch, now: number): void {
    const head = readHead(batch.bytes)
    const { origin, first, count, values } = head
    const position = shadow.at(origin)
    const where = `${name}: ${origin} at ${first}`
    if (shadow.quarantined.has(origin)) throw new Violation('REP-12', `${where} is quarantined`)
    if (first < position.next) throw new Violation('REP-2', `${where} is held already`)
    if (first > position.next) throw new Violation('REP-4', `${where} leaves ${position.next} out`)
    if (batch.offset !== shadow.offset) throw new Violation('REP-3', `${where} is out of order`)
    if (values.length !== count) throw new Violation('REP-1', `${where} has other records`)
    position.next = first + count
    position.chain = nextChain(position.chain, batch.bytes)
    if (position.chain.slice(0, 16) !== Buffer.from(batch.bytes.subarray(54, 62)).toString('hex')) {
      throw new Violation('REP-1', `${where} does not continue its chain`)
    }
    shadow.offset += count
    for (const [index, value] of values.entries()) this.#value(value, `${origin}:${first + index}`)
    if (origin === disk.rows.meta?.origin) this.#local(disk, name, origin, first, now)
  }

  #value(value: string, identity: string): void {
    if (!this.#appended.has(value)) throw new Violation('REP-8', `nobody appended ${value}`)
    const known = this.#identities.get(value)
    if (known !== undefined && known !== identity) {
      throw new Violation('REP-8', `${value} is ${known} and ${identity}`)
    }
    this.#identities.set(value, identity)
  }

  /** A member was shown, by an answer to its hello, that somebody holds more of its origin. */
  shown(disk: SimDisk, origin: string, next: number, now: number): void {
    if (disk.rows.meta?.origin !== origin) return
    if ((this.#shadows.get(disk)?.at(origin).next ?? 1) >= next) return
    this.#rotateBy.set(disk, { origin, by: now + rotationMs })
  }

  #local(disk: SimDisk, name: string, origin: string, first: number, now: number): void {
    const due = this.#rotateBy.get(disk)
    if (due?.origin === origin && now > due.by) {
      throw new Violation('REP-13', `${name} appended ${first} under ${origin}, which is given up`)
    }
  }

  /** What a member sends must be on its disk for good (REP-7). */
  served(disk: SimDisk, name: string, batches: readonly Uint8Array[]): void {
    for (const bytes of batches) {
      const { origin, first } = readHead(bytes)
      const held = disk.flushed.batches.some(
        (batch) => batch.origin === origin && batch.first === first && same(batch.bytes, bytes),
      )
      if (!held) throw new Violation('REP-7', `${name} served ${origin} at ${first} unflushed`)
    }
  }

  forgotten(disk: SimDisk): void {
    this.#shadows.delete(disk)
    this.#rotateBy.delete(disk)
  }
}

/**
 * Who holds what for good, and what is owed because an append was told so (REP-6): a value that
 * waited for other logs was flushed by as many of them, and is lost only where all that held it
 * lost their disks.
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

  acknowledged(disk: SimDisk, name: string, value: string, replicas: number): void {
    const others = [...(this.#ever.get(value) ?? [])].filter((holder) => holder !== disk)
    if (others.length < replicas) {
      const text = `${name} was told that ${replicas} others hold ${value}, ${others.length} did`
      throw new Violation('REP-6', text)
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
      throw new Violation('REP-22', text)
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
      throw new Violation('REP-6', `nobody holds ${value}, which others held as ${by} was told`)
    }
  }
}

function add(sets: Map<string, Set<SimDisk>>, value: string, disk: SimDisk): void {
  const known = sets.get(value)
  if (known === undefined) sets.set(value, new Set([disk]))
  else known.add(disk)
}

/** Takes from `holes` those that lead on from where the origin stands. */
function passHoles(shadow: Shadow, origin: string, holes: StoredHole[]): void {
  const position = shadow.at(origin)
  for (;;) {
    const at = holes.findIndex((hole) => hole.origin === origin && hole.from === position.next)
    const [hole] = at < 0 ? [] : holes.splice(at, 1)
    if (hole === undefined) return
    position.next = hole.to
    position.chain = hole.chain
  }
}

/** How long a rotation may take from the hello that calls for it. */
const rotationMs = 50

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

/** Where the held part begins. Without anything held the row's own end is all there is. */
function startOf(
  origin: string,
  floor: number,
  batches: readonly StoredBatch[],
  chain: string,
  next: number,
): Position {
  if (floor === 1) return { next: 1, chain: firstChain(origin) }
  const first = batches[0]
  return first === undefined ? { next, chain } : { next: floor, chain: first.previousChain }
}

function follow(
  name: string,
  position: Position,
  origin: string,
  batches: readonly StoredBatch[],
  holes: Rows['holes'],
): void {
  for (const batch of batches) {
    for (const hole of holes) {
      if (hole.from !== position.next) continue
      position.next = hole.to
      position.chain = hole.chain
    }
    const { first, count } = readHead(batch.bytes)
    if (first !== position.next) {
      throw new Violation('REP-4', `${name} holds ${origin} at ${first}, not at ${position.next}`)
    }
    position.next = first + count
    position.chain = nextChain(position.chain, batch.bytes)
  }
  for (const hole of holes) {
    if (hole.from !== position.next) continue
    position.next = hole.to
    position.chain = hole.chain
  }
}

/** At rest: no two disks disagree unless one of them stopped that origin (REP-1, REP-12). */
export function checkAgreement(disks: ReadonlyMap<string, SimDisk>): void {
  const seen = new Map<string, { readonly hash: string; readonly name: string }>()
  for (const [name, { rows }] of disks) {
    for (const batch of rows.batches) {
      if (rows.origins.get(batch.origin)?.status === 'quarantined') continue
      const key = `${batch.origin}:${batch.first}`
      const digest = hash('sha256', batch.bytes, 'hex')
      const known = seen.get(key)
      if (known !== undefined && known.hash !== digest) {
        throw new Violation('REP-1', `${known.name} and ${name} disagree about ${key}`)
      }
      seen.set(key, { hash: digest, name })
    }
  }
}

/** Retired, and not a record of it held: it is not spoken of. */
function isForgotten({ status, floor, next }: StoredOrigin): boolean {
  return status === 'retired' && floor === next
}

/** Where an origin ends, as far as anybody knows, and what all who stand there say of it. */
interface Best {
  readonly next: number
  readonly chain: string
  readonly name: string
  retired: boolean
  forgotten: boolean
}

/**
 * At rest: equal positions of everything that is not stopped (REP-9). Undefined where all agree.
 */
export function disagreement(disks: ReadonlyMap<string, SimDisk>): string | undefined {
  const best = new Map<string, Best>()
  // Whoever writes an origin takes nobody's word that it has ended, and who hears only it cannot.
  const written = new Set([...disks.values()].map(({ rows }) => rows.meta?.origin ?? ''))
  for (const [name, { rows }] of disks) {
    for (const row of rows.origins.values()) {
      if (row.status === 'quarantined' || row.next === 1) continue
      const known = best.get(row.origin)
      const retired = row.status === 'retired'
      // Of what is retired and held nowhere, whoever has nothing needs nothing, and who was told
      // of an earlier end misses nothing that there is.
      const forgotten = isForgotten(row)
      if (known === undefined || row.next > known.next) {
        best.set(row.origin, { next: row.next, chain: row.chain, name, retired, forgotten })
      } else if (row.next === known.next) {
        known.retired ||= retired
        known.forgotten &&= forgotten
      }
    }
  }
  for (const [origin, wanted] of best) {
    for (const [name, { rows }] of disks) {
      const row = rows.origins.get(origin)
      if (row?.status === 'quarantined') continue
      if (row?.next === wanted.next && row.chain === wanted.chain) {
        if (row.status === 'retired' || !wanted.retired || written.has(origin)) continue
        return `${name} has ${origin} as ${row.status}, elsewhere it is retired`
      }
      if (wanted.forgotten && (row === undefined || isForgotten(row))) continue
      const got = row === undefined ? 'nothing' : `up to ${row.next}`
      return `${name} has ${got} of ${origin}, ${wanted.name} has up to ${wanted.next}`
    }
  }
  return undefined
}

/** At rest: what anybody holds everybody holds, or dropped, declared lost, or stopped (REP-10). */
export function checkCompleteness(disks: ReadonlyMap<string, SimDisk>): void {
  const held = new Map<string, { readonly batch: StoredBatch; readonly name: string }>()
  for (const [name, { rows }] of disks) {
    for (const batch of rows.batches) {
      if (rows.origins.get(batch.origin)?.status === 'quarantined') continue
      held.set(`${batch.origin}:${batch.first}`, { batch, name })
    }
  }
  for (const [name, { rows }] of disks) {
    const mine = new Set(rows.batches.map((batch) => `${batch.origin}:${batch.first}`))
    for (const [key, { batch, name: holder }] of held) {
      const row = rows.origins.get(batch.origin)
      if (mine.has(key) || row?.status === 'quarantined') continue
      if (row !== undefined && batch.first < row.floor) continue
      const lost = rows.holes.some(
        (hole) => hole.origin === batch.origin && hole.from <= batch.first && batch.first < hole.to,
      )
      if (!lost) throw new Violation('REP-10', `${name} lacks ${key}, which ${holder} holds`)
    }
  }
}

/** Every value acknowledged is on the disks that must have it (REP-6). */
export function checkAcknowledged(
  disks: ReadonlyMap<string, SimDisk>,
  acknowledged: ReadonlyMap<string, string>,
): void {
  for (const [name, { rows }] of disks) {
    const held = new Set(rows.batches.flatMap((batch) => readHead(batch.bytes).values))
    for (const [value, by] of acknowledged) {
      if (!held.has(value))
        throw new Violation('REP-6', `${name} lacks ${value}, acknowledged by ${by}`)
    }
  }
}
