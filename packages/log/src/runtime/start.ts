/**
 * Opening a log: lock, recovery, identity, and the check that what it claims is there (LOG-25,
 * LOG-26).
 */
import { randomBytes } from 'node:crypto'
import { invariant, toHex } from '@kith/interface'
import type {
  Clock,
  Digests,
  Emitter,
  LogCommit,
  Logger,
  OriginId,
  Random,
  StoreDamage,
  StoredHole,
  StoredMeta,
  StoredOrigin,
  StoreState,
} from '@kith/interface'
import { startGate } from '../core/gate.ts'
import { heldFrom } from '../core/ranges.ts'
import { createReplicaTracker } from '../core/replicas.ts'
import { addReplica, newOrigin } from '../core/state.ts'
import type { LogState } from '../core/state.ts'
import { LogError } from '../errors.ts'
import type { ResolvedOptions } from '../options.ts'
import { memoryStore } from '../store/memory.ts'
import { createSegmentStore } from '../store/segment/store.ts'
import { databasePath } from '../store/sqlite/open.ts'
import { isIoError } from '../store/unreadable.ts'
import { nothingBeside, openInline } from './backend.ts'
import type { BackendHandlers, OpenBackend } from './backend.ts'
import { segmentFigures, sqliteFigures } from './figures.ts'
import { createManagedStore } from './managed.ts'
import { setOrigin } from './parts.ts'
import type { LogEvents, LogParts } from './parts.ts'
import { BatchReads } from './reads.ts'
import { resolveStorage } from './storage.ts'
import { openWorker } from './worker-backend.ts'
import { LogWriter } from './writer.ts'

export interface StartPorts {
  readonly clock: Clock
  readonly digests: Digests
  readonly logger: Logger
  readonly random: Random | undefined
  readonly events: Emitter<LogEvents>
  readonly committed: (commits: readonly LogCommit[]) => void
}

export async function startParts(options: ResolvedOptions, ports: StartPorts): Promise<LogParts> {
  const { clock, digests, logger, events, random } = ports
  const newId = (): OriginId => toHex(sixteenBytes(random))
  // Answers can only come after the first commit, which is after the writer is there.
  let writer: LogWriter | undefined
  const handlers: BackendHandlers = {
    done: (buffers, tookMs) => writer?.done(buffers, tookMs),
    failed: (cause) => writer?.failed(cause),
  }
  const { backend, state } = await openBackend(options, ports, handlers)
  try {
    const fresh = state.meta === undefined
    const initial = initialState(state, clock.wallNow(), newId)
    const reads = new BatchReads(backend.reader, digests, options.cacheBytesMax)
    // Before the writer: it takes out of the state what cannot be believed.
    const damage = [...state.damage, ...checkEnds(initial, state, reads)]
    initial.storedAt = lastStoredAt(initial, reads)
    writer = new LogWriter(initial, {
      clock,
      digests,
      limits: options,
      handlers: {
        committed: ports.committed,
        poisoned: (error) => {
          logger.error({ err: error }, 'the log is poisoned')
          events.emit('poisoned', { error })
        },
      },
    })
    writer.attach(backend, reads)
    const own = initial.origins.get(initial.meta.origin)
    const history = own !== undefined && own.next > 1
    const gate = startGate(options, history, initial.meta.clean, clock.now())
    const parts: LogParts = {
      ...{ options, clock, digests, logger, events, backend, reads, writer, newId, damage, gate },
      replicas: createReplicaTracker(initial.replicas.values()),
      wakers: new Set(),
      stopped: false,
    }
    if (damage.length === 0) await markOpen(parts, fresh)
    backend.begin()
    return parts
  } catch (cause) {
    await backend.close()
    throw cause
  }
}

async function openBackend(
  options: ResolvedOptions,
  { clock, digests }: StartPorts,
  handlers: BackendHandlers,
): Promise<OpenBackend> {
  const { directory, store = memoryStore(), writer } = options
  if (directory === undefined) return openInline(store(), clock, handlers)
  const storage = resolveStorage(directory, options.storage)
  if (writer === 'worker') {
    return await openWorker({ directory, storage }, { clock, digests }, handlers)
  }
  if (storage === 'segment') {
    return openInlineSegments(directory, digests, clock, handlers)
  }
  return openInlineSqlite(directory, digests, clock, handlers)
}

