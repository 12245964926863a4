/** The row by which a log knows itself is there twice: one copy is made of the other, or none. */
import Database from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import type { LogOptions } from '../src/index.ts'
import { allValues, codeOf, databaseIn, durableKinds, home, records, started } from './support.ts'

/** A log that was left in order, with two records and a cursor. */
async function left(kind: (typeof durableKinds)[number]): Promise<LogOptions> {
  const options = home(kind)
  const log = await started(options)
  await log.append(records(2))
  await log.cursor('work').commit({ next: 1, revision: 0 })
  await log.stop()
  return options
}

/** Runs a statement as no log does, and says what the rows are then. */
function harm(options: LogOptions, ...statements: readonly string[]): readonly unknown[] {
  const db = new Database(databaseIn(options))
  try {
    for (const sql of statements) db.exec(sql)
    return db.prepare('SELECT * FROM kith_meta ORDER BY id').all()
  } finally {
    db.close()
  }
}

const damageOf = (copy: number): string => `UPDATE kith_meta SET floor = 7 WHERE id = ${copy}`

describe.each(durableKinds)('the row of a %s log about itself', (kind) => {
  it.each([1, 2])('LOG-72 is whole again where copy %i was damaged', async (copy) => {
    const options = await left(kind)
    const before = harm(options)
    expect(harm(options, damageOf(copy))).not.toEqual(before)
    const log = await started(options)
    expect(log.status().gate).toBe('open')
    expect((await log.append(records(1, 2))).first).toBe(3)
    expect(await allValues(log)).toHaveLength(3)
    expect(await log.verify()).toMatchObject({ ok: true, damage: [] })
    await log.stop()
    const after = harm(options) as readonly Record<string, unknown>[]
    expect({ ...after[1], id: 1, crc: 0 }).toEqual({ ...after[0], crc: 0 })
    expect(after[0]).toMatchObject({
      floor: 0,
      origin: (before[0] as (typeof after)[0])?.['origin'],
    })
  })

  it('LOG-72 is made of nothing else where both copies are damaged', async () => {
    const options = await left(kind)
    const before = harm(options, damageOf(1), damageOf(2))
    expect(await codeOf(started(options))).toBe('ERR_LOG_CORRUPT')
    expect(harm(options)).toEqual(before)
  })

  it.each([
    ['another row is damaged', 'UPDATE kith_cursor SET next = 2', damageOf(2)],
    ['a copy is missing', 'DELETE FROM kith_meta WHERE id = 2'],
    ['a copy says that it is another', 'UPDATE kith_meta SET id = 3 WHERE id = 2'],
  ])('LOG-72 stays as it is where %s', async (_, ...statements) => {
    const options = await left(kind)
    const before = harm(options, ...statements)
    const log = await started(options)
    expect(log.status().gate).toBe('damaged')
    expect(await codeOf(log.append(records(1)))).toBe('ERR_LOG_CORRUPT')
    expect(await allValues(log)).toHaveLength(2)
    await log.stop()
    expect(harm(options)).toEqual(before)
  })
})
