/** The segment store: frames, recovery, reading behind the index, and files that go. */
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import Database from 'better-sqlite3'
import type {
  LogStore,
  LogStoreReader,
  StoreChanges,
  StoredBatch,
  StoredBatchRead,
  StoredMeta,
  StoredOrigin,
  StoreState,
} from '@kith/interface'
import { createRandom } from '@kith/interface'
import type { Random } from '@kith/interface'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createLog, memoryStore, restoreLog, segmentStore, sqliteStore } from '../src/index.ts'
import { createSegmentStore } from '../src/store/segment/store.ts'
import { allValues, codeOf, pulled, records, started, temporaryDirectory } from './support.ts'

const origins = ['aa'.repeat(16), 'bb'.repeat(16), 'cc'.repeat(16)] as const
const chainOf = (mark: number): string => mark.toString(16).padStart(4, '0').repeat(16)

const meta: StoredMeta = {
  logId: '01'.repeat(16),
  origin: origins[0],
  clean: false,
  createdAt: 1_700_000_000_000,
  rotatedAt: 0,
  rotationOwed: '',
  floor: 0,
}

/** A history that grows by random transactions. */
class History {
  private readonly random: Random
  private offset = 0
  private floor = 0
  private readonly next = new Map<string, number>()
  private revision = 0

  constructor(seed: number) {
    this.random = createRandom(seed)
  }

  below(bound: number): number {
    return this.random.below(bound)
  }

  get end(): number {
    return this.offset
  }

  private batch(origin: string, bytesMax: number): StoredBatch {
    const first = this.next.get(origin) ?? 1
    const count = 1 + this.below(4)
    const length = 64 + this.below(bytesMax)
    const batch: StoredBatch = {
      offset: this.offset,
      origin,
      first,
      count,
      storedAt: 1_700_000_000_000 + this.offset,
      previousChain: chainOf(first),
      chain: chainOf(first + count),
      bytes: Uint8Array.from({ length }, (_, at) => (at * 31 + this.offset * 7) & 0xff),
    }
    this.offset += count
    this.next.set(origin, first + count)
    return batch
  }

  private row(origin: string): StoredOrigin {
    const next = this.next.get(origin) ?? 1
    return {
      ...{ origin, member: `m ${origin.slice(0, 2)}`, floor: 1, next, chain: chainOf(next) },
      ...{ status: 'live', bytes: next * 10, records: next - 1, dropped: 0, why: '' },
      changedAt: this.offset,
    }
  }

  /** `drops`: now and then the front goes. */
  change(bytesMax: number, drops: boolean): StoreChanges {
    const touched = new Set<string>()
    const batches = Array.from({ length: this.below(4) }, () => {
      const origin = origins[this.below(3)] ?? origins[0]
      touched.add(origin)
      return this.batch(origin, bytesMax)
    })
    const dropBelow =
      drops && this.below(9) === 0 ? this.floor + this.below(this.offset - this.floor + 1) : 0
    const name = `c${this.below(3)}`
    const gone = `p${this.below(4)}`
    this.revision += 1
    const small: StoreChanges[] = [
      {},
      { cursors: [{ name, next: this.offset, revision: this.revision, changedAt: 1 }] },
      { producers: [{ id: gone, answers: Uint8Array.of(this.revision & 0xff), usedAt: 5 }] },
      { producersRemoved: [gone] },
      {
        replicas: [
          {
            logId: chainOf(this.below(3)).slice(32),
            member: '',
            acked: Uint8Array.of(1, 2),
            seenAt: this.revision,
          },
        ],
      },
      { replicasRemoved: [chainOf(this.below(3)).slice(32)] },
      {
        holes: [
          {
            origin: origins[1],
            from: this.revision,
            to: this.revision + 1,
            chain: chainOf(1),
            why: 'lost',
            at: 3,
          },
        ],
      },
    ]
    const extra = small[this.below(small.length)] ?? {}
    const rows = [...touched].map((origin) => this.row(origin))
    if (dropBelow > this.floor) {
      this.floor = dropBelow
      return { dropBelow, meta: { ...meta, floor: dropBelow }, batches, origins: rows, ...extra }
    }
    return { batches, origins: rows, ...extra }
  }
}

