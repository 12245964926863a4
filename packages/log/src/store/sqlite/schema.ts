/**
 * Tables of the SQLite store. Every row ends in a CRC-32 over its table and columns. Small tables
 * have no index: they are read whole at the start, and rows are addressed by `id` from then on.
 */
import type { Digests } from '@kith/interface'
import { LogError } from '../../errors.ts'
import type { Database, Statement } from './driver.ts'
import { migrate } from './migrate.ts'

export const FORMAT = 2
export const APPLICATION_ID = 0x4b495448
export const PAGE_BYTES = 16_384

export type SmallTable = 'origin' | 'hole' | 'cursor' | 'producer' | 'replica'

export const smallTableNames: readonly SmallTable[] = [
  'origin',
  'hole',
  'cursor',
  'producer',
  'replica',
]

export interface TableShape {
  readonly table: string
  /** In the order of the checksum. */
  readonly columns: readonly string[]
}

const originColumns =
  'id origin member floor next chain status bytes records dropped why changed_at'
const metaColumnNames =
  'id format log_id origin clean created_at rotated_at rotation_owed floor origins holes ' +
  'cursors producers replicas'

function shape(table: string, columns: string): TableShape {
  return { table, columns: columns.split(' ') }
}

export const smallTables: Readonly<Record<SmallTable, TableShape>> = {
  origin: shape('kith_origin', originColumns),
  hole: shape('kith_hole', 'id origin from_sequence to_sequence chain why at'),
  cursor: shape('kith_cursor', 'id name next revision changed_at'),
  producer: shape('kith_producer', 'id name answers used_at'),
  replica: shape('kith_replica', 'id log_id member acked seen_at'),
}

export const metaColumns: readonly string[] = metaColumnNames.split(' ')

export const batchColumns: readonly string[] =
  'offset origin first count stored_at previous chain bytes'.split(' ')

export const sequenceIndex = 'CREATE UNIQUE INDEX kith_batch_sequence ON kith_batch(origin, first);'

const ddl = `
CREATE TABLE kith_meta(
  id INTEGER PRIMARY KEY,          -- 1 and 2: two copies of one row
  format INTEGER NOT NULL, log_id BLOB NOT NULL, origin BLOB NOT NULL, clean INTEGER NOT NULL,
  created_at INTEGER NOT NULL, rotated_at INTEGER NOT NULL, rotation_owed TEXT NOT NULL,
  floor INTEGER NOT NULL,          -- offset of the first record held
  origins INTEGER NOT NULL,        -- how many rows each small table has, so that none can vanish
  holes INTEGER NOT NULL, cursors INTEGER NOT NULL, producers INTEGER NOT NULL,
  replicas INTEGER NOT NULL, crc INTEGER NOT NULL) STRICT;
CREATE TABLE kith_origin(
  id INTEGER PRIMARY KEY, origin BLOB NOT NULL, member TEXT NOT NULL, floor INTEGER NOT NULL,
  next INTEGER NOT NULL, chain BLOB NOT NULL, status TEXT NOT NULL, bytes INTEGER NOT NULL,
  records INTEGER NOT NULL, dropped INTEGER NOT NULL, why TEXT NOT NULL,
  changed_at INTEGER NOT NULL, crc INTEGER NOT NULL) STRICT;
CREATE TABLE kith_batch(
  offset INTEGER PRIMARY KEY,      -- of the first record; a rowid table keeps blobs out of the tree
  origin INTEGER NOT NULL,         -- kith_origin.id
  first INTEGER NOT NULL, count INTEGER NOT NULL, stored_at INTEGER NOT NULL,
  previous BLOB NOT NULL, chain BLOB NOT NULL, crc INTEGER NOT NULL, bytes BLOB NOT NULL) STRICT;
${sequenceIndex}
CREATE TABLE kith_hole(
  id INTEGER PRIMARY KEY, origin INTEGER NOT NULL, from_sequence INTEGER NOT NULL,
  to_sequence INTEGER NOT NULL, chain BLOB NOT NULL, why TEXT NOT NULL, at INTEGER NOT NULL,
  crc INTEGER NOT NULL) STRICT;
CREATE TABLE kith_cursor(
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, next INTEGER NOT NULL, revision INTEGER NOT NULL,
  changed_at INTEGER NOT NULL, crc INTEGER NOT NULL) STRICT;
CREATE TABLE kith_producer(
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, answers BLOB NOT NULL, used_at INTEGER NOT NULL,
  crc INTEGER NOT NULL) STRICT;
CREATE TABLE kith_replica(
  id INTEGER PRIMARY KEY, log_id BLOB NOT NULL, member TEXT NOT NULL, acked BLOB NOT NULL,
  seen_at INTEGER NOT NULL, crc INTEGER NOT NULL) STRICT;
`

/**
 * Makes the tables of a new file, brings an older one forward, or refuses one that is not ours or
 * newer than we are.
 */
export function prepareSchema(db: Database, path: string, digests: Digests): void {
  const version = db.pragma('user_version', { simple: true })
  const id = db.pragma('application_id', { simple: true })
  const objects = db.prepare('SELECT count(*) AS n FROM sqlite_schema').get() as { n: number }
  if (objects.n === 0 && version === 0) {
    db.exec(
      `BEGIN IMMEDIATE; ${ddl} PRAGMA application_id=${APPLICATION_ID};` +
        ` PRAGMA user_version=${FORMAT}; COMMIT;`,
    )
    return
  }
  if (id !== APPLICATION_ID) {
    throw new LogError('ERR_LOG_FORMAT', `${path} is a SQLite file, but not a log of Kith`)
  }
  if (version === FORMAT) return
  if (version === 1) return migrate(db, digests)
  throw new LogError(
    'ERR_LOG_FORMAT',
    `${path} has format ${String(version)}; this version of Kith knows formats 1 to ${FORMAT}: ` +
      'run the version that wrote it',
    { details: { format: version, known: FORMAT } },
  )
}

/** For rows of a table with their checksum. */
export function prepareInsert(
  db: Database,
  verb: string,
  table: string,
  columns: readonly string[],
): Statement {
  const names = [...columns, 'crc'].join(', ')
  const marks = [...columns, 'crc'].map(() => '?').join(', ')
  return db.prepare<unknown[]>(`${verb} INTO ${table}(${names}) VALUES(${marks})`)
}
