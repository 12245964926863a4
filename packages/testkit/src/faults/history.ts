/**
 * What is committed while faults happen, and what a store must hold after each step of it. A
 * history follows from its seed alone, so that a process which is killed and the one which judges
 * it need not tell each other anything.
 */
import { crc32 } from 'node:zlib'
import { createRandom } from '@kith/interface'
import type {
  LogId,
  OriginId,
  Random,
  StoreChanges,
  StoredBatch,
  StoredCursor,
  StoredHole,
  StoredMeta,
  StoredOrigin,
  StoredProducer,
  StoredReplica,
} from '@kith/interface'

/** Everything that a store was told, as it must give it back. */
export interface StoredRows {
  meta: StoredMeta | undefined
  nextOffset: number
  readonly batches: StoredBatch[]
  readonly origins: Map<OriginId, StoredOrigin>
  readonly holes: Map<string, StoredHole>
  readonly cursors: Map<string, StoredCursor>
  readonly producers: Map<string, StoredProducer>
  readonly replicas: Map<LogId, StoredReplica>
}

export interface History {
  readonly seed: number
  /** What step `index`, from 0, commits, and whether it asks for a flush. */
  step(index: number): HistoryStep
  /** What is held once `steps` of them were committed. Not to be changed. */
  after(steps: number): StoredRows
}

export interface HistoryStep {
  readonly changes: StoreChanges
  readonly flush: boolean
}

/** Its revision is the number of steps that were committed. */
export const stepCursor = 'steps'

const origins = ['a1'.repeat(16), 'b2'.repeat(16), 'c3'.repeat(16)] as const
const bornAt = 1_700_000_000_000

/** Steps are made one after another and kept: each begins where the one before ended. */
export function createHistory(seed: number, valueBytesMax: number): History {
  const steps: HistoryStep[] = []
  const states: StoredRows[] = [emptyRows()]
  const grow = (count: number): void => {
    for (let index = steps.length; index < count; index += 1) {
      const before = states[index] ?? emptyRows()
      const random = createRandom([seed, index, 7])
      const step = makeStep(before, index, random, valueBytesMax)
      steps.push(step)
      states.push(applied(before, step.changes))
    }
  }
  return {
    seed,
    step(index) {
      grow(index + 1)
      return steps[index] as HistoryStep
    },
    after(count) {
      grow(count)
      return states[count] as StoredRows
    },
  }
}

function emptyRows(): StoredRows {
  return {
    meta: undefined,
    nextOffset: 0,
    batches: [],
    origins: new Map(),
    holes: new Map(),
    cursors: new Map(),
    producers: new Map(),
    replicas: new Map(),
  }
}

function makeStep(
  before: StoredRows,
  index: number,
  random: Random,
  valueBytesMax: number,
): HistoryStep {
  const draft = { ...before, origins: new Map(before.origins) }
  const dropBelow = index % 9 === 8 ? dropPoint(draft, random) : undefined
  const batches = Array.from({ length: 1 + random.below(3) }, () =>
    addBatch(draft, random, valueBytesMax),
  )
  const floor = dropBelow ?? before.meta?.floor ?? 0
  const changes: StoreChanges = {
    ...(dropBelow === undefined ? {} : { dropBelow }),
    batches,
    origins: [...draft.origins.values()].filter((row) => before.origins.get(row.origin) !== row),
    cursors: [{ name: stepCursor, next: index, revision: index + 1, changedAt: bornAt + index }],
    ...smallRows(before, index, random),
    ...(index === 0 || dropBelow !== undefined ? { meta: metaRow(floor) } : {}),
  }
  return { changes, flush: index === 0 || random.below(10) < 7 }
}

function metaRow(floor: number): StoredMeta {
  return {
    logId: '0f'.repeat(16),
    origin: origins[0],
    clean: false,
    createdAt: bornAt,
    rotatedAt: 0,
    rotationOwed: '',
    floor,
  }
}

/** Rows beside the batches come, change and go, each kind at its own pace. */
function smallRows(before: StoredRows, index: number, random: Random): StoreChanges {
  const bytes = Uint8Array.from({ length: 1 + random.below(40) }, () => random.below(256))
  const producer = { id: `producer-${index % 3}`, answers: bytes, usedAt: bornAt + index }
  const logId = (index % 2 === 0 ? 'd4' : 'e5').repeat(16)
  const replica = { logId, member: `member-${index % 4}`, acked: bytes, seenAt: bornAt + index }
  const hole = {
    origin: origins[index % origins.length] ?? origins[0],
    from: 1_000_000 + index,
    to: 1_000_001 + index,
    chain: chainOf(index),
    why: 'lost',
    at: bornAt,
  }
  const [oldest] = before.holes.values()
  return {
    ...(index % 2 === 1 ? { producers: [producer] } : {}),
    ...(index % 11 === 10 ? { producersRemoved: ['producer-1'] } : {}),
    ...(index % 3 === 2 ? { replicas: [replica] } : {}),
    ...(index % 13 === 12 ? { replicasRemoved: ['d4'.repeat(16)] } : {}),
    // A hole is of an origin that has a row.
    ...(index % 5 === 4 && before.origins.has(hole.origin) ? { holes: [hole] } : {}),
    ...(index % 10 === 9 && oldest !== undefined ? { holesRemoved: [oldest] } : {}),
  }
}

