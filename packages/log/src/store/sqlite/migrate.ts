/**
 * Brings a file of an older format forward (LOG-40), in one transaction: whatever interrupts it
 * leaves the old format, and the next start begins anew.
 */
import type { Digests } from '@kith/interface'
import type { Database } from './driver.ts'
import { rowCrc } from './rows.ts'
import type { Value } from './rows.ts'

/** A table that gained a column: its columns before, in the order of the checksum, and after. */
interface Widened {
  readonly table: string
  readonly before: readonly string[]
  readonly after: readonly string[]
  readonly definition: string
}

const counts = 'origins holes cursors producers replicas'
const standing = 'id origin member floor next chain status bytes records'
const meta = 'id format log_id origin clean created_at rotated_at rotation_owed'

/** Format 2 knows what retention dropped, and which member a replica belongs to. */
const widened: readonly Widened[] = [
  {
    table: 'kith_meta',
    before: `${meta} ${counts}`.split(' '),
    after: `${meta} floor ${counts}`.split(' '),
    definition: 'floor INTEGER NOT NULL DEFAULT 0',
  },
  {
    table: 'kith_origin',
    before: `${standing} why changed_at`.split(' '),
    after: `${standing} dropped why changed_at`.split(' '),
    definition: 'dropped INTEGER NOT NULL DEFAULT 0',
  },
  {
    table: 'kith_replica',
    before: 'id log_id acked seen_at'.split(' '),
    after: 'id log_id member acked seen_at'.split(' '),
    definition: "member TEXT NOT NULL DEFAULT ''",
  },
]

/** From format 1 to 2. */
export function migrate(db: Database, digests: Digests): void {
  db.transaction(() => {
    for (const each of widened) widen(db, each, digests)
    db.pragma('user_version=2')
  }).immediate()
}

/** Checksums cover every column, so each row is written anew; a damaged one must stay damaged. */
function widen(
  db: Database,
  { table, before, after, definition }: Widened,
  digests: Digests,
): void {
  const read = db.prepare(`SELECT ${before.join(', ')}, crc FROM ${table} ORDER BY id`).raw()
  const rows = read.all() as Value[][]
  const whole = rows.filter((row) => rowCrc(table, row.slice(0, -1), digests) === row.at(-1))
  db.exec(`ALTER TABLE ${table} ADD COLUMN ${definition}`)
  if (table === 'kith_meta') db.exec('UPDATE kith_meta SET format = 2')
  const reread = db.prepare(`SELECT ${after.join(', ')} FROM ${table} WHERE id = ?`).raw()
  const put = db.prepare(`UPDATE ${table} SET crc = ? WHERE id = ?`)
  for (const [id] of whole) {
    put.run(rowCrc(table, reread.get(id) as Value[], digests), id)
  }
}