const sorted = <Row>(rows: readonly Row[]): readonly string[] =>
  rows
    .map((row) =>
      JSON.stringify(row, (_, value: unknown) =>
        value instanceof Uint8Array ? [...value] : value,
      ),
    )
    .toSorted()

function rowsOf(state: StoreState): unknown {
  const { origins: all, holes, cursors, producers, replicas } = state
  const tables = [all, holes, cursors, producers, replicas].map((rows) =>
    sorted<unknown>(rows).map((text) => JSON.parse(text) as unknown),
  )
  return { meta: state.meta, nextOffset: state.nextOffset, damage: state.damage, tables }
}

/** A row in one line. */
function said(read: StoredBatchRead | undefined): string {
  if (read?.ok !== true) return JSON.stringify(read)
  const { bytes, ...columns } = read.batch
  return `${JSON.stringify(columns)} ${bytes.length} ${crc32(bytes)}`
}

/** Both say the same, wherever they are asked. */
function expectSame(one: LogStoreReader, other: LogStoreReader, history: History): void {
  expect(rowsOf(one.state())).toEqual(rowsOf(other.state()))
  const all = [one, other].map((reader) => reader.fromOffset(0, 1e9).map(said))
  expect(all[0]).toEqual(all[1])
  for (let ask = 0; ask < 4; ask += 1) {
    const offset = history.below(history.end + 2)
    const bytesMax = 1 + history.below(8_000)
    const origin = origins[history.below(3)] ?? origins[0]
    const answers = [one, other].map((reader) => [
      said(reader.atOffset(offset)),
      ...reader.fromOffset(offset, bytesMax).map(said),
      said(reader.atSequence(origin, offset)),
      ...reader.fromSequence(origin, offset, bytesMax).map(said),
    ])
    expect(answers[0]).toEqual(answers[1])
  }
}

/** The files as a kill would leave them: nothing is closed. */
function killedCopy(directory: string): string {
  const copy = temporaryDirectory()
  cpSync(directory, copy, { recursive: true })
  return copy
}

function opened(
  directory: string,
  segmentBytesMax?: number,
): { store: LogStore; state: StoreState } {
  const bound = segmentBytesMax === undefined ? {} : { segmentBytesMax }
  const store = createSegmentStore({ directory, ...bound }, 64)
  const state = store.open()
  onTestFinished(() => store.close())
  return { store, state }
}

function segmentsIn(directory: string): readonly string[] {
  return readdirSync(directory).filter((name) => /^\d+\.seg$/.test(name))
}

const small = 32 * 1024
const everything = process.env['KITH_TIER'] === '2'
const seeds = Array.from({ length: everything ? 200 : 2 }, (_, at) => at + 1)

describe('a segment store beside one in memory', () => {
  it.each(seeds)(
    'LOG-60 LOG-62 holds and finds the same after any transactions, kills and restarts (seed %i)',
    (seed) => {
      const history = new History(seed)
      const model = memoryStore()()
      model.open()
      let directory = temporaryDirectory()
      let { store } = opened(directory, small)
      let reader = store.reader()
      const begin: StoreChanges = { meta, origins: [] }
      for (const each of [model, store]) each.commit(begin, true)
      for (let step = 0; step < 200; step += 1) {
        const change = history.change(2_000, true)
        const flush = history.below(3) > 0
        for (const each of [model, store]) each.commit(change, flush)
        if (step % 8 === 0) expectSame(reader, model.reader(), history)
        if (step % 50 !== 49) continue
        const killed = history.below(2) === 0
        const left = killed ? killedCopy(directory) : directory
        reader.close()
        store.close()
        directory = left
        const again = opened(directory, small)
        store = again.store
        expect(rowsOf(again.state)).toEqual(rowsOf(model.reader().state()))
        reader = store.reader()
        expectSame(reader, model.reader(), history)
      }
      expect(segmentsIn(directory).length).toBeGreaterThan(1)
      reader.close()
    },
  )
})

/** A store with a frame for each of `count` commits behind the index, as a kill leaves it. */
function killedAfter(count: number, flush: boolean): { directory: string; ends: number[] } {
  const directory = temporaryDirectory()
  const { store } = opened(directory)
  const history = new History(9)
  store.commit({ meta }, true)
  store.close()
  const { store: again } = opened(directory)
  const ends = [0]
  for (let index = 0; index < count; index += 1) {
    let change = history.change(300, false)
    while (change.batches?.length === 0) change = history.change(300, false)
    again.commit(change, flush)
    ends.push(history.end)
  }
  return { directory: killedCopy(directory), ends }
}

