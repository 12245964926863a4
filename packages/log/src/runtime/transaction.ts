/** One transaction while it gathers what it will write, and once it is sealed. */
import type {
  AppendRecord,
  AppendResult,
  Chain,
  Digests,
  LogCommit,
  LogId,
  LogStatement,
  OriginId,
  StoredBatch,
  StoredCursor,
  StoredHole,
  StoredOrigin,
  StoredReplica,
  StoredProducer,
} from '@kith/interface'
import { createGroup } from '../core/group.ts'
import type { Group } from '../core/group.ts'
import { rememberAnswer } from '../core/producers.ts'
import { applyChange } from '../core/state.ts'
import type { LogState, StateChange } from '../core/state.ts'
import type { BackendTransaction, PlacedBatch } from './backend.ts'

export interface PendingAppend {
  /** Place of the first record within the group. */
  readonly place: number
  readonly count: number
  readonly producer: { readonly id: string; readonly sequence: number } | undefined
  readonly resolve: (result: AppendResult) => void
  readonly reject: (cause: unknown) => void
}

export interface Waiter {
  readonly resolve: () => void
  readonly reject: (cause: unknown) => void
}

interface ForeignBatch {
  readonly start: number
  readonly length: number
  readonly origin: OriginId
  readonly first: number
  readonly count: number
  readonly previousChain: Chain
  readonly chain: Chain
}

/** Memory for a transaction, which goes away with it and comes back when it is done. */
export interface TransactionBuffers {
  /** For the own group. */
  own(): ArrayBuffer
  /** For other members' batches: at least `bytes`. */
  foreign(bytes: number): Uint8Array
}

/** Gathers until it is sealed. */
export class OpenTransaction {
  readonly appends: PendingAppend[] = []
  /** When each of them was asked for, by the clock of the log. */
  readonly begun: number[] = []
  readonly waiters: Waiter[] = []
  readonly origins: Map<OriginId, StoredOrigin> = new Map()
  readonly holes: StoredHole[] = []
  readonly holesRemoved: Pick<StoredHole, 'origin' | 'from'>[] = []
  /** Retention: batches that begin below it go. */
  dropBelow = 0
  /** Whole batches for damaged ones; always in a transaction of their own. */
  readonly repairs: StoredBatch[] = []
  readonly cursors: StoredCursor[] = []
  readonly replicas: StoredReplica[] = []
  readonly replicasRemoved: LogId[] = []
  readonly statements: readonly LogStatement[]
  /** Called after the flush, before the waiters. */
  readonly announcements: (() => void)[] = []
  meta = false
  flush = false
  bytes = 0
  private readonly foreign: ForeignBatch[] = []
  private foreignBytes: Uint8Array | undefined
  private foreignLength = 0
  private group: Group | undefined
  private readonly buffers: TransactionBuffers

  constructor(buffers: TransactionBuffers, statements: readonly LogStatement[] = []) {
    this.buffers = buffers
    this.statements = statements
  }

  get empty(): boolean {
    return (
      this.appends.length === 0 &&
      this.waiters.length === 0 &&
      this.foreign.length === 0 &&
      this.origins.size === 0 &&
      this.holes.length === 0 &&
      this.replicas.length === 0 &&
      !this.flush &&
      !this.meta
    )
  }

  /** `bytes`: what they take encoded, as validated. */
  addRecords(records: readonly AppendRecord[], now: number, bytes: number): number {
    this.group ??= createGroup(this.buffers.own())
    return this.group.add(records, now, bytes)
  }

  /** Makes room for so many bytes more of other members' batches, in one piece. */
  reserveForeign(bytes: number): Uint8Array {
    const needed = this.foreignLength + bytes
    const held = this.foreignBytes
    if (held !== undefined && held.length >= needed) return held
    const capacity = held === undefined ? needed : Math.max(needed, held.length * 2)
    const grown = this.buffers.foreign(Math.max(groupCapacity, capacity))
    if (held !== undefined) grown.set(held.subarray(0, this.foreignLength))
    this.foreignBytes = grown
    return grown
  }

  /** Copies a batch of another member, so that the caller's bytes stay the caller's. */
  addForeign(bytes: Uint8Array, batch: Omit<ForeignBatch, 'start' | 'length'>): void {
    const needed = this.foreignLength + bytes.length
    this.reserveForeign(bytes.length).set(bytes, this.foreignLength)
    this.foreign.push({ ...batch, start: this.foreignLength, length: bytes.length })
    this.foreignLength = needed
  }

