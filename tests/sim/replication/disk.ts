/**
 * A durable medium that can lose power: what was flushed stays, of the rest any suffix may be gone.
 * It keeps plain rows of its own, so that checkers read what is stored and not what a log says.
 */
import type {
  LogStore,
  LogStoreFactory,
  LogStoreReader,
  StoreChanges,
  StoredBatch,
  StoredHole,
  StoredMeta,
  StoredOrigin,
  StoredReplica,
  StoredProducer,
  StoreState,
} from '@kith/interface'
import { nodeDigests } from '@kith/interface/node'
import { memoryStore } from '@kith/log'
import { restored } from '@kith/log/core'
import type { NewIdentity } from '@kith/log/core'
import type { SimRandom } from '@kith/sim'

/** Everything that is on a disk; copied for images. */
export interface Rows {
  meta: StoredMeta | undefined
  readonly origins: Map<string, StoredOrigin>
  readonly holes: StoredHole[]
  readonly batches: StoredBatch[]
  readonly replicas: Map<string, StoredReplica>
  readonly producers: Map<string, StoredProducer>
}

/** How a planted fault spoils what a store is told. */
export interface DiskMutant {
  /** What is stored instead, one transaction after another. */
  rewrite?(changes: StoreChanges, rows: Rows): readonly StoreChanges[]
  /** Says "flushed" without flushing. */
  readonly liesAboutFlush?: boolean
  /** A power cut takes the last transaction along, flushed or not. */
  readonly losesFlushed?: boolean
  /** What a power cut does to what was flushed. */
  atCut?(rows: Rows): void
}

export type PowerCut = 'before' | 'after'

export class SimDisk {
  /** What the running log sees. */
  #rows: Rows = emptyRows()
  /** What survives for sure, and what was committed since. */
  #flushed: Rows = emptyRows()
  #unflushed: StoreChanges[] = []
  /** As it was before the last flush, for a medium that takes it back. */
  #before: { readonly rows: Rows; readonly changes: readonly StoreChanges[] } | undefined
  /** Whoever opened it last; a process that ended may still be about to write. */
  #open: LogStore | undefined
  #armed: { readonly cut: PowerCut; readonly done: () => void } | undefined
  readonly #mutant: DiskMutant
  /** Told after every commit of a transaction, before the log hears of it. */
  onCommit: (changes: StoreChanges) => void = () => {}
  /** Told of what no power cut can take any more. */
  onFlush: (changes: StoreChanges) => void = () => {}

  constructor(mutant: DiskMutant = {}) {
    this.#mutant = mutant
  }

  get rows(): Rows {
    return this.#rows
  }

  get flushed(): Rows {
    return this.#flushed
  }

  /** The next commit ends in a power cut, before or after it reached the medium. */
  arm(cut: PowerCut, done: () => void): void {
    this.#armed = { cut, done }
  }

