/** The table of batches: each row with a checksum of everything but the body, which has its own. */
import { crc32 } from 'node:zlib'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { KithError } from '@kith/interface'
import type { OriginId, StoreChanges, StoredBatch, StoredBatchRead } from '@kith/interface'

/** So many of its first bytes say what a batch is. */
const headerBytes = 64

const columns = 'offset, origin, first, count, stored_at, previous_chain, chain, bytes, crc'

interface Row {
  readonly offset: number
  readonly origin: string
  readonly first: number
  readonly count: number
  readonly stored_at: number
  readonly previous_chain: string
  readonly chain: string
  readonly bytes: Uint8Array
  readonly crc: number
}

function checksum(row: Omit<Row, 'crc'>): number {
  const { offset, origin, first, count, stored_at, previous_chain, chain, bytes } = row
  const fields = [offset, origin, first, count, stored_at, previous_chain, chain, bytes.length]
  return crc32(bytes.subarray(0, headerBytes), crc32(JSON.stringify(fields)))
}

export class Batches {
  private readonly insert: StatementSync
  private readonly drop: StatementSync
  private readonly replace: StatementSync
  private readonly last: StatementSync
  private readonly before: StatementSync
  private readonly after: StatementSync
  private readonly sequenceBefore: StatementSync
  private readonly sequenceAfter: StatementSync

  constructor(db: DatabaseSync) {
    db.exec(
      `CREATE TABLE IF NOT EXISTS batch (
        offset INTEGER PRIMARY KEY, origin TEXT NOT NULL, first INTEGER NOT NULL,
        count INTEGER NOT NULL, stored_at INTEGER NOT NULL, previous_chain TEXT NOT NULL,
        chain TEXT NOT NULL, bytes BLOB NOT NULL, crc INTEGER NOT NULL) STRICT;
       CREATE UNIQUE INDEX IF NOT EXISTS batch_sequence ON batch (origin, first)`,
    )
    this.insert = db.prepare(`INSERT INTO batch (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`)
    this.drop = db.prepare('DELETE FROM batch WHERE offset < ?')
    this.replace = db.prepare('DELETE FROM batch WHERE offset = ?')
    const select = (rest: string): StatementSync =>
      db.prepare(`SELECT ${columns} FROM batch ${rest}`)
    this.last = select('ORDER BY offset DESC LIMIT 1')
    this.before = select('WHERE offset <= ? ORDER BY offset DESC LIMIT 1')
    this.after = select('WHERE offset >= ? ORDER BY offset')
    this.sequenceBefore = select('WHERE origin = ? AND first <= ? ORDER BY first DESC LIMIT 1')
    this.sequenceAfter = select('WHERE origin = ? AND first >= ? ORDER BY first')
  }

  /** What is dropped goes first. */
  write({ dropBelow, batches = [], repairs = [] }: StoreChanges): void {
    if (dropBelow !== undefined) this.drop.run(dropBelow)
    for (const batch of batches) this.add(batch)
    for (const batch of repairs) {
      // A row that is gone has no place that could be told from its neighbours'.
      if (this.replace.run(batch.offset).changes !== 1) {
        throw new KithError('ERR_LOG_REPAIR', `there is no row at ${batch.offset} to repair`)
      }
      this.add(batch)
    }
  }

  private add(batch: StoredBatch): void {
    const { offset, origin, first, count, storedAt, previousChain, chain, bytes } = batch
    const names = { stored_at: storedAt, previous_chain: previousChain }
    const crc = checksum({ offset, origin, first, count, chain, bytes, ...names })
    const values = [offset, origin, first, count, storedAt, previousChain, chain, bytes, crc]
    this.insert.run(...values)
  }

  /** By the last row that is whole; 0 where that one is not, which the log notices. */
  nextOffset(): number {
    const read = one(this.last.get())
    return read?.ok === true ? read.batch.offset + read.batch.count : 0
  }

  atOffset(offset: number): StoredBatchRead | undefined {
    return one(this.before.get(offset))
  }

  fromOffset(offset: number, bytesMax: number): readonly StoredBatchRead[] {
    return page(this.after.iterate(offset), bytesMax)
  }

  atSequence(origin: OriginId, sequence: number): StoredBatchRead | undefined {
    return one(this.sequenceBefore.get(origin, sequence))
  }

  fromSequence(origin: OriginId, sequence: number, bytesMax: number): readonly StoredBatchRead[] {
    return page(this.sequenceAfter.iterate(origin, sequence), bytesMax)
  }
}

function one(row: unknown): StoredBatchRead | undefined {
  return row === undefined ? undefined : read(row as Row)
}

/** At least one row, where there is any. */
function page(rows: Iterable<unknown>, bytesMax: number): readonly StoredBatchRead[] {
  const reads: StoredBatchRead[] = []
  let bytes = 0
  for (const row of rows) {
    const next = read(row as Row)
    bytes += next.ok ? next.batch.bytes.length : 0
    if (reads.length > 0 && bytes > bytesMax) break
    reads.push(next)
  }
  return reads
}

function read(row: Row): StoredBatchRead {
  const { offset, origin, first, count, chain, bytes } = row
  if (checksum(row) !== row.crc) {
    return { ok: false, offset, reason: 'the checksum of the row is wrong' }
  }
  const { stored_at: storedAt, previous_chain: previousChain } = row
  return {
    ok: true,
    batch: { offset, origin, first, count, storedAt, previousChain, chain, bytes },
  }
}