/** Where the frames of a segment begin. */
function framesIn(path: string): readonly number[] {
  const file = readFileSync(path)
  const found: number[] = []
  for (let at = file.indexOf('KFRM'); at >= 0; at = file.indexOf('KFRM', at + 4)) found.push(at)
  return found
}

function writeAt(path: string, position: number, bytes: Uint8Array): void {
  const descriptor = openSync(path, 'r+')
  writeSync(descriptor, bytes, 0, bytes.length, position)
  closeSync(descriptor)
}

describe('what a kill left of segments', () => {
  const first = '000000000000000.seg'

  it('LOG-61 a torn end is cut off by whole commits, wherever it is torn', () => {
    const { directory, ends } = killedAfter(3, true)
    const file = readFileSync(join(directory, first))
    const [second = 0, third = 0] = framesIn(join(directory, first)).slice(-2)
    // A kill leaves no more than was written: zeros, filled ahead, stand behind it.
    let end = file.length
    while (file[end - 1] === 0) end -= 1
    const step = everything ? 1 : Math.ceil((end - second) / 40)
    for (let cut = second; cut < end; cut += step) {
      const copy = killedCopy(directory)
      // Torn either way: the file ends there, or its length was kept and its pages were not.
      if (cut % 2 === 0) truncateSync(join(copy, first), cut)
      else writeAt(join(copy, first), cut, new Uint8Array(end - cut))
      const mark = join(copy, 'segments-end')
      expect(existsSync(mark)).toBe(true)
      // Of what was flushed there is none where the power was cut before it could be noted.
      rmSync(mark)
      const store = createSegmentStore({ directory: copy })
      const { nextOffset, damage } = store.open()
      expect(damage).toEqual([])
      expect([ends[1], ends[2], ends[3]], `cut at ${cut}`).toContain(nextOffset)
      if (cut <= third) expect(nextOffset).toBeLessThan(ends[3] ?? 0)
      store.close()
      rmSync(copy, { recursive: true })
    }
  })

  it('LOG-61 a frame that was flushed and is broken is damage, and nothing is written over', () => {
    const { directory } = killedAfter(3, true)
    const path = join(directory, first)
    const [, broken = 0] = framesIn(path).slice(-3)
    writeAt(path, broken + 60, Uint8Array.of(0xff, 0x00, 0xff))
    const before = readFileSync(path)
    const { store, state } = opened(directory)
    expect(state.damage).toMatchObject([{ table: 'file', key: first }])
    expect(codeOfThrown(() => store.commit({ meta }, true))).toBe('ERR_LOG_CORRUPT')
    store.close()
    expect(readFileSync(path).equals(before)).toBe(true)
  })

  it('LOG-61 of what was not flushed a part may be lost, and what came after it never comes back', () => {
    const { directory, ends } = killedAfter(4, false)
    const path = join(directory, first)
    const begins = framesIn(path).slice(-4)
    // A power cut kept the last two frames and lost the second: its pages are zeros.
    const [, lost = 0, kept = 0] = begins
    writeAt(path, lost, new Uint8Array(kept - lost))
    const { store, state } = opened(directory)
    expect(state).toMatchObject({ damage: [], nextOffset: ends[1] })
    // A frame as long as the lost one would end where the next one began.
    const one = { origin: 'dd'.repeat(16), first: 1, count: 1, storedAt: 1 }
    const chains = { previousChain: chainOf(1), chain: chainOf(2) }
    const place = { ...one, ...chains, offset: ends[1] ?? 0 }
    store.commit({ batches: [{ ...place, bytes: new Uint8Array(64) }] }, true)
    store.close()
    const again = opened(directory)
    expect(again.state).toMatchObject({ damage: [], nextOffset: (ends[1] ?? 0) + 1 })
    expect(framesIn(path).length).toBe(3)
  })

  it('LOG-61 LOG-26 a beginning that was cut off begins anew, and what is missing is named', async () => {
    const directory = join(temporaryDirectory(), 'log')
    const log = await started({ directory, storage: 'segment', writer: 'inline' })
    await log.append(records(2))
    await log.stop()
    const index = join(directory, 'index')
    rmSync(index, { recursive: true })
    expect(await codeOf(createLog({ directory, storage: 'segment' }).start())).toBe(
      'ERR_LOG_CORRUPT',
    )
    // Nothing but the index was begun.
    rmSync(join(directory, first))
    mkdirSync(index)
    const fresh = await started({ directory, storage: 'segment', writer: 'inline' })
    expect(await allValues(fresh)).toEqual([])
    await fresh.append(records(1))
    await fresh.stop()
    rmSync(join(directory, first))
    expect(await codeOf(createLog({ directory }).start())).toBe('ERR_LOG_CORRUPT')
  })
})

