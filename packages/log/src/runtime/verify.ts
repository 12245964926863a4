/**
 * Looks at everything the store holds (LOG-27): the checksum of every row and batch, every chain,
 * the order of offsets and sequences, and what the vector claims against what is there.
 */
import type {
  Chain,
  Digests,
  LogStoreReader,
  OriginId,
  StoredBatch,
  StoreDamage,
  StoredOrigin,
  StoreState,
} from '@kith/interface'
import { isKithError } from '@kith/interface'
import { copyState } from '../core/state.ts'
import type { LogState } from '../core/state.ts'
import { throwIfRefused } from '../store/unreadable.ts'
import { chainAfter, originChain } from '../wire/batch.ts'
import { examineBatch } from './reads.ts'

/** Damage listed one by one; the rest is only counted. */
const damageListMax = 1_000
const pageBytesMax = 512 * 1024

export interface VerifyReport {
  readonly ok: boolean
  readonly batches: number
  readonly records: number
  readonly bytes: number
  /** Everything found, the first 1 000. */
  readonly damage: readonly StoreDamage[]
  readonly damageCount: number
}

interface Progress {
  /** Undefined where retention passed by: the next batch may begin anywhere. */
  next: number | undefined
  chain: Chain | undefined
}

/** Where the log stands now; `head` moves on while the walk goes on. */
export interface Standing {
  readonly flushed: LogState
  readonly head: LogState
}

class Verifier {
  batches = 0
  records = 0
  bytes = 0
  damageCount = 0
  readonly damage: StoreDamage[] = []
  readonly expected: LogState
  private readonly now: LogState
  private readonly digests: Digests
  private readonly progress = new Map<OriginId, Progress>()
  private offset: number

  constructor({ flushed, head }: Standing, digests: Digests) {
    this.expected = copyState(flushed)
    this.now = head
    this.digests = digests
    this.offset = flushed.meta.floor
  }

  report(table: StoreDamage['table'], key: string | number, reason: string): void {
    this.damageCount += 1
    if (this.damage.length < damageListMax) this.damage.push({ table, key: String(key), reason })
  }

  /** What is told twice, by the store and by who opened it, is one damage. */
  add(found: readonly StoreDamage[]): void {
    for (const { table, key, reason } of found) {
      const told = this.damage.some(
        (known) => known.table === table && known.key === key && known.reason === reason,
      )
      if (!told) this.report(table, key, reason)
    }
  }

  badRow(offset: number, reason: string): void {
    this.report('batch', offset, reason)
    // What follows cannot be tied to what came before; it can still be checked in itself.
    for (const progress of this.progress.values()) progress.chain = undefined
    this.offset = -1
  }

  batch(batch: StoredBatch): void {
    const { offset, origin, first, count } = batch
    this.batches += 1
    this.records += count
    this.bytes += batch.bytes.length
    const examined = examineBatch(batch, this.digests)
    if (!examined.ok) this.report('batch', offset, examined.problem)
    else if (chainAfter(batch.bytes, batch.previousChain, this.digests) !== batch.chain) {
      this.report('batch', offset, 'the chain does not follow from its content')
    }
    if (offset < this.expected.meta.floor) {
      this.report('batch', offset, 'it lies below the floor, where all was dropped')
      return
    }
    this.arriveAt(offset)
    this.offset = offset + count
    this.continues(batch, this.startOf(origin))
    this.progress.set(origin, { next: first + count, chain: batch.chain })
  }

  /** A batch that is not where the last one ended follows something lost, or dropped meanwhile. */
  private arriveAt(offset: number): void {
    if (this.offset < 0 || offset === this.offset) return
    if (offset < this.offset || offset > this.now.meta.floor) {
      this.report('batch', offset, `the batch at offset ${this.offset} is missing`)
      return
    }
    for (const origin of this.expected.origins.keys()) {
      this.progress.set(origin, { next: undefined, chain: undefined })
    }
  }

  /** Where the origin stands before a batch, holes and a floor passed over. */
  private startOf(origin: OriginId): Progress | undefined {
    const entry = this.expected.origins.get(origin)
    if (entry === undefined) return undefined
    const known = this.progress.get(origin)
    const initial: Progress = {
      next: entry.floor,
      chain: entry.floor === 1 ? originChain(origin, this.digests) : undefined,
    }
    return this.pastHoles(origin, known ?? initial)
  }

  /** Where an origin stands once the holes that begin there are passed over. */
  private pastHoles(origin: OriginId, before: Progress): Progress {
    let at = before
    for (const { from, to, chain } of this.expected.holes.get(origin) ?? []) {
      if (from === at.next) at = { next: to, chain }
    }
    return at
  }

