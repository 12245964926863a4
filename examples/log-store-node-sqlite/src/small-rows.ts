/**
 * Everything but the batches in one table: a row is JSON under its kind and key, with a checksum.
 * One row more has the sum over all others, so that none can vanish or come back unnoticed.
 */
import { crc32 } from 'node:zlib'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { StoreChanges, StoredMeta, StoreDamage, StoreState } from '@kith/interface'

type Kind = Exclude<StoreDamage['table'], 'file' | 'batch'>

interface Row {
  readonly kind: Kind | 'sum'
  readonly key: string
  readonly value: string
  readonly crc: number
}

/** Of all rows: how many there are, their checksums added up, and how often that was written. */
interface Sum {
  rows: number
  crcs: number
  commits: number
}

const checksum = ({ kind, key, value }: Omit<Row, 'crc'>): number =>
  crc32(JSON.stringify([kind, key, value]))

export class SmallRows {
  private readonly all: StatementSync
  private readonly find: StatementSync
  private readonly put: StatementSync
  private readonly remove: StatementSync
  private sum: Sum = { rows: 0, crcs: 0, commits: 0 }

  constructor(db: DatabaseSync) {
    db.exec(
      `CREATE TABLE IF NOT EXISTS small (
        kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, crc INTEGER NOT NULL,
        PRIMARY KEY (kind, key)) STRICT, WITHOUT ROWID`,
    )
    this.all = db.prepare('SELECT kind, key, value, crc FROM small ORDER BY kind, key')
    this.find = db.prepare('SELECT crc FROM small WHERE kind = ? AND key = ?')
    this.put = db.prepare(
      'INSERT OR REPLACE INTO small (kind, key, value, crc) VALUES (?, ?, ?, ?)',
    )
    this.remove = db.prepare('DELETE FROM small WHERE kind = ? AND key = ?')
    this.reload()
  }

  /** The sum as it stands in the file; after a transaction that failed. */
  reload(): void {
    const row = this.rows().find(({ kind }) => kind === 'sum')
    this.sum = row === undefined ? { rows: 0, crcs: 0, commits: 0 } : (decode(row.value) as Sum)
  }

  private rows(): readonly Row[] {
    return this.all.all() as unknown as readonly Row[]
  }

  /** What is removed goes first, then each row replaces the one with its key. */
  write(changes: StoreChanges): void {
    for (const it of changes.holesRemoved ?? []) this.take('hole', holeKey(it))
    for (const id of changes.producersRemoved ?? []) this.take('producer', id)
    for (const logId of changes.replicasRemoved ?? []) this.take('replica', logId)
    for (const row of changes.origins ?? []) this.store('origin', row.origin, row)
    for (const row of changes.holes ?? []) this.store('hole', holeKey(row), row)
    for (const row of changes.cursors ?? []) this.store('cursor', row.name, row)
    for (const row of changes.producers ?? []) this.store('producer', row.id, row)
    for (const row of changes.replicas ?? []) this.store('replica', row.logId, row)
    if (changes.meta !== undefined) this.store('meta', '', changes.meta)
    this.sum.commits += 1
    const row = { kind: 'sum', key: '', value: encode(this.sum) } as const
    this.put.run(row.kind, row.key, row.value, checksum(row))
  }

  private store(kind: Kind, key: string, content: object): void {
    this.forget(kind, key)
    const row = { kind, key, value: encode(content) }
    const crc = checksum(row)
    this.put.run(kind, key, row.value, crc)
    this.sum.rows += 1
    this.sum.crcs = (this.sum.crcs + crc) >>> 0
  }

  private take(kind: Kind, key: string): void {
    this.forget(kind, key)
    this.remove.run(kind, key)
  }

  /** Takes a row out of the sum. */
  private forget(kind: Kind, key: string): void {
    const row = this.find.get(kind, key) as { readonly crc: number } | undefined
    if (row === undefined) return
    this.sum.rows -= 1
    this.sum.crcs = (this.sum.crcs - row.crc) >>> 0
  }

  /** Every row that is whole, and a word about each that is not. */
  state(): Omit<StoreState, 'nextOffset'> {
    const damage: StoreDamage[] = []
    const whole = new Map<Row['kind'], unknown[]>()
    const found = { rows: 0, crcs: 0 }
    for (const row of this.rows()) {
      if (checksum(row) !== row.crc) {
        const table = row.kind === 'sum' ? 'file' : row.kind
        damage.push({ table, key: row.key, reason: 'the checksum of the row is wrong' })
        continue
      }
      whole.set(row.kind, [...(whole.get(row.kind) ?? []), decode(row.value)])
      if (row.kind === 'sum') continue
      found.rows += 1
      found.crcs = (found.crcs + row.crc) >>> 0
    }
    const of = <Content>(kind: Row['kind']): Content[] => (whole.get(kind) ?? []) as Content[]
    const [sum = { rows: 0, crcs: 0 }] = of<Sum>('sum')
    if (sum.rows !== found.rows || sum.crcs !== found.crcs) {
      damage.push({ table: 'file', key: '', reason: 'rows are missing, or are those of before' })
    }
    const [meta] = of<StoredMeta>('meta')
    return {
      meta,
      origins: of('origin'),
      holes: of('hole'),
      cursors: of('cursor'),
      producers: of('producer'),
      replicas: of('replica'),
      damage,
    }
  }
}

const holeKey = ({ origin, from }: { readonly origin: string; readonly from: number }): string =>
  `${origin}:${from}`

function encode(content: object): string {
  return JSON.stringify(content, (_, value: unknown) =>
    value instanceof Uint8Array ? { base64: Buffer.from(value).toString('base64') } : value,
  )
}

function decode(value: string): unknown {
  return JSON.parse(value, (_, inner: unknown) => {
    const text = (inner as { readonly base64?: unknown } | null)?.base64
    return typeof text === 'string' ? new Uint8Array(Buffer.from(text, 'base64')) : inner
  })
}