/** Lets some of the oldest batches go, and notes it with their origins. */
function dropPoint(draft: StoredRows, random: Random): number | undefined {
  const gone = draft.batches.slice(0, Math.floor(draft.batches.length * random.float() * 0.8))
  const kept = draft.batches[gone.length]
  if (gone.length === 0 || kept === undefined) return undefined
  for (const { origin, first, count, bytes } of gone) {
    const row = draft.origins.get(origin)
    if (row === undefined) continue
    draft.origins.set(origin, {
      ...row,
      floor: first + count,
      bytes: row.bytes - bytes.length,
      dropped: row.dropped + count,
    })
  }
  return kept.offset
}

function addBatch(draft: StoredRows, random: Random, valueBytesMax: number): StoredBatch {
  const origin = origins[random.below(origins.length)] ?? origins[0]
  const row = draft.origins.get(origin)
  const first = row?.next ?? 1
  const count = 1 + random.below(8)
  const offset = draft.nextOffset
  // Now and then one that spans many pages or blocks.
  const long = random.below(12) === 0 ? 20 : 1
  const batch: StoredBatch = {
    offset,
    origin,
    first,
    count,
    storedAt: bornAt + offset,
    previousChain: row?.chain ?? chainOf(-1 - origins.indexOf(origin)),
    chain: chainOf(offset + count),
    bytes: batchBytes(offset, 64 + random.below(valueBytesMax) * long),
  }
  draft.nextOffset += count
  draft.origins.set(origin, {
    origin,
    member: `member of ${origin.slice(0, 2)}`,
    floor: row?.floor ?? 1,
    next: first + count,
    chain: batch.chain,
    status: 'live',
    bytes: (row?.bytes ?? 0) + batch.bytes.length,
    records: (row?.records ?? 0) + count,
    dropped: row?.dropped ?? 0,
    why: '',
    changedAt: bornAt + offset,
  })
  return batch
}

function chainOf(mark: number): string {
  return createRandom([mark, 1, 2]).uint32().toString(16).padStart(8, '0').repeat(8)
}

/** A checksum, the batch's own offset, and what follows from that: no two batches share bytes. */
function batchBytes(offset: number, length: number): Uint8Array {
  const random = createRandom([offset, length, 3])
  const bytes = new Uint8Array(length)
  const view = new DataView(bytes.buffer)
  for (let at = 8; at + 4 <= length; at += 4) view.setUint32(at, random.uint32())
  view.setUint32(4, offset)
  view.setUint32(0, crc32(bytes.subarray(4)))
  return bytes
}

/** Whether whoever reads these bytes would take them for the batch at `offset`. */
export function bytesPass(bytes: Uint8Array, offset: number): boolean {
  if (bytes.length < 64) return false
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return view.getUint32(0) === crc32(bytes.subarray(4)) && view.getUint32(4) === offset
}

export const holeKey = ({ origin, from }: Pick<StoredHole, 'origin' | 'from'>): string =>
  `${origin}:${from}`

/** The rows after one change set: what a store does, in the order in which it must. */
function applied(before: StoredRows, changes: StoreChanges): StoredRows {
  const rows: StoredRows = {
    meta: changes.meta ?? before.meta,
    nextOffset: before.nextOffset,
    batches: before.batches.filter(({ offset }) => offset >= (changes.dropBelow ?? 0)),
    origins: new Map(before.origins),
    holes: new Map(before.holes),
    cursors: new Map(before.cursors),
    producers: new Map(before.producers),
    replicas: new Map(before.replicas),
  }
  for (const hole of changes.holesRemoved ?? []) rows.holes.delete(holeKey(hole))
  for (const batch of changes.batches ?? []) {
    rows.batches.push(batch)
    rows.nextOffset = batch.offset + batch.count
  }
  for (const row of changes.origins ?? []) rows.origins.set(row.origin, row)
  for (const row of changes.holes ?? []) rows.holes.set(holeKey(row), row)
  for (const row of changes.cursors ?? []) rows.cursors.set(row.name, row)
  for (const id of changes.producersRemoved ?? []) rows.producers.delete(id)
  for (const row of changes.producers ?? []) rows.producers.set(row.id, row)
  for (const id of changes.replicasRemoved ?? []) rows.replicas.delete(id)
  for (const row of changes.replicas ?? []) rows.replicas.set(row.logId, row)
  return rows
}
