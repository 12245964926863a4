/**
 * A damaged store is either noticed or harmless: every byte of every row is flipped, and bytes of
 * the file itself (a sample in tier 1, all of them in tier 2).
 */
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { createRandom, isKithError } from '@kith/interface'
import { nodeDigests } from '@kith/interface/node'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createLog } from '../src/index.ts'
import type { Log } from '../src/index.ts'
import { examineBatch } from '../src/runtime/reads.ts'
import { readBatchRow } from '../src/store/sqlite/batch-row.ts'
import { loadRows } from '../src/store/sqlite/load.ts'
import { batchColumns } from '../src/store/sqlite/schema.ts'
import { all, bytes, makeBatch, records } from './support.ts'

// In memory where there is such a place: thousands of logs are opened here.
const place = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()
const everything = process.env['KITH_TIER'] === '2'
const home = mkdtempSync(join(place, 'kith-flip-'))
const baseline = join(home, 'baseline')
const copy = join(home, 'copy')
const strangers = ['ab'.repeat(16), 'cd'.repeat(16)] as const
const replica = '77'.repeat(16)
const producer = { id: 'producer-1', sequence: 5 }

const inline = (directory: string): Log => createLog({ directory, writer: 'inline' })

/** What a log says to anybody who asks; errors by their code. */
interface Observation {
  readonly identity: readonly string[]
  readonly vector: ReadonlyMap<string, string>
  readonly records: readonly string[]
  readonly runs: readonly string[]
  readonly cursors: readonly string[]
  readonly retry: string
}

let whole: Observation

beforeAll(async () => {
  const log = inline(baseline)
  await log.start()
  await log.append(records(2))
  await log.retain({ recordsMax: 0 })
  await log.append([{ value: bytes('first'), key: bytes('k'), headers: { a: 'b' } }, ...records(2)])
  const [one, two] = [makeBatch(strangers[0]), makeBatch(strangers[1], 5, '05'.repeat(32))]
  await log.applyBatches([one.bytes], new Map([[strangers[0], 'member-a']]))
  await log.recordGap(strangers[0], 9, '09'.repeat(32), 'lost')
  await log.recordGap(strangers[1], 5, '05'.repeat(32), 'never held')
  await log.applyBatches([two.bytes, makeBatch(strangers[0], 9, '09'.repeat(32)).bytes])
  await log.append(records(2, 9), { producer })
  await log.cursor('one').commit({ next: 3 })
  await log.cursor('two').commit({ next: 7 })
  log.acknowledged(replica, new Map([[log.origin, 4]]), '', all(log))
  await log.quarantine(strangers[1], 'because')
  await log.stop()
  copyBaseline()
  const again = inline(copy)
  await again.start()
  whole = await observe(again)
  expect(await again.verify()).toMatchObject({ ok: true })
  await again.stop()
}, 60_000)

afterAll(() => rmSync(home, { recursive: true }))

function copyBaseline(): void {
  rmSync(copy, { recursive: true, force: true })
  mkdirSync(copy)
  copyFileSync(join(baseline, 'log.db'), join(copy, 'log.db'))
}

async function said(ask: () => unknown): Promise<string> {
  try {
    const answer = await ask()
    const hex = (_: string, value: unknown): unknown =>
      value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value
    return answer === undefined ? 'undefined' : JSON.stringify(answer, hex)
  } catch (cause) {
    if (!isKithError(cause)) throw cause
    return cause.code
  }
}

async function observe(log: Log): Promise<Observation> {
  const { next } = log.status()
  const at = Array.from({ length: Math.max(next, 15) }, (_, from) => from)
  return {
    identity: [log.logId, log.origin],
    vector: new Map(log.vector().map((state) => [state.origin, JSON.stringify(state)])),
    records: await Promise.all(at.map((from) => said(() => log.read({ from, limit: 1 })))),
    runs: await Promise.all(
      [log.origin, ...strangers].flatMap((origin) =>
        [1, 2, 4, 5, 9].flatMap((from) => [
          // One batch each: a longer run may rightly end before a damaged one.
          said(() => log.readBatches(origin, from, 1)),
          said(() => log.fetchBatch(origin, from)),
          said(() => log.chainAt(origin, from)),
        ]),
      ),
    ),
    cursors: await Promise.all(
      ['one', 'two', 'three'].map((name) => said(() => log.cursor(name).get())),
    ),
    retry: await said(() => log.append(records(2, 9), { producer })),
  }
}

