/** What must hold of all disks together when faults are over, checked on their rows. */
import { hash } from 'node:crypto'
import type { StoredOrigin } from '@kith/interface'
import { readHead } from './checkers.ts'
import type { SimDisk } from './disk.ts'
import { Violation } from './violations.ts'

export type Disks = ReadonlyMap<string, SimDisk>
export type Topology = 'mesh' | 'line'

/**
 * The members that can tell each other of an origin, origin by origin. Who quarantined it passes
 * nothing of it on, and in a line between two who do not speak of it no word passes (REP-41): what
 * is beyond is out of reach.
 */
function* circles(disks: Disks, topology: Topology): Generator<readonly [string, Disks]> {
  const origins = new Set([...disks.values()].flatMap(({ rows }) => [...rows.origins.keys()]))
  for (const origin of origins) {
    let circle = new Map<string, SimDisk>()
    let before: SimDisk | undefined
    for (const [name, disk] of disks) {
      const stopped = disk.rows.origins.get(origin)?.status === 'quarantined'
      const silent = before !== undefined && isMute(before, origin) && isMute(disk, origin)
      if (topology === 'line' && (stopped || silent)) {
        yield [origin, circle]
        circle = new Map()
      }
      if (!stopped) circle.set(name, disk)
      before = disk
    }
    yield [origin, circle]
  }
}

/**
 * At rest: no two disks that exchanged vectors disagree unless one of them stopped that origin
 * (REP-1, REP-12). In a line these are neighbours: what somebody in between has dropped nobody can
 * compare.
 */
export function checkAgreement(disks: Disks, topology: Topology): void {
  for (const [origin, circle] of circles(disks, topology)) {
    let seen = new Map<number, { readonly hash: string; readonly name: string }>()
    for (const [name, { rows }] of circle) {
      const mine: typeof seen = new Map()
      for (const batch of rows.batches) {
        if (batch.origin !== origin) continue
        const digest = hash('sha256', batch.bytes, 'hex')
        const known = seen.get(batch.first)
        if (known !== undefined && known.hash !== digest) {
          const text = `${known.name} and ${name} disagree about ${origin}:${batch.first}`
          throw new Violation('other bytes', text)
        }
        mine.set(batch.first, { hash: digest, name })
      }
      seen = topology === 'line' ? mine : new Map([...seen, ...mine])
    }
  }
}

/** Retired, and not a record of it held: it is not spoken of. */
function isForgotten({ status, floor, next }: StoredOrigin): boolean {
  return status === 'retired' && floor === next
}

function isMute(disk: SimDisk, origin: string): boolean {
  const row = disk.rows.origins.get(origin)
  return row === undefined || row.next === 1 || row.status === 'quarantined' || isForgotten(row)
}

/** Where all meet all: whether nobody speaks of an origin, so that none is told of it (REP-41). */
function isOutOfReach(circle: Disks, origin: string): boolean {
  return [...circle.values()].every((disk) => isMute(disk, origin))
}

/** Where an origin ends, as far as anybody knows, and what all who stand there say of it. */
interface Best {
  readonly next: number
  readonly chain: string
  readonly name: string
  retired: boolean
}

function bestOf(circle: Disks, origin: string): Best | undefined {
  let best: Best | undefined
  for (const [name, { rows }] of circle) {
    const row = rows.origins.get(origin)
    if (row === undefined || row.next === 1) continue
    const retired = row.status === 'retired'
    if (best === undefined || row.next > best.next) {
      best = { next: row.next, chain: row.chain, name, retired }
    } else if (row.next === best.next) best.retired ||= retired
  }
  return best
}

/**
 * At rest: equal positions of everything that is not stopped (REP-9). Undefined where all agree,
 * else what to throw where they had time enough.
 */
export function disagreement(disks: Disks, topology: Topology): Violation | undefined {
  // Whoever writes an origin takes nobody's word that it has ended, and who hears only it cannot.
  const written = new Set([...disks.values()].map(({ rows }) => rows.meta?.origin ?? ''))
  for (const [origin, circle] of circles(disks, topology)) {
    const wanted = bestOf(circle, origin)
    if (wanted === undefined || isOutOfReach(circle, origin)) continue
    for (const [name, { rows }] of circle) {
      const row = rows.origins.get(origin)
      const found = difference(origin, name, row, wanted, written.has(origin))
      if (found !== undefined) return found
    }
  }
  return undefined
}

function difference(
  origin: string,
  name: string,
  row: StoredOrigin | undefined,
  wanted: Best,
  written: boolean,
): Violation | undefined {
  if (row?.next === wanted.next && row.chain === wanted.chain) {
    if (row.status === 'retired' || !wanted.retired || written) return undefined
    const text = `${name} has ${origin} as ${row.status}, elsewhere it is retired`
    return new Violation('not retired everywhere', text)
  }
  if (row?.next === wanted.next) {
    const text = `${name} and ${wanted.name} have other chains at ${row.next} of ${origin}`
    return new Violation('other chain', text)
  }
  const got = row === undefined ? 'nothing' : `up to ${row.next}`
  const text = `${name} has ${got} of ${origin}, ${wanted.name} has up to ${wanted.next}`
  return new Violation('left behind', text)
}

/** What a disk holds of which origins, as text. */
export function contents({ rows }: SimDisk): string {
  const batches = rows.batches.map(({ origin, first, offset }) => `${offset}=${origin}:${first}`)
  const holes = rows.holes.map(({ origin, from, to }) => `${origin}:${from}-${to}`)
  const origins = [...rows.origins.values()]
    .filter(({ next }) => next > 1)
    .map(({ origin, floor, next, status }) => {
      return `${origin}:${floor}-${next}${status === 'quarantined' ? '!' : ''}`
    })
  return [...origins, ...holes, ...batches].join(' ')
}

/** At rest: what anybody holds everybody holds, or dropped, declared lost, or stopped (REP-10). */
export function checkCompleteness(disks: Disks, topology: Topology): void {
  for (const [origin, circle] of circles(disks, topology)) {
    const held = new Map<number, string>()
    for (const [name, { rows }] of circle) {
      for (const batch of rows.batches) if (batch.origin === origin) held.set(batch.first, name)
    }
    for (const [name, { rows }] of circle) {
      const row = rows.origins.get(origin)
      const mine = rows.batches.filter((batch) => batch.origin === origin)
      for (const [first, holder] of held) {
        // Held in another history it is not missing: that two disagree is another matter.
        if (mine.some((batch) => batch.first <= first && first < batch.first + batch.count))
          continue
        if (row !== undefined && first < row.floor) continue
        const lost = rows.holes.some((hole) => {
          return hole.origin === origin && hole.from <= first && first < hole.to
        })
        if (lost) continue
        const text = `${name} lacks ${origin}:${first}, which ${holder} holds`
        throw new Violation('batch that others hold', text)
      }
    }
  }
}

/** Every value answered as on a disk, or as held by others, is on all disks (REP-6). */
export function checkAcknowledged(disks: Disks, acknowledged: ReadonlyMap<string, string>): void {
  for (const [name, { rows }] of disks) {
    const held = new Set(rows.batches.flatMap((batch) => readHead(batch.bytes).values))
    for (const [value, by] of acknowledged) {
      if (held.has(value)) continue
      throw new Violation('missing somewhere', `${name} lacks ${value}, acknowledged by ${by}`)
    }
  }
}