function openInlineSegments(
  directory: string,
  digests: Digests,
  clock: Clock,
  handlers: BackendHandlers,
): OpenBackend {
  const store = createSegmentStore({ directory, digests })
  return openInline(store, clock, handlers, {
    ...nothingBeside,
    backup: (to, signal) => store.backup(to, () => signal.aborted),
    figures: () => segmentFigures(store.walUse(), store.figures),
  })
}

function openInlineSqlite(
  directory: string,
  digests: Digests,
  clock: Clock,
  handlers: BackendHandlers,
): OpenBackend {
  const { store, checkpoints } = createManagedStore(directory, digests)
  return openInline(store, clock, handlers, {
    afterCommit: () => checkpoints.grown(store.walBytes, store.freshBytes),
    beforeClose: () => checkpoints.close(),
    backup: (to, signal) => store.backup(databasePath(to), () => signal.aborted),
    figures: () => sqliteFigures(store.walUse(), checkpoints.figures()),
  })
}

function sixteenBytes(random: Random | undefined): Uint8Array {
  if (random === undefined) return randomBytes(16)
  return new Uint8Array(Uint32Array.from({ length: 4 }, () => random.uint32()).buffer)
}

function initialState(state: StoreState, now: number, newId: () => OriginId): LogState {
  if (state.meta === undefined && (state.damage.length > 0 || state.nextOffset > 0)) {
    throw unknownToItself(state)
  }
  return stateFrom(state, {
    logId: newId(),
    origin: newId(),
    clean: false,
    createdAt: now,
    rotatedAt: 0,
    rotationOwed: '',
    floor: 0,
    ...state.meta,
  })
}

/** The identity is damaged. */
export function unknownToItself({ damage }: StoreState): LogError {
  const reason = damage[0]?.reason ?? 'there are batches but no identity'
  return new LogError('ERR_LOG_CORRUPT', `the log does not know itself any more: ${reason}`, {
    details: { damage },
  })
}

/** What a store holds, as the log knows it. */
export function stateFrom(state: StoreState, meta: StoredMeta): LogState {
  const holes = new Map<OriginId, StoredHole[]>()
  for (const hole of state.holes) holes.set(hole.origin, [...(holes.get(hole.origin) ?? []), hole])
  for (const list of holes.values()) list.sort((a, b) => a.from - b.from)
  const log: LogState = {
    meta,
    nextOffset: endOf(state),
    storedAt: 0,
    origins: new Map(state.origins.map((row) => [row.origin, row])),
    holes,
    cursors: new Map(state.cursors.map((row) => [row.name, row])),
    producers: new Map(
      [...state.producers].sort((a, b) => a.usedAt - b.usedAt).map((row) => [row.id, row]),
    ),
    replicas: new Map(),
    storedFrom: new Map(),
  }
  for (const row of [...state.replicas].sort((a, b) => a.seenAt - b.seenAt)) addReplica(log, row)
  if (state.damage.some(({ table }) => table === 'replica')) distrustStored(log)
  return log
}

/**
 * The row that says from where on may be the one that is lost: what is held was stored, and no more
 * is sure, but for what the log wrote itself.
 */
function distrustStored(log: LogState): void {
  for (const row of log.origins.values()) {
    if (row.origin === log.meta.origin) continue
    const held = heldFrom(row, log.holes.get(row.origin))
    log.storedFrom.set(row.origin, Math.max(held, log.storedFrom.get(row.origin) ?? 1))
  }
}

/**
 * The next offset: by the origin rows, because the last batch may be the one that is damaged; where
 * those are damaged themselves the last batch knows better.
 */
function endOf({ origins, nextOffset, damage }: StoreState): number {
  const counted = origins.reduce((sum, { records }) => sum + records, 0)
  return damage.some(({ table }) => table === 'origin') ? Math.max(counted, nextOffset) : counted
}

