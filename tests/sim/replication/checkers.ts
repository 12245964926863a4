/**
 * What must hold of replicated logs, checked on the rows of the medium with code of its own:
 * nothing here is shared with the log or the replicator.
 */
import { hash } from 'node:crypto'
import type { StoreChanges, StoredBatch, StoredHole, StoredOrigin } from '@kith/interface'
import type { Rows, SimDisk } from './disk.ts'
import { Violation } from './violations.ts'

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
  /** value -> the one identity it has, and the disk it came to first. */
  readonly #identities = new Map<string, { readonly identity: string; readonly writer: SimDisk }>()
  /** Values that came to another disk than their writer's. */
  readonly #spread = new Set<string>()
  /** Values that their writer lost before they were flushed. */
  readonly #lost = new Set<string>()
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
        throw new Violation('position off its batches', text)
      }
      shadow.positions.set(origin, position)
      if (row.status === 'quarantined') shadow.quarantined.add(origin)
      if (row.status === 'retired') shadow.retired.set(origin, row.next)
    }
    for (const batch of rows.batches) {
      if (rows.origins.has(batch.origin)) continue
      throw new Violation(
        'batches without a row',
        `${name} holds batches of ${batch.origin} and no row`,
      )
    }
    const last = rows.batches.at(-1)
    shadow.offset = [...rows.origins.values()].reduce((sum, row) => sum + row.records, 0)
    if (last !== undefined && last.offset + last.count > shadow.offset) {
      throw new Violation('offsets past the rows', `${name} holds offsets past what its rows count`)
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
      throw new Violation('hole off the end', `${name}: a hole of ${origin} begins off its end`)
    }
    for (const row of changes.origins ?? []) {
      const position = shadow.at(row.origin)
      const nothing = row.bytes === 0 && row.floor === row.next && row.next > position.next
      if (nothing) shadow.positions.set(row.origin, { next: row.next, chain: row.chain })
      else if (row.next !== position.next) {
        const text = `${name} moved ${row.origin} to ${row.next}, it holds up to ${position.next}`
        if (row.next > position.next) throw new Violation('row past its batches', text)
        throw new Violation('row behind its batches', text)
      } else if (row.chain !== position.chain) {
        const text = `${name} has another chain at ${row.next} of ${row.origin}`
        throw new Violation('row with another chain', text)
      }
      if (row.status === 'quarantined') shadow.quarantined.add(row.origin)
      else if (shadow.quarantined.has(row.origin)) {
        throw new Violation('quarantine taken off', `${name} took the quarantine off ${row.origin}`)
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
      throw new Violation('retired origin moved on', text)
    }
  }

  #batch(disk: SimDisk, shadow: Shadow, name: string, batch: StoredBatch, now: number): void {
    const head = readHead(batch.bytes)
    const { origin, first, count, values } = head
    const position = shadow.at(origin)
    const where = `${name}: ${origin} at ${first}`
    if (shadow.quarantined.has(origin)) {
      throw new Violation('batch of a quarantined origin', `${where} is quarantined`)
    }
    if (first < position.next) {
      throw new Violation('batch held already', `${where} is held already`)
    }
    if (first > position.next) {
      throw new Violation('batch past the end', `${where} leaves ${position.next} out`)
    }
    if (batch.offset !== shadow.offset) {
      throw new Violation('batch out of order', `${where} is out of order`)
    }
    if (values.length !== count) {
      throw new Violation('batch with other records', `${where} has other records`)
    }
    position.next = first + count
    position.chain = nextChain(position.chain, batch.bytes)
    if (position.chain.slice(0, 16) !== Buffer.from(batch.bytes.subarray(54, 62)).toString('hex')) {
      throw new Violation('batch off its chain', `${where} does not continue its chain`)
    }
    shadow.offset += count
    for (const [index, value] of values.entries()) {
      this.#value(disk, name, value, `${origin}:${first + index}`)
    }
    if (origin === disk.rows.meta?.origin) this.#local(disk, name, origin, first, now)
  }

  #value(disk: SimDisk, name: string, value: string, identity: string): void {
    if (!this.#appended.has(value)) {
      throw new Violation('record of nobody', `nobody appended ${value}`)
    }
    const known = this.#identities.get(value)
    if (known === undefined) {
      this.#identities.set(value, { identity, writer: disk })
      return
    }
    if (known.identity !== identity) {
      throw new Violation('record with two names', `${value} is ${known.identity} and ${identity}`)
    }
    if (known.writer === disk) return
    this.#spread.add(value)
    if (!this.#lost.has(value)) return
    const text = `${name} holds ${value}, which its writer lost unflushed`
    throw new Violation('lost and taken later', text)
  }

  /** What a power cut took from its writer's disk must never have been elsewhere (REP-7). */
  lost(disk: SimDisk, name: string, batches: readonly StoredBatch[]): void {
    for (const value of batches.flatMap(({ bytes }) => readHead(bytes).values)) {
      if (this.#identities.get(value)?.writer !== disk) continue
      this.#lost.add(value)
      if (!this.#spread.has(value)) continue
      const text = `${name} lost ${value} unflushed, and others hold it`
      throw new Violation('lost and held by others', text)
    }
  }

  /** What a member says that it holds must be on its disk for good (REP-7). */
  announced(disk: SimDisk, name: string, ends: Iterable<readonly [string, number]>): void {
    for (const [origin, next] of ends) {
      const held = disk.flushed.origins.get(origin)?.next ?? 1
      if (next <= held) continue
      const text = `${name} announced ${origin} up to ${next}, flushed up to ${held}`
      throw new Violation('announced unflushed', text)
    }
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
      const text = `${name} appended ${first} under ${origin}, which is given up`
      throw new Violation('append under a lost origin', text)
    }
  }

  /** What a member sends must be on its disk for good (REP-7). */
  served(disk: SimDisk, name: string, batches: readonly Uint8Array[]): void {
    for (const bytes of batches) {
      const { origin, first } = readHead(bytes)
      const held = disk.flushed.batches.some(
        (batch) => batch.origin === origin && batch.first === first && same(batch.bytes, bytes),
      )
      if (held) continue
      throw new Violation('served unflushed', `${name} served ${origin} at ${first} unflushed`)
    }
  }

  forgotten(disk: SimDisk): void {
    this.#shadows.delete(disk)
    this.#rotateBy.delete(disk)
  }
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
      const text = `${name} holds ${origin} at ${first}, not at ${position.next}`
      throw new Violation('batches with one missing', text)
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
