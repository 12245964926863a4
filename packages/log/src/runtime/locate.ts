/**
 * Which batches a damaged place held (LOG-54). The row itself cannot be believed; the index that
 * leads to it by origin and sequence, and the whole batches around it, can.
 */
import type {
  Chain,
  CorruptRun,
  Digests,
  LogStoreReader,
  OriginId,
  StoredBatchRead,
  StoredOrigin,
} from '@kith/interface'
import type { LogState } from '../core/state.ts'
import { throwIfRefused } from '../store/unreadable.ts'
import { originChain } from '../wire/batch.ts'
import { examineBatch } from './reads.ts'

export interface LocatedBatch {
  readonly offset: number
  readonly first: number
}

/** A run, and what ties it to what is whole on both sides. */
export interface LocatedRun {
  readonly run: CorruptRun
  readonly batches: readonly LocatedBatch[]
  /** Undefined where nothing tells. */
  readonly before: Chain | undefined
  readonly after: Chain | undefined
}

/** Damaged batches next to each other that are taken together. */
const runBatchesMax = 64

/** `whole`: nothing is wrong there; `lost`: nothing tells what was there. */
export type Located = LocatedRun | 'whole' | 'lost'

export class Locator {
  private readonly reader: LogStoreReader
  private readonly state: LogState
  private readonly digests: Digests

  constructor(reader: LogStoreReader, state: LogState, digests: Digests) {
    this.reader = reader
    this.state = state
    this.digests = digests
  }

  locate(offset: number, reason: string): Located {
    if (offset < this.state.meta.floor || offset >= this.state.nextOffset) return 'whole'
    const read = this.reader.atOffset(offset)
    const at = placeOf(read)
    if (read === undefined || at === undefined) return 'lost'
    if (this.whole(read)) {
      const held = read.ok && read.batch.offset + read.batch.count > offset
      return held ? 'whole' : 'lost'
    }
    for (const entry of this.candidates()) {
      const first = this.firstAt(entry, at)
      if (first !== undefined) return this.runAround(entry, { offset: at, first }, reason)
    }
    return 'lost'
  }

  /** The own origin first: most of a log is often its own. */
  private candidates(): readonly StoredOrigin[] {
    const { origins, meta } = this.state
    const own = origins.get(meta.origin)
    const others = [...origins.values()].filter(({ origin }) => origin !== meta.origin)
    return own === undefined ? others : [own, ...others]
  }

  private whole(read: StoredBatchRead): boolean {
    return read.ok && examineBatch(read.batch, this.digests).ok
  }

  /** Where the last batch of an origin that begins at or before a sequence lies, whole or not. */
  private offsetAt(origin: OriginId, sequence: number): number {
    return placeOf(this.reader.atSequence(origin, sequence)) ?? -1
  }

  /** The sequence at which the origin's batch at an offset begins: offsets keep its order. */
  private firstAt({ origin, floor, next }: StoredOrigin, offset: number): number | undefined {
    if (floor >= next) return undefined
    try {
      const first = this.lowest(origin, floor, next, offset)
      return first < next && this.offsetAt(origin, first) === offset ? first : undefined
    } catch (cause) {
      throwIfRefused(cause, `the batches of ${origin}`)
      return undefined
    }
  }

  /** The lowest sequence whose batch lies at `offset` or behind it; `high` where there is none. */
  private lowest(origin: OriginId, from: number, high: number, offset: number): number {
    let [low, end] = [from, high]
    while (low < end) {
      const middle = low + Math.floor((end - low) / 2)
      if (this.offsetAt(origin, middle) >= offset) end = middle
      else low = middle + 1
    }
    return low
  }

  private runAround(entry: StoredOrigin, batch: LocatedBatch, reason: string): LocatedRun {
    const { origin } = entry
    const batches = [batch]
    for (let first = batch.first; batches.length < runBatchesMax;) {
      const before = this.damagedBefore(entry, first)
      if (before === undefined) break
      batches.unshift(before)
      first = before.first
    }
    let to = this.endOf(entry, batch)
    while (batches.length < runBatchesMax && to < entry.next && !this.holeBegins(origin, to)) {
      const read = this.reader.atSequence(origin, to)
      const offset = placeOf(read)
      if (read === undefined || offset === undefined || this.whole(read)) break
      const next = { offset, first: to }
      batches.push(next)
      to = this.endOf(entry, next)
    }
    const { first: from, offset } = batches[0] ?? batch
    const run = { origin, from, to, offset, reason }
    return { run, batches, before: this.chainBefore(run), after: this.chainAfter(entry, run) }
  }

  private holeBegins(origin: OriginId, sequence: number): boolean {
    return (this.state.holes.get(origin) ?? []).some(({ from }) => from === sequence)
  }

  /** Where the batch ends: where the next one begins, a hole does, or the origin ends. */
  private endOf({ origin, next }: StoredOrigin, { offset, first }: LocatedBatch): number {
    const behind = this.lowest(origin, first, next, offset + 1)
    const holes = (this.state.holes.get(origin) ?? []).filter(({ from }) => from > first)
    return Math.min(behind, ...holes.map(({ from }) => from))
  }

  private damagedBefore(entry: StoredOrigin, first: number): LocatedBatch | undefined {
    const { origin, floor } = entry
    const ended = (this.state.holes.get(origin) ?? []).some(({ to }) => to === first)
    if (first <= floor || ended) return undefined
    const read = this.reader.atSequence(origin, first - 1)
    const offset = placeOf(read)
    if (read === undefined || offset === undefined || this.whole(read)) return undefined
    const begins = this.firstAt(entry, offset)
    return begins === undefined ? undefined : { offset, first: begins }
  }

  private chainBefore({ origin, from, offset }: CorruptRun): Chain | undefined {
    if (from === 1) return originChain(origin, this.digests)
    const hole = (this.state.holes.get(origin) ?? []).find(({ to }) => to === from)
    if (hole !== undefined) return hole.chain
    const before = this.reader.atSequence(origin, from - 1)
    if (before?.ok === true && before.batch.first + before.batch.count === from) {
      return before.batch.chain
    }
    return chainsOf(this.reader.atOffset(offset))?.[0]
  }

  private chainAfter({ next, chain }: StoredOrigin, { origin, to }: CorruptRun): Chain | undefined {
    if (to === next) return chain
    const after = this.reader.atSequence(origin, to)
    if (after?.ok === true && after.batch.first === to) return after.batch.previousChain
    return chainsOf(this.reader.atSequence(origin, to - 1))?.[1]
  }
}

/** As the row has them; they prove themselves where what is computed from one is the other. */
function chainsOf(read: StoredBatchRead | undefined): readonly [Chain, Chain] | undefined {
  if (read?.ok === true) return [read.batch.previousChain, read.batch.chain]
  return read?.chains
}

function placeOf(read: StoredBatchRead | undefined): number | undefined {
  if (read === undefined) return undefined
  return read.ok ? read.batch.offset : read.offset
}