/** Notes that a writer has the log, so that a crash is seen at the next start. */
async function markOpen(parts: LogParts, fresh: boolean): Promise<void> {
  const { writer, options, clock, digests } = parts
  const { head } = writer
  const { origin } = head.meta
  const known = head.origins.get(origin)
  if (fresh) setOrigin(parts, newOrigin(origin, options.member, clock.wallNow(), digests))
  else if (known !== undefined && options.member !== '' && known.member !== options.member) {
    setOrigin(parts, { ...known, member: options.member })
  }
  // After a crash it is there already.
  const noted = !fresh && !head.meta.clean && writer.current(0).empty
  if (!noted) {
    head.meta = { ...head.meta, clean: false }
    writer.current(0).meta = true
    await writer.join()
  }
  invariant(writer.flushed.origins.has(writer.flushed.meta.origin), 'the own origin has a row')
}

/** Where the last batch is damaged the clock alone says how late it is. */
function lastStoredAt({ nextOffset, meta }: LogState, reads: BatchReads): number {
  if (nextOffset <= meta.floor) return 0
  try {
    return reads.rowFrom(nextOffset - 1, nextOffset).storedAt ?? 0
  } catch (cause) {
    if (isIoError(cause)) throw cause
    return 0
  }
}

/** Every origin's last batch must be the one that its row speaks of. */
export function checkEnds(
  state: LogState,
  stored: StoreState,
  reads: BatchReads,
): readonly StoreDamage[] {
  const damage: StoreDamage[] = []
  for (const entry of [...state.origins.values()]) {
    const reason = accountProblem(state, entry) ?? endProblem(state, entry, reads)
    if (reason === undefined) continue
    damage.push({ table: 'origin', key: entry.origin, reason })
    // What cannot be told for sure is not told: the origin is unknown until it is repaired.
    state.origins.delete(entry.origin)
  }
  const lost = stored.nextOffset !== state.nextOffset && stored.nextOffset > 0
  if (damage.length === 0 && lost) {
    const reason = `the rows count ${state.nextOffset} records, the batches ${stored.nextOffset}`
    damage.push({ table: 'origin', key: '', reason })
  }
  const { origin: own, floor } = state.meta
  const dropped = [...state.origins.values()].reduce((sum, row) => sum + row.dropped, 0)
  if (damage.length === 0 && stored.damage.length === 0 && dropped !== floor) {
    const reason = `the floor is ${floor}, the rows count ${dropped} dropped records`
    damage.push({ table: 'origin', key: '', reason })
  }
  if (state.origins.size > 0 && !state.origins.has(own)) {
    damage.push({ table: 'origin', key: own, reason: 'the row of the own origin is missing' })
  }
  return damage
}

/** Everything from the floor on is stored or a hole, so the three must add up. */
function accountProblem(state: LogState, entry: StoredOrigin): string | undefined {
  const holes = state.holes.get(entry.origin) ?? []
  const lost = holes.reduce((sum, { from, to }) => sum + to - from, 0)
  const account = entry.next - entry.floor
  const stored = entry.records - entry.dropped
  if (account === stored + lost) return undefined
  return `it speaks of ${account} records, of which ${stored} are stored and ${lost} lost`
}

function endProblem(state: LogState, entry: StoredOrigin, reads: BatchReads): string | undefined {
  const hole = state.holes.get(entry.origin)?.at(-1)
  if (hole?.to === entry.next) {
    return hole.chain === entry.chain ? undefined : 'its chain is not that of its last hole'
  }
  if (entry.bytes === 0) return undefined
  try {
    const row = reads.atSequence(entry.origin, Number.MAX_SAFE_INTEGER)
    if (row === undefined) return 'it claims batches, and none is there'
    const { first, count, chain } = row.batch
    if (first + count !== entry.next) return `it claims ${entry.next}, its batches end elsewhere`
    return chain === entry.chain ? undefined : 'its chain is not that of its last batch'
  } catch (cause) {
    if (isIoError(cause)) throw cause
    // The last batch is damaged in itself: reading it says so, and the row still knows the chain.
    return undefined
  }
}