  /** Assigns offsets and sequences; `head` moves along. */
  seal(head: LogState, digests: Digests, now: number, producersMax: number): SealedTransaction {
    const batches: PlacedBatch[] = []
    const commits: LogCommit[] = []
    let offset = head.nextOffset
    const storedAt = Math.max(now, head.storedAt)
    for (const batch of this.foreign) {
      const { origin, first, count } = batch
      batches.push({ ...batch, offset, storedAt, buffer: 1 })
      commits.push({ origin, first, next: first + count, offset, count, local: false })
      offset += count
    }
    const own = this.sealOwn(head, digests, storedAt, offset)
    if (own !== undefined) {
      batches.push(...own.batches)
      commits.push(own.commit)
      offset += own.commit.count
    }
    const producers = this.rememberProducers(head, own?.commit, now, producersMax)
    const changes = {
      origins: [...this.origins.values()],
      holes: this.holes,
      holesRemoved: this.holesRemoved,
      cursors: this.cursors,
      replicas: this.replicas,
      replicasRemoved: this.replicasRemoved,
      statements: this.statements,
      ...producers,
      ...(this.meta ? { meta: head.meta } : {}),
      ...(this.repairs.length > 0 ? { repairs: this.repairs } : {}),
      ...(this.dropBelow > 0 ? { dropBelow: this.dropBelow } : {}),
    }
    const moved = {
      nextOffset: offset,
      storedAt: batches.length > 0 ? storedAt : head.storedAt,
    }
    // Holes were entered into `head` when they were decided; everything else is set again.
    applyChange(head, { ...moved, changes: { ...changes, holes: [] } })
    const foreignBuffer = this.foreignBytes?.buffer as ArrayBuffer | undefined
    const buffers = foreignBuffer === undefined ? [] : [new ArrayBuffer(0), foreignBuffer]
    if (this.group !== undefined) buffers[0] = this.group.buffer
    return {
      transaction: { changes, batches, buffers, flush: this.flush },
      change: { ...moved, changes },
      commits,
      ownFirst: own?.commit.first ?? 0,
      ownOffset: own?.commit.offset ?? 0,
      ownOrigin: own?.commit.origin ?? '',
      appends: this.appends,
      begun: this.begun,
      waiters: this.waiters,
      announcements: this.announcements,
      bytes: this.bytes,
      exclusive: this.statements.length > 0 || this.repairs.length > 0,
    }
  }

  private sealOwn(
    head: LogState,
    digests: Digests,
    storedAt: number,
    offset: number,
  ): { batches: readonly PlacedBatch[]; commit: LogCommit } | undefined {
    const { origin } = head.meta
    const entry = head.origins.get(origin)
    if (this.group === undefined || entry === undefined) return undefined
    const sealed = this.group.seal(origin, entry.next, entry.chain, digests)
    const { count } = this.group
    let place = offset
    let bytes = entry.bytes
    const batches = sealed.map((batch): PlacedBatch => {
      const placed = { ...batch, offset: place, origin, storedAt, buffer: 0 as const }
      place += batch.count
      bytes += batch.length
      return placed
    })
    const chain = sealed.at(-1)?.chain ?? entry.chain
    const next = entry.next + count
    this.origins.set(origin, { ...entry, next, chain, bytes, records: entry.records + count })
    return { batches, commit: { origin, first: entry.next, next, offset, count, local: true } }
  }

  private rememberProducers(
    head: LogState,
    own: LogCommit | undefined,
    now: number,
    producersMax: number,
  ): { producers: readonly StoredProducer[]; producersRemoved: readonly string[] } {
    const producers = new Map<string, StoredProducer>()
    if (own === undefined) return { producers: [], producersRemoved: [] }
    for (const { producer, place, count } of this.appends) {
      if (producer === undefined) continue
      const known = producers.get(producer.id) ?? head.producers.get(producer.id)
      const answers = rememberAnswer(known?.answers ?? new Uint8Array(0), {
        sequence: producer.sequence,
        origin: own.origin,
        first: own.first + place,
        count,
        offset: own.offset + place,
      })
      producers.set(producer.id, { id: producer.id, answers, usedAt: now })
    }
    const removed: string[] = []
    let added = 0
    for (const id of producers.keys()) if (!head.producers.has(id)) added += 1
    for (const id of head.producers.keys()) {
      if (head.producers.size - removed.length + added <= producersMax) break
      if (!producers.has(id)) removed.push(id)
    }
    return { producers: [...producers.values()], producersRemoved: removed }
  }
}

/** Room a group starts with: two full batches and their tables, so that most groups never grow. */
export const groupCapacity: number = 160 * 1024

/** Ready to be carried out. */
export interface SealedTransaction {
  readonly transaction: BackendTransaction
  readonly change: StateChange
  readonly commits: readonly LogCommit[]
  readonly ownOrigin: OriginId
  readonly ownFirst: number
  readonly ownOffset: number
  readonly appends: readonly PendingAppend[]
  readonly begun: readonly number[]
  readonly waiters: readonly Waiter[]
  readonly announcements: readonly (() => void)[]
  readonly bytes: number
  /** Runs the user's statements, or repairs: its failure concerns nobody else. */
  readonly exclusive: boolean
}

export function answerAppends(sealed: SealedTransaction): void {
  const { ownOrigin: origin, ownFirst, ownOffset } = sealed
  for (const { place, count, resolve } of sealed.appends) {
    resolve({ origin, first: ownFirst + place, count, offset: ownOffset + place, duplicate: false })
  }
}

export function rejectAll(
  transaction: Pick<SealedTransaction, 'appends' | 'waiters'>,
  cause: unknown,
): void {
  for (const { reject } of transaction.appends) reject(cause)
  for (const { reject } of transaction.waiters) reject(cause)
}