function codeOfThrown(run: () => unknown): unknown {
  try {
    run()
    return 'nothing was thrown'
  } catch (cause) {
    return (cause as { code?: unknown }).code
  }
}

/** Files of a directory that are gone by name and that this process still keeps. */
function removedButOpen(directory: string): readonly string[] {
  return readdirSync('/proc/self/fd')
    .map((descriptor) => {
      try {
        return readlinkSync(join('/proc/self/fd', descriptor))
      } catch {
        return ''
      }
    })
    .filter((target) => target.startsWith(directory) && target.endsWith('.seg (deleted)'))
}

describe('segments and their index', () => {
  it('LOG-62 the statements of a cursor hold with everything before and after them', async () => {
    const directory = temporaryDirectory()
    const options = { directory, storage: 'segment', writer: 'inline' } as const
    const log = await started(options)
    const sql = 'CREATE TABLE IF NOT EXISTS seen(id)'
    for (let round = 0; round < 5; round += 1) {
      await log.append(records(3, round * 3))
      const statements = [{ sql }, { sql: 'INSERT INTO seen VALUES (?)', params: [round] }]
      await log.cursor('c').commit({ next: round * 3, statements })
      await log.cursor('d').commit({ next: round })
      await log.append(records(1), { durability: 'os' })
    }
    const copy = killedCopy(directory)
    const again = await started({ ...options, directory: copy })
    expect(again.cursor('c').get()).toEqual({ next: 12, revision: 5 })
    expect(again.cursor('d').get()).toEqual({ next: 4, revision: 5 })
    expect(again.status().next).toBe(20)
    expect(await again.verify()).toMatchObject({ ok: true, records: 20 })
    const db = new Database(join(copy, 'index', 'log.db'), { readonly: true })
    expect(db.prepare('SELECT id FROM seen ORDER BY id').pluck().all()).toEqual([0, 1, 2, 3, 4])
    db.close()
  })

  it('LOG-63 segments go once all that they hold is dropped, and no sooner', () => {
    const directory = temporaryDirectory()
    const { store } = opened(directory, small)
    const reader = store.reader()
    const history = new History(5)
    store.commit({ meta }, true)
    let floor = 0
    for (let round = 0; round < 12; round += 1) {
      for (let step = 0; step < 40; step += 1) store.commit(history.change(1_500, false), true)
      const held = reader.fromOffset(floor, 1e9)
      // The newest ten batches stay.
      const oldest = held.at(-10)
      floor = oldest?.ok === true ? oldest.batch.offset : floor
      store.commit({ dropBelow: floor, meta: { ...meta, floor } }, true)
      const left = reader.fromOffset(0, 1e9)
      expect(left.map((read) => read.ok)).toEqual(Array.from({ length: 10 }, () => true))
      expect(left[0]).toMatchObject({ batch: { offset: floor } })
    }
    if (process.platform === 'linux') expect(removedButOpen(directory)).toEqual([])
    // Some 700 KiB went through, of which ten batches of at most 1.5 KiB are held.
    const bytes = segmentsIn(directory).reduce(
      (sum, name) => sum + statSync(join(directory, name)).size,
      0,
    )
    expect(bytes).toBeLessThan(4 * small)
    reader.close()
    store.close()
    const { state } = opened(directory, small)
    expect(state).toMatchObject({ damage: [], nextOffset: history.end })
  })

  it('LOG-63 a transaction that is larger than a segment gets one of its own', () => {
    const directory = temporaryDirectory()
    const { store } = opened(directory, small)
    const large: StoredBatch = {
      ...{ offset: 0, origin: origins[0], first: 1, count: 1, storedAt: 1 },
      ...{ previousChain: chainOf(1), chain: chainOf(2) },
      bytes: new Uint8Array(5 * small).fill(3),
    }
    store.commit({ meta, batches: [{ ...large, bytes: new Uint8Array(64) }] }, true)
    store.commit({ batches: [{ ...large, offset: 1, first: 2 }] }, true)
    store.commit({ batches: [{ ...large, offset: 2, first: 3, bytes: new Uint8Array(64) }] }, true)
    expect(segmentsIn(directory).length).toBe(3)
    const reader = store.reader()
    expect(reader.atOffset(1)).toMatchObject({ ok: true, batch: { bytes: large.bytes } })
    reader.close()
  })

  it('LOG-63 a flipped bit in the first page of a segment is found by an inspection', async () => {
    const directory = temporaryDirectory()
    const log = await started({ directory, storage: 'segment', writer: 'inline' })
    await log.append(records(3))
    await log.stop()
    writeAt(join(directory, '000000000000000.seg'), 20, Uint8Array.of(0x55))
    const again = await started({ directory, writer: 'inline' })
    expect(await allValues(again)).toHaveLength(3)
    const { damage } = await again.verify()
    expect(damage).toMatchObject([{ table: 'file', reason: 'its first page is damaged' }])
  })
})

