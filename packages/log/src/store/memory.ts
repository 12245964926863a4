/** A store in the memory of this process: fast, forgotten at exit, never durable (LOG-29). */
import type {
  LogStore,
  LogStoreFactory,
  LogStoreReader,
  OriginId,
  StoreChanges,
  StoredBatch,
  StoredBatchRead,
  StoredCursor,
  StoredHole,
  StoredMeta,
  StoredOrigin,
  StoredReplica,
  StoredProducer,
  StoreState,
} from '@kith/interface'
import { LogError } from '../errors.ts'

/** What outlives one opening of the store. */
interface Medium {
  locked: boolean
  meta: StoredMeta | undefined
  readonly origins: Map<string, StoredOrigin>
  readonly holes: StoredHole[]
  readonly cursors: Map<string, StoredCursor>
  readonly producers: Map<string, StoredProducer>
  readonly replicas: Map<string, StoredReplica>
  /** In order of offset. */
  readonly batches: StoredBatch[]
  /** The same batches by origin, in order of sequence. */
  readonly byOrigin: Map<OriginId, StoredBatch[]>
}

/** Each call of the returned factory opens the same medium; one writer at a time. */
export function memoryStore(): LogStoreFactory {
  const medium: Medium = {
    locked: false,
    meta: undefined,
    origins: new Map(),
    holes: [],
    cursors: new Map(),
    producers: new Map(),
    replicas: new Map(),
    batches: [],
    byOrigin: new Map(),
  }
  return () => createMemoryStore(medium)
}

function createMemoryStore(medium: Medium): LogStore {
  let open = false
  const mustBeOpen = (): void => {
    if (!open) throw new LogError('ERR_LOG_CLOSED', 'the memory store is not open')
  }
  return {
    durable: false,
    statements: false,
    open() {
      if (medium.locked) {
        throw new LogError('ERR_LOG_LOCKED', 'another writer has this memory store open')
      }
      medium.locked = true
      open = true
      return readState(medium)
    },
    commit(changes) {
      mustBeOpen()
      if (changes.statements !== undefined && changes.statements.length > 0) {
        throw new LogError('ERR_LOG_STATEMENT', 'a memory store runs no statements')
      }
      commit(medium, changes)
    },
    reader() {
      mustBeOpen()
      return createReader(medium)
    },
    inspect: () => [],
    close() {
      if (open) medium.locked = false
      open = false
    },
  }
}

function commit(medium: Medium, changes: StoreChanges): void {
  if (changes.dropBelow !== undefined) dropBelow(medium, changes.dropBelow)
  for (const { origin, from } of changes.holesRemoved ?? []) {
    const at = medium.holes.findIndex((hole) => hole.origin === origin && hole.from === from)
    if (at >= 0) medium.holes.splice(at, 1)
  }
  for (const batch of changes.batches ?? []) {
    medium.batches.push(batch)
    const run = medium.byOrigin.get(batch.origin)
    if (run === undefined) medium.byOrigin.set(batch.origin, [batch])
    else run.push(batch)
  }
  for (const batch of changes.repairs ?? []) replaceBatch(medium, batch)
  for (const row of changes.origins ?? []) medium.origins.set(row.origin, row)
  medium.holes.push(...(changes.holes ?? []))
  for (const row of changes.cursors ?? []) medium.cursors.set(row.name, row)
  for (const row of changes.producers ?? []) medium.producers.set(row.id, row)
  for (const id of changes.producersRemoved ?? []) medium.producers.delete(id)
  for (const row of changes.replicas ?? []) medium.replicas.set(row.logId, row)
  for (const logId of changes.replicasRemoved ?? []) medium.replicas.delete(logId)
  if (changes.meta !== undefined) medium.meta = changes.meta
}

function replaceBatch(medium: Medium, batch: StoredBatch): void {
  for (const list of [medium.batches, medium.byOrigin.get(batch.origin) ?? []]) {
    const at = list.findIndex(({ offset }) => offset === batch.offset)
    if (at >= 0) list[at] = batch
  }
}

function dropBelow(medium: Medium, offset: number): void {
  const dropped = medium.batches.splice(0, upper(medium.batches, offset - 1, offsetOf))
  const counts = new Map<OriginId, number>()
  for (const { origin } of dropped) counts.set(origin, (counts.get(origin) ?? 0) + 1)
  // The order of offsets keeps the order of each origin, so its part is a prefix as well.
  for (const [origin, count] of counts) medium.byOrigin.get(origin)?.splice(0, count)
}

function readState(medium: Medium): StoreState {
  const last = medium.batches.at(-1)
  return {
    meta: medium.meta,
    origins: [...medium.origins.values()],
    holes: [...medium.holes],
    cursors: [...medium.cursors.values()],
    producers: [...medium.producers.values()],
    replicas: [...medium.replicas.values()],
    nextOffset: last === undefined ? 0 : last.offset + last.count,
    damage: [],
  }
}

function createReader(medium: Medium): LogStoreReader {
  return {
    atOffset(offset) {
      return found(medium.batches[upper(medium.batches, offset, offsetOf) - 1])
    },
    fromOffset(offset, bytesMax) {
      return page(medium.batches, upper(medium.batches, offset - 1, offsetOf), bytesMax)
    },
    atSequence(origin, sequence) {
      const run = medium.byOrigin.get(origin) ?? []
      return found(run[upper(run, sequence, firstOf) - 1])
    },
    fromSequence(origin, sequence, bytesMax) {
      const run = medium.byOrigin.get(origin) ?? []
      return page(run, upper(run, sequence - 1, firstOf), bytesMax)
    },
    state: () => readState(medium),
    close() {},
  }
}

const offsetOf = (batch: StoredBatch): number => batch.offset
const firstOf = (batch: StoredBatch): number => batch.first

function found(batch: StoredBatch | undefined): StoredBatchRead | undefined {
  return batch === undefined ? undefined : { ok: true, batch }
}

/** Index of the first batch whose place is greater than `limit`. */
function upper(
  batches: readonly StoredBatch[],
  limit: number,
  placeOf: (batch: StoredBatch) => number,
): number {
  let low = 0
  let high = batches.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const batch = batches[middle]
    if (batch !== undefined && placeOf(batch) <= limit) low = middle + 1
    else high = middle
  }
  return low
}

function page(
  batches: readonly StoredBatch[],
  start: number,
  bytesMax: number,
): readonly StoredBatchRead[] {
  const reads: StoredBatchRead[] = []
  let bytes = 0
  for (let index = start; index < batches.length; index += 1) {
    const batch = batches[index]
    if (batch === undefined) break
    bytes += batch.bytes.length
    if (reads.length > 0 && bytes > bytesMax) break
    reads.push({ ok: true, batch })
  }
  return reads
}