  /** Power is gone: what was not flushed is lost from somewhere on. Returns what is. */
  cutPower(random: SimRandom): readonly StoreChanges[] {
    this.#open = undefined
    this.#armed = undefined
    const kept = random.below(this.#unflushed.length + 1)
    const lost = this.#unflushed.slice(kept)
    for (const changes of this.#unflushed.slice(0, kept)) this.#keep(changes)
    this.#unflushed = []
    const { rows = this.#flushed, changes = [] } = this.#before ?? {}
    this.#before = undefined
    this.#flushed = rows
    this.#mutant.atCut?.(rows)
    this.#rows = copyRows(rows)
    return [...changes, ...lost]
  }

  image(): Rows {
    return copyRows(this.#flushed)
  }

  /**
   * Puts an old image back, as a hypervisor or an operator would. Only while no log has it open.
   */
  restore(image: Rows): void {
    this.#flushed = copyRows(image)
    this.#rows = copyRows(image)
    this.#unflushed = []
  }

  /** Becomes what `restoreLog` makes of a copy of another disk. */
  bootstrap(image: Rows, identity: NewIdentity, now: number): void {
    const store = memoryStore()()
    store.open()
    store.commit(everything(image), true)
    const taken = restored(store.reader().state(), identity, now, nodeDigests)
    if (taken === undefined) throw new Error('the image does not know itself')
    const rows = copyRows(image)
    applyTo(rows, taken.changes)
    this.restore(rows)
  }

  readonly factory: LogStoreFactory = () => {
    const inner = memoryStore()()
    return {
      durable: true,
      statements: false,
      open: (): StoreState => {
        this.#open = inner
        inner.open()
        inner.commit(everything(this.#rows), true)
        return inner.reader().state()
      },
      commit: (changes, flush) => this.#commit(inner, changes, flush),
      reader: (): LogStoreReader => inner.reader(),
      inspect: () => [],
      close: () => inner.close(),
    }
  }

  #commit(inner: LogStore, given: StoreChanges, flush: boolean): void {
    if (this.#open !== inner) throw new Error('the power is gone')
    const armed = this.#armed
    if (armed?.cut === 'before') return this.#lose(armed.done)
    // The writer takes its buffers back, so a medium keeps copies.
    const changes = copyChanges(given)
    const parts = this.#mutant.rewrite?.(changes, this.#rows) ?? [changes]
    for (const part of parts) {
      this.#store(inner, part)
      // A transaction that is really two can be cut between them.
      if (armed?.cut === 'after' && parts.length > 1) {
        this.#keep(part)
        this.#unflushed = []
        this.#lose(armed.done)
      }
    }
    if (flush && this.#mutant.liesAboutFlush !== true) {
      if (this.#mutant.losesFlushed === true) {
        this.#before = { rows: copyRows(this.#flushed), changes: this.#unflushed }
      }
      for (const part of this.#unflushed) this.#keep(part)
      this.#unflushed = []
    }
    if (armed?.cut === 'after') this.#lose(armed.done)
  }

  #store(inner: LogStore, changes: StoreChanges): void {
    inner.commit(changes, true)
    applyTo(this.#rows, changes)
    this.#unflushed.push(changes)
    this.onCommit(changes)
  }

  #keep(changes: StoreChanges): void {
    applyTo(this.#flushed, changes)
    this.onFlush(changes)
  }

  #lose(done: () => void): never {
    this.#open = undefined
    this.#armed = undefined
    done()
    throw new Error('the power was cut')
  }
}

function emptyRows(): Rows {
  return {
    meta: undefined,
    origins: new Map(),
    holes: [],
    batches: [],
    replicas: new Map(),
    producers: new Map(),
  }
}

function copyRows(rows: Rows): Rows {
  return {
    meta: rows.meta,
    origins: new Map(rows.origins),
    holes: [...rows.holes],
    batches: [...rows.batches],
    replicas: new Map(rows.replicas),
    producers: new Map(rows.producers),
  }
}

function copyChanges(changes: StoreChanges): StoreChanges {
  const batches = changes.batches?.map((batch) => ({ ...batch, bytes: batch.bytes.slice() }))
  return batches === undefined ? { ...changes } : { ...changes, batches }
}

function applyTo(rows: Rows, changes: StoreChanges): void {
  const { dropBelow = 0, holesRemoved = [] } = changes
  const kept = rows.batches.findIndex((batch) => batch.offset >= dropBelow)
  rows.batches.splice(0, kept < 0 ? rows.batches.length : kept)
  for (const { origin, from } of holesRemoved) {
    const at = rows.holes.findIndex((hole) => hole.origin === origin && hole.from === from)
    if (at >= 0) rows.holes.splice(at, 1)
  }
  if (changes.meta !== undefined) rows.meta = changes.meta
  for (const row of changes.origins ?? []) rows.origins.set(row.origin, row)
  for (const logId of changes.replicasRemoved ?? []) rows.replicas.delete(logId)
  for (const row of changes.replicas ?? []) rows.replicas.set(row.logId, row)
  for (const row of changes.producers ?? []) rows.producers.set(row.id, row)
  rows.holes.push(...(changes.holes ?? []))
  rows.batches.push(...(changes.batches ?? []))
}

function everything(rows: Rows): StoreChanges {
  const changes = {
    batches: rows.batches,
    origins: [...rows.origins.values()],
    holes: rows.holes,
    replicas: [...rows.replicas.values()],
    producers: [...rows.producers.values()],
  }
  return rows.meta === undefined ? changes : { ...changes, meta: rows.meta }
}
