/** A damaged store is either noticed or harmless: every byte of every row is flipped. */
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { createRandom } from '@kith/interface'
import { nodeDigests } from '@kith/interface/node'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { examineBatch } from '../src/runtime/reads.ts'
import { readBatchRow } from '../src/store/sqlite/batch-row.ts'
import { loadRows } from '../src/store/sqlite/load.ts'
import { batchColumns } from '../src/store/sqlite/schema.ts'
import { judge, makeImage, place, putFiles } from './flip-support.ts'
import type { Image } from './flip-support.ts'

const everything = process.env['KITH_TIER'] === '2'
const home = mkdtempSync(join(place, 'kith-flip-'))
const copy = join(home, 'copy')
let image: Image

beforeAll(async () => {
  image = await makeImage('sqlite', 'stopped', home)
}, 60_000)

afterAll(() => rmSync(home, { recursive: true }))

/** Opens a database of its own of the whole log. */
function copied(): Database.Database {
  putFiles(image.files, copy)
  return new Database(join(copy, 'log.db'))
}

type Row = Record<string, unknown>

function tablesOf(db: Database.Database): readonly string[] {
  const names = db.prepare(
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'kith_%'",
  )
  return names.pluck().all() as string[]
}

function rowsPassIn(directory: string): boolean {
  const db = new Database(join(directory, 'log.db'), { readonly: true })
  try {
    return rowsPass(db)
  } finally {
    db.close()
  }
}

/**
 * Every value with one of its bits flipped, one for each byte, and for each bit of small
 * integers.
 */
function* flipped(value: unknown, random: () => number): Generator<unknown> {
  if (typeof value === 'number') {
    for (let bit = 0; bit < 12; bit += 1) yield value ^ (1 << bit)
    yield -value - 1
    return
  }
  const whole = typeof value === 'string' ? Buffer.from(value) : Buffer.from(value as Uint8Array)
  for (let at = 0; at < whole.length; at += 1) {
    const changed = Buffer.from(whole)
    // Texts stay ASCII, so that every flip is another text.
    changed[at] = (changed[at] ?? 0) ^ (1 << (random() % (typeof value === 'string' ? 7 : 8)))
    yield typeof value === 'string' ? changed.toString('latin1') : changed
  }
}

describe('a damaged store', () => {
  it('LOG-18 LOG-27 any flipped byte of any row fails its check', () => {
    const random = createRandom(20_261_123)
    const db = copied()
    const unnoticed: string[] = []
    let cases = 0
    for (const { table, key, row } of rowsOf(db)) {
      for (const [column, value] of Object.entries(row)) {
        for (const changed of flipped(value, random.uint32)) {
          const what = `${table} ${key} ${String(row[key])} ${column}`
          db.exec('BEGIN')
          if (damageRow(db, table, key, row[key], column, changed)) {
            if (rowsPass(db)) unnoticed.push(what)
            cases += 1
          }
          db.exec('ROLLBACK')
        }
      }
    }
    expect(unnoticed).toEqual([])
    expect(rowsPass(db)).toBe(true)
    db.close()
    expect(cases).toBeGreaterThan(1_000)
  }, 120_000)

  it('LOG-18 LOG-27 LOG-72 a log with a flipped byte in a row reports it or mends it, and never serves it', async () => {
    const random = createRandom(20_261_124)
    const whole = copied()
    const rows = [...rowsOf(whole)]
    whole.close()
    const unnoticed: string[] = []
    for (const { table, key, row } of rows) {
      for (const [column, value] of Object.entries(row)) {
        const choices = [...flipped(value, random.uint32)]
        const tried = everything ? choices : [choices[random.below(choices.length)]]
        for (const changed of tried) {
          const damaged = copied()
          const stored = damageRow(damaged, table, key, row[key], column, changed)
          damaged.close()
          const what = `${table} ${key} ${String(row[key])} ${column}`
          if (!stored || (await judge(image, copy, what)) !== 'harmless') continue
          // Of the row of the log itself there is another copy.
          const mended = table === 'kith_meta' && rowsPassIn(copy)
          if (!mended) unnoticed.push(what)
        }
      }
    }
    expect(unnoticed).toEqual([])
  }, 3_600_000)

  it('LOG-27 any row that vanishes is noticed', async () => {
    const whole = copied()
    const rows = [...rowsOf(whole)]
    whole.close()
    for (const { table, key, row } of rows) {
      const damaged = copied()
      damaged.prepare(`DELETE FROM ${table} WHERE ${key} = ?`).run(row[key])
      damaged.close()
      const what = `${table} without ${String(row[key])}`
      expect(await judge(image, copy, what), what).not.toBe('harmless')
    }
  }, 120_000)
})

interface FoundRow {
  readonly table: string
  readonly key: string
  readonly row: Row
}

function* rowsOf(db: Database.Database): Generator<FoundRow> {
  for (const table of tablesOf(db)) {
    const key = table === 'kith_batch' ? 'offset' : 'id'
    for (const row of db.prepare(`SELECT * FROM ${table}`).all() as Row[]) yield { table, key, row }
  }
}

/** Whether everything that is stored passes the checks that any reader makes. */
function rowsPass(db: Database.Database): boolean {
  const { state, originIds } = loadRows(db, nodeDigests)
  const origins = new Map([...originIds].map(([origin, id]) => [id, origin]))
  const select = db.prepare(`SELECT ${batchColumns.join(', ')}, crc FROM kith_batch`).raw()
  const batches = select.all().map((row) => {
    const read = readBatchRow(row as never, (id) => origins.get(id), nodeDigests)
    return read.ok && examineBatch(read.batch, nodeDigests).ok
  })
  return state.damage.length === 0 && batches.every(Boolean)
}

/** False where the schema itself refuses such a value. */
function damageRow(
  db: Database.Database,
  table: string,
  key: string,
  id: unknown,
  column: string,
  value: unknown,
): boolean {
  try {
    db.prepare(`UPDATE ${table} SET ${column} = ? WHERE ${key} = ?`).run(value, id)
    return true
  } catch (cause) {
    if ((cause as { code?: string }).code?.startsWith('SQLITE_CONSTRAINT') !== true) throw cause
    return false
  }
}