  private continues(batch: StoredBatch, before: Progress | undefined): void {
    const { offset, origin, first, previousChain } = batch
    if (before === undefined) {
      this.report('batch', offset, `no origin row for ${origin}`)
      return
    }
    if (before.next === undefined) return
    if (before.chain === undefined && this.progress.get(origin) !== undefined) return
    if (first !== before.next) {
      this.report('batch', offset, `sequence ${before.next} of ${origin} is missing`)
    } else if (before.chain !== undefined && before.chain !== previousChain) {
      this.report('batch', offset, 'the chain does not continue the one before')
    }
  }

  /** Holds what was seen against what the log says of itself. */
  finish(): void {
    const { nextOffset, origins } = this.expected
    const reached = Math.max(this.offset, this.now.meta.floor)
    if (this.offset >= 0 && reached < nextOffset) {
      this.report('batch', reached, `batches up to offset ${nextOffset} are missing`)
    }
    for (const entry of origins.values()) {
      const problem = this.standingProblem(entry)
      if (problem !== undefined) this.report('origin', entry.origin, problem)
    }
  }

  private standingProblem(entry: StoredOrigin): string | undefined {
    const last = this.progress.get(entry.origin)
    if (last?.next === undefined) {
      const dropped = (this.now.origins.get(entry.origin)?.floor ?? 1) >= entry.next
      return entry.bytes === 0 || dropped ? undefined : 'it claims batches, and none is there'
    }
    const { next = 0, chain } = this.pastHoles(entry.origin, last)
    if (next < entry.next) return `it claims ${entry.next}, its batches end at ${next}`
    if (next > entry.next || chain === undefined) return undefined
    return chain === entry.chain ? undefined : 'its chain is not that of its last batch'
  }
}

export interface VerifyOptions {
  readonly signal?: AbortSignal
}

/** Page by page, so that the event loop and the writer go on. Rejects where it could not look. */
export async function verifyStore(
  reader: Pick<LogStoreReader, 'fromOffset' | 'state'>,
  standing: Standing,
  inspect: () => Promise<readonly StoreDamage[]>,
  digests: Digests,
  { signal }: VerifyOptions,
): Promise<VerifyReport> {
  const verifier = new Verifier(standing, digests)
  const { expected } = verifier
  const state = readOrReport('the rows', verifier, () => reader.state())
  verifier.add(compareRows(state, expected))
  let next = 0
  while (next < expected.nextOffset) {
    signal?.throwIfAborted()
    const what = `batches from offset ${next} on`
    const page = readOrReport(what, verifier, () => reader.fromOffset(next, pageBytesMax))
    if (page === undefined || page.length === 0) break
    for (const read of page) {
      const offset = read.ok ? read.batch.offset : read.offset
      if (offset >= expected.nextOffset) return await conclude(verifier, inspect)
      if (read.ok && offset >= next) verifier.batch(read.batch)
      else verifier.badRow(offset, read.ok ? 'the row is out of order' : read.reason)
      // A damaged tree may lead backwards; the walk does not follow it.
      next = Math.max(next + 1, read.ok ? offset + read.batch.count : offset + 1)
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
  return await conclude(verifier, inspect)
}

async function conclude(
  verifier: Verifier,
  inspect: () => Promise<readonly StoreDamage[]>,
): Promise<VerifyReport> {
  verifier.finish()
  verifier.add(await inspect())
  return {
    ok: verifier.damageCount === 0,
    batches: verifier.batches,
    records: verifier.records,
    bytes: verifier.bytes,
    damage: verifier.damage,
    damageCount: verifier.damageCount,
  }
}

/** What `read` answers; undefined, and a report, where what is stored is the trouble (LOG-71). */
function readOrReport<Found>(
  what: string,
  verifier: Verifier,
  read: () => Found,
): Found | undefined {
  try {
    return read()
  } catch (cause) {
    throwIfRefused(cause, what)
    if (isKithError(cause) && cause.code !== 'ERR_LOG_CORRUPT') throw cause
    const text = cause instanceof Error ? cause.message : String(cause)
    verifier.report('file', '', `${what} cannot be read: ${text}`)
    return undefined
  }
}

/** Rows on the medium against what this log knows to have flushed: later is fine, older is not. */
function compareRows(state: StoreState | undefined, expected: LogState): readonly StoreDamage[] {
  if (state === undefined) return []
  const damage = [...state.damage]
  const origins = new Map(state.origins.map((row) => [row.origin, row]))
  for (const { origin, next } of expected.origins.values()) {
    const row = origins.get(origin)
    if (row !== undefined && row.next < next) {
      damage.push({ table: 'origin', key: origin, reason: `the row says ${row.next}, not ${next}` })
    } else if (row === undefined) {
      damage.push({ table: 'origin', key: origin, reason: 'the row is missing' })
    }
  }
  const cursors = new Map(state.cursors.map((row) => [row.name, row]))
  for (const { name, revision } of expected.cursors.values()) {
    const row = cursors.get(name)
    if (row === undefined || row.revision < revision) {
      damage.push({ table: 'cursor', key: name, reason: 'the row is missing or an older one' })
    }
  }
  return damage
}
