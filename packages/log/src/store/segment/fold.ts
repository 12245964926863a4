/** Many change sets as one: of rows with the same key the last one counts. */
import type {
  StoreChanges,
  StoredBatch,
  StoredCursor,
  StoredHole,
  StoredMeta,
  StoredOrigin,
  StoredProducer,
  StoredReplica,
  StoreState,
} from '@kith/interface'

/** A drop does not fold: it has to be carried out by itself, in its turn. */
export function standsAlone({ dropBelow }: StoreChanges): boolean {
  return dropBelow !== undefined
}

/** Undefined: the row was removed. */
type Rows<Row> = Map<string, Row | undefined>

export class FoldedChanges {
  private readonly batches: StoredBatch[] = []
  private readonly origins: Rows<StoredOrigin> = new Map()
  private readonly holes: Rows<StoredHole> = new Map()
  private readonly removedHoles: Map<string, Pick<StoredHole, 'origin' | 'from'>> = new Map()
  private readonly cursors: Rows<StoredCursor> = new Map()
  private readonly producers: Rows<StoredProducer> = new Map()
  private readonly replicas: Rows<StoredReplica> = new Map()
  private meta: StoredMeta | undefined

  /** Within one change set what is removed goes first, as a store does it. */
  add(changes: StoreChanges): void {
    for (const hole of changes.holesRemoved ?? []) {
      this.holes.set(holeKey(hole), undefined)
      this.removedHoles.set(holeKey(hole), hole)
    }
    for (const batch of changes.batches ?? []) this.batches.push(batch)
    for (const row of changes.origins ?? []) this.origins.set(row.origin, row)
    for (const row of changes.holes ?? []) this.holes.set(holeKey(row), row)
    for (const row of changes.cursors ?? []) this.cursors.set(row.name, row)
    for (const id of changes.producersRemoved ?? []) this.producers.set(id, undefined)
    for (const row of changes.producers ?? []) this.producers.set(row.id, row)
    for (const logId of changes.replicasRemoved ?? []) this.replicas.set(logId, undefined)
    for (const row of changes.replicas ?? []) this.replicas.set(row.logId, row)
    if (changes.meta !== undefined) this.meta = changes.meta
  }

  changes(): StoreChanges {
    return {
      holesRemoved: [...this.removedHoles.values()],
      batches: this.batches,
      origins: kept(this.origins),
      holes: kept(this.holes),
      cursors: kept(this.cursors),
      producers: kept(this.producers),
      producersRemoved: removed(this.producers),
      replicas: kept(this.replicas),
      replicasRemoved: removed(this.replicas),
      ...(this.meta === undefined ? {} : { meta: this.meta }),
    }
  }

  /** `state` as it is after these changes. */
  over(state: StoreState): StoreState {
    const last = this.batches.at(-1)
    return {
      ...state,
      meta: this.meta ?? state.meta,
      origins: merged(state.origins, this.origins, ({ origin }) => origin),
      holes: merged(state.holes, this.holes, holeKey),
      cursors: merged(state.cursors, this.cursors, ({ name }) => name),
      producers: merged(state.producers, this.producers, ({ id }) => id),
      replicas: merged(state.replicas, this.replicas, ({ logId }) => logId),
      nextOffset: last === undefined ? state.nextOffset : last.offset + last.count,
    }
  }
}

function holeKey({ origin, from }: Pick<StoredHole, 'origin' | 'from'>): string {
  return `${origin}:${from}`
}

function kept<Row>(rows: Rows<Row>): readonly Row[] {
  return [...rows.values()].filter((row) => row !== undefined)
}

function removed<Row>(rows: Rows<Row>): readonly string[] {
  return [...rows].filter(([, row]) => row === undefined).map(([key]) => key)
}

function merged<Row>(
  before: readonly Row[],
  changed: Rows<Row>,
  keyOf: (row: Row) => string,
): readonly Row[] {
  const all: Rows<Row> = new Map(before.map((row) => [keyOf(row), row]))
  for (const [key, row] of changed) {
    if (row === undefined) all.delete(key)
    else all.set(key, row)
  }
  return kept(all)
}
