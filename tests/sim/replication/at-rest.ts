/** What must hold of all disks together when faults are over, checked on their rows. */
import { hash } from 'node:crypto'
import type { StoredBatch, StoredOrigin } from '@kith/interface'
import { readHead } from './checkers.ts'
import type { SimDisk } from './disk.ts'
import { Violation } from './violations.ts'

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
        throw new Violation('other bytes', `${known.name} and ${name} disagree about ${key}`)
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
 * At rest: equal positions of everything that is not stopped (REP-9). Undefined where all agree,
 * else what to throw where they had time enough.
 */
export function disagreement(disks: ReadonlyMap<string, SimDisk>): Violation | undefined {
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
        const text = `${name} has ${origin} as ${row.status}, elsewhere it is retired`
        return new Violation('not retired everywhere', text)
      }
      if (wanted.forgotten && (row === undefined || isForgotten(row))) continue
      if (row?.next === wanted.next) {
        const text = `${name} and ${wanted.name} have other chains at ${row.next} of ${origin}`
        return new Violation('other chain', text)
      }
      const got = row === undefined ? 'nothing' : `up to ${row.next}`
      const text = `${name} has ${got} of ${origin}, ${wanted.name} has up to ${wanted.next}`
      return new Violation('left behind', text)
    }
  }
  return undefined
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
      if (lost) continue
      throw new Violation('batch that others hold', `${name} lacks ${key}, which ${holder} holds`)
    }
  }
}

/** Every value answered as on a disk, or as held by others, is on all disks (REP-6). */
export function checkAcknowledged(
  disks: ReadonlyMap<string, SimDisk>,
  acknowledged: ReadonlyMap<string, string>,
): void {
  for (const [name, { rows }] of disks) {
    const held = new Set(rows.batches.flatMap((batch) => readHead(batch.bytes).values))
    for (const [value, by] of acknowledged) {
      if (held.has(value)) continue
      throw new Violation('missing somewhere', `${name} lacks ${value}, acknowledged by ${by}`)
    }
  }
}