describe('the storage of a log', () => {
  it('LOG-26 stays what it was, and is refused by another name', async () => {
    const [one, other] = [temporaryDirectory(), temporaryDirectory()]
    for (const [directory, storage] of [
      [one, 'segment'],
      [other, 'sqlite'],
    ] as const) {
      const log = await started({ directory, storage, writer: 'inline' })
      await log.append(records(2))
      await log.stop()
      const again = await started({ directory, writer: 'inline' })
      expect(await allValues(again)).toHaveLength(2)
      await again.stop()
      const wrong = storage === 'segment' ? 'sqlite' : 'segment'
      expect(await codeOf(createLog({ directory, storage: wrong }).start())).toBe('ERR_LOG_FORMAT')
    }
    expect(existsSync(join(one, 'log.db'))).toBe(false)
    expect(codeOfThrown(() => segmentStore({ directory: other })().open())).toBe('ERR_LOG_FORMAT')
    expect(codeOfThrown(() => sqliteStore({ directory: one })().open())).toBe('ERR_LOG_FORMAT')
    // Neither a backup nor what is restored from one may come beside it.
    const log = await started({ directory: other, writer: 'inline' })
    const backup = join(temporaryDirectory(), 'backup')
    await log.backup(backup)
    expect(await codeOf(log.backup(one))).toBe('ERR_LOG_BACKUP')
    expect(await codeOf(restoreLog(backup, one))).toBe('ERR_LOG_BACKUP')
    expect(existsSync(join(one, 'log.db'))).toBe(false)
    const bounds = { directory: one, segmentBytesMax: 5 }
    expect(codeOfThrown(() => segmentStore(bounds))).toBe('ERR_LOG_OPTIONS')
  })

  it('LOG-54 a damaged batch in a segment is repaired in place, its row too', async () => {
    const directory = temporaryDirectory()
    const log = await started({ directory, storage: 'segment', writer: 'inline' })
    for (let batch = 0; batch < 6; batch += 1) await log.append(records(20, batch * 20))
    const [, , whole] = await pulled(log)
    const copy = whole ?? new Uint8Array(0)
    await log.stop()
    const path = join(directory, '000000000000000.seg')
    const at = readFileSync(path).indexOf(copy)
    for (const harm of ['bytes', 'row'] as const) {
      if (harm === 'bytes') writeAt(path, at + 70, new Uint8Array(9).fill(0xaa))
      else {
        const db = new Database(join(directory, 'index', 'log.db'))
        db.exec('UPDATE kith_batch SET crc = crc + 1 WHERE offset = 40')
        db.close()
      }
      const sick = await started({ directory, writer: 'inline' })
      expect(await codeOf(sick.read({ from: 45 }))).toBe('ERR_LOG_CORRUPT')
      await expect.poll(() => sick.corrupt().length).toBe(1)
      const [run] = sick.corrupt()
      if (run === undefined) throw new Error('the damage is known')
      expect(await sick.repair(run, [copy])).toBe('repaired')
      expect(await sick.verify()).toMatchObject({ ok: true, records: 120 })
      await sick.stop()
    }
    expect(readFileSync(path).indexOf(copy)).toBe(at)
  })
})
