/**
 * A whole batch in the place of a damaged one (LOG-54). A row is written over only where what
 * SQLite reads there is that batch but for a few bytes next to each other: a damaged pointer leads
 * to pages of other batches, and writing there would spread the damage.
 */
import type { Digests, StoredBatch } from '@kith/interface'
import { LogError } from '../../errors.ts'
import { batchCrc } from './batch-row.ts'
import { sqliteCode } from './driver.ts'
import type { Database } from './driver.ts'
import { bytesOf } from './rows.ts'
import { batchColumns, sequenceIndex } from './schema.ts'

/** A disk loses sectors of at most so many bytes. */
export const damageBytesMax = 4_096
/** The index is made anew where the row disagrees with it; beyond this that would take too long. */
const reindexRowsMax = 100_000

interface FoundRow {
  readonly origin: unknown
  readonly first: unknown
  readonly stored_at: unknown
  readonly bytes: unknown
}

/** Throws `ERR_LOG_REPAIR`; the caller's transaction is then rolled back. */
export function repairBatch(
  db: Database,
  batch: StoredBatch,
  originId: number,
  digests: Digests,
): void {
  try {
    const row = readRow(db, batch.offset)
    const problem = row === undefined ? 'no row is there' : rowProblem(row, batch)
    if (row === undefined || problem !== undefined) throw refused(batch, problem ?? '')
    const indexed = row.origin === originId && row.first === batch.first
    if (!indexed) dropIndex(db, batch)
    const { offset, first, count, bytes } = batch
    const storedAt = storedTime(db, row, batch)
    const chains = [bytesOf(batch.previousChain), bytesOf(batch.chain)] as const
    const values = [offset, originId, first, count, storedAt, ...chains, bytes]
    const set = [...batchColumns.slice(1), 'crc'].map((column) => `${column} = ?`).join(', ')
    const update = db.prepare<unknown[]>(`UPDATE kith_batch SET ${set} WHERE offset = ?`)
    update.run(...values.slice(1), batchCrc(values, bytes, digests), offset)
    if (!indexed) db.exec(sequenceIndex)
  } catch (cause) {
    const code = sqliteCode(cause)
    if (!code.startsWith('SQLITE_CORRUPT') && !code.startsWith('SQLITE_CONSTRAINT')) throw cause
    throw refused(batch, cause instanceof Error ? cause.message : code, cause)
  }
}

function readRow(db: Database, offset: number): FoundRow | undefined {
  const select = db.prepare(
    'SELECT origin, first, stored_at, bytes FROM kith_batch WHERE offset = ?',
  )
  return select.get(offset) as FoundRow | undefined
}

function rowProblem({ bytes }: FoundRow, batch: StoredBatch): string | undefined {
  if (!(bytes instanceof Uint8Array) || bytes.length !== batch.bytes.length) {
    return 'what is there has another length'
  }
  const differing = differingBytes(bytes, batch.bytes)
  if (differing <= damageBytesMax) return undefined
  return `what is there differs over ${differing} bytes, so that a page of it may be another's`
}

/** From the first byte that differs to the last, of two that are equally long. */
export function differingBytes(one: Uint8Array, other: Uint8Array): number {
  let first = 0
  while (first < one.length && one[first] === other[first]) first += 1
  let end = one.length
  while (end > first && one[end - 1] === other[end - 1]) end -= 1
  return end - first
}

/** Times of storing never run backwards along offsets (LOG-48); a damaged one may. */
function storedTime(db: Database, { stored_at: found }: FoundRow, batch: StoredBatch): number {
  const { offset, storedAt } = batch
  const after = db
    .prepare('SELECT stored_at FROM kith_batch WHERE offset > ? ORDER BY offset LIMIT 1')
    .pluck()
    .get(offset) as number | undefined
  const plausible = typeof found === 'number' && found >= storedAt && found <= (after ?? Infinity)
  if (plausible) return found
  return storedAt > 0 ? storedAt : (after ?? 0)
}

function dropIndex(db: Database, batch: StoredBatch): void {
  const rows = db.prepare('SELECT count(*) FROM kith_batch').pluck().get() as number
  if (rows > reindexRowsMax) throw refused(batch, `its index cannot be made anew for ${rows} rows`)
  db.exec('DROP INDEX kith_batch_sequence')
}

function refused(batch: StoredBatch, problem: string, cause?: unknown): LogError {
  return new LogError(
    'ERR_LOG_REPAIR',
    `the batch at offset ${batch.offset} cannot be repaired in place: ${problem}`,
    { cause, details: { offset: batch.offset, origin: batch.origin, first: batch.first } },
  )
}