const refusals = ['ERR_LOG_CORRUPT']

/** Every answer is the one the whole log gives, or a refusal; returns whether all were the same. */
function compare(seen: Observation, what: string): boolean {
  let same = seen.vector.size === whole.vector.size
  const check = (got: string, want: string, where: string): void => {
    if (got === want) return
    same = false
    expect(refusals, `${what}: ${where} was answered ${got} instead of ${want}`).toContain(got)
  }
  expect(seen.identity, what).toEqual(whole.identity)
  for (const [origin, state] of seen.vector) {
    expect(state, `${what}: the vector`).toBe(whole.vector.get(origin))
  }
  for (const name of ['records', 'runs', 'cursors'] as const) {
    whole[name].forEach((want, index) => {
      const got = seen[name][index] ?? 'nothing'
      // Where the vector lost a row, nothing is known of that origin, and that is said.
      const unknown = seen.vector.size < whole.vector.size && isUnknown(got)
      if (!unknown) check(got, want, `${name} ${index}`)
    })
  }
  check(seen.retry, whole.retry, 'the retry')
  return same
}

function isUnknown(answer: string): boolean {
  return answer === '{"kind":"unknown"}' || answer === 'undefined'
}

/** Opens the damaged copy and holds what it says against the whole log. */
async function judge(what: string): Promise<'refused' | 'reported' | 'harmless'> {
  const log = inline(copy)
  try {
    await log.start()
  } catch (cause) {
    const code = isKithError(cause) ? cause.code : ''
    if (/^ERR_LOG_(CORRUPT|FORMAT|DIRECTORY|POISONED)$/.test(code)) return 'refused'
    throw new Error(`${what}: the start failed without a reason of ours`, { cause })
  }
  try {
    const report = await log.verify()
    const same = compare(await observe(log), what)
    expect(same || !report.ok, `${what}: something changed and verify saw nothing`).toBe(true)
    return report.ok ? 'harmless' : 'reported'
  } finally {
    await log.stop()
  }
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
    copyBaseline()
    const db = new Database(join(copy, 'log.db'))
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
    const db = new Database(join(baseline, 'log.db'), { readonly: true })
    const rows = [...rowsOf(db)]
    db.close()
    const unnoticed: string[] = []
    for (const { table, key, row } of rows) {
      for (const [column, value] of Object.entries(row)) {
        const choices = [...flipped(value, random.uint32)]
        const tried = everything ? choices : [choices[random.below(choices.length)]]
        for (const changed of tried) {
          copyBaseline()
          const damaged = new Database(join(copy, 'log.db'))
          const stored = damageRow(damaged, table, key, row[key], column, changed)
          damaged.close()
          const what = `${table} ${key} ${String(row[key])} ${column}`
          if (!stored || (await judge(what)) !== 'harmless') continue
          // Of the row of the log itself there is another copy.
          const mended = table === 'kith_meta' && rowsPassIn(copy)
          if (!mended) unnoticed.push(what)
        }
      }
    }
    expect(unnoticed).toEqual([])
  }, 3_600_000)

  it('LOG-27 any row that vanishes is noticed', async () => {
    const db = new Database(join(baseline, 'log.db'), { readonly: true })
    const rows = [...rowsOf(db)]
    db.close()
    for (const { table, key, row } of rows) {
      copyBaseline()
      const damaged = new Database(join(copy, 'log.db'))
      damaged.prepare(`DELETE FROM ${table} WHERE ${key} = ?`).run(row[key])
      damaged.close()
      const what = `${table} without ${String(row[key])}`
      expect(await judge(what), what).not.toBe('harmless')
    }
  }, 120_000)

  it('LOG-27 a flipped byte anywhere in the file is noticed or changes nothing', async () => {
    const file = readFileSync(join(baseline, 'log.db'))
    const seed = Number(process.env['KITH_SEED'] ?? 7)
    const random = createRandom(seed)
    const places = everything
      ? Array.from({ length: file.length }, (_, at) => at)
      : samplePlaces(file, random.below, 500)
    // Of eight seeds in a row each flips another bit of every byte.
    const bitOf = (at: number): number => (at + seed) % 8
    const outcomes = { refused: 0, reported: 0, harmless: 0 }
    const tryAt = async (group: readonly number[]): Promise<keyof typeof outcomes> => {
      copyBaseline()
      const damaged = Buffer.from(file)
      for (const at of group) damaged[at] = (damaged[at] ?? 0) ^ (1 << bitOf(at))
      writeFileSync(join(copy, 'log.db'), damaged)
      return await judge(`file bytes ${group.join(' ')}, seed ${seed}`)
    }
    const idle = everything ? places.filter((at) => isIdle(file, at)) : []
    const alone = new Set(everything ? places.filter((at) => !isIdle(file, at)) : places)
    for (const group of groupsOf(idle, random.below)) {
      if ((await tryAt(group)) === 'harmless') continue
      for (const at of group) alone.add(at)
    }
    for (const at of alone) outcomes[await tryAt([at])] += 1
    outcomes.harmless += idle.filter((at) => !alone.has(at)).length
    const flipped = `${places.length} bytes flipped, ${alone.size} of them alone`
    evidence(`${flipped}, bit (byte + ${seed}) % 8`, outcomes)
    // Each way out was taken, or the test looked at nothing.
    expect(Math.min(...Object.values(outcomes))).toBeGreaterThan(0)
  }, 7_200_000)
})

/** Bytes so far inside a stretch of zeros that nothing is stored there, nor points there. */
const idleMargin = 64

/** A byte of space that is not used: what SQLite never reads. */
function isIdle(file: Buffer, at: number): boolean {
  if (at < idleMargin || at + idleMargin >= file.length) return false
  for (let near = at - idleMargin; near <= at + idleMargin; near += 1) {
    if (file[near] !== 0) return false
  }
  return true
}

const groupSize = 64

/**
 * Idle bytes are flipped many at once, each twice and in other company. Where all of a group are
 * harmless together each of them is alone: a flip that is noticed or changes an answer would be so
 * here too, unless another one undid just that, and then the second company would tell.
 */
function* groupsOf(
  places: readonly number[],
  below: (bound: number) => number,
): Generator<readonly number[]> {
  for (const _ of [1, 2]) {
    const mixed = [...places]
    for (let last = mixed.length - 1; last > 0; last -= 1) {
      const other = below(last + 1)
      const [one, two] = [mixed[last] ?? 0, mixed[other] ?? 0]
      mixed[last] = two
      mixed[other] = one
    }
    for (let at = 0; at < mixed.length; at += groupSize) yield mixed.slice(at, at + groupSize)
  }
}

/** A figure for the evidence of `npm run prove`; outside it does nothing. */
function evidence(name: string, outcomes: Readonly<Record<string, number>>): void {
  const file = process.env['KITH_EVIDENCE']
  const said = Object.entries(outcomes).map(([outcome, count]) => `${count} ${outcome}`)
  if (file) appendFileSync(file, `${name}: ${said.join(', ')}\n`)
}

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

/** Mostly places that hold something, some that do not. */
function samplePlaces(file: Buffer, below: (bound: number) => number, count: number): number[] {
  const places: number[] = Array.from({ length: 100 }, (_, at) => at)
  while (places.length < count) {
    const at = below(file.length)
    if (file[at] !== 0 || places.length % 10 === 0) places.push(at)
  }
  return places
}
