/** Backups made while appends go on, and the logs that come of them. */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { describe, expect, it, vi } from 'vitest'
import { restoreLog } from '../src/index.ts'
import type { BackupManifest, Log } from '../src/index.ts'
import type { Kind } from './support.ts'
import {
  all,
  allValues,
  codeOf,
  durableKinds,
  home,
  inDirectory,
  makeBatch,
  records,
  started,
  temporaryDirectory,
} from './support.ts'

const stranger = 'ab'.repeat(16)

/** A log with something in every table. */
async function lived(kind: Kind): Promise<Log> {
  const log = await started({ ...home(kind), member: 'ada' })
  await log.append(records(3))
  await log.applyBatches([makeBatch(stranger).bytes], new Map([[stranger, 'ben']]))
  await log.retain({ recordsMax: 3 })
  await log.recordGap(stranger, 9, '09'.repeat(32), 'lost')
  await log.append(records(2, 6), { producer: { id: 'p', sequence: 1 } })
  await log.cursor('c').commit({
    next: 4,
    statements: [{ sql: 'CREATE TABLE mine(x)' }, { sql: 'INSERT INTO mine VALUES (7)' }],
  })
  log.acknowledged('77'.repeat(16), new Map([[log.origin, 3]]), 'ben', all(log))
  return log
}

const segmentName = '000000000000000.seg'

/** What a directory has in it, those below it too. */
const within = (directory: string): readonly string[] =>
  readdirSync(directory, { recursive: true, encoding: 'utf8' }).toSorted()

/** The files of a log that is stopped. */
const filesOf = (kind: Kind): readonly string[] =>
  kind === 'segment' ? [segmentName, 'index', 'index/log.db'] : ['log.db']

describe.each(durableKinds)('a backup of a %s log', (kind) => {
  it('LOG-49 LOG-50 comes back as another log with all it held, under a new origin', async () => {
    const log = await lived(kind)
    const [from, to] = [join(temporaryDirectory(), 'backup'), join(temporaryDirectory(), 'log')]
    const manifest = await log.backup(from)
    const { logId, origin } = log
    expect(manifest).toMatchObject({ kind: 'kith-log-backup', logId, origin, floor: 3, next: 8 })
    expect(within(from)).toEqual([...filesOf(kind), 'manifest.json'])
    expect(manifest.storage).toBe(kind === 'segment' ? 'segment' : 'sqlite')
    expect(JSON.parse(readFileSync(join(from, 'manifest.json'), 'utf8'))).toEqual(manifest)
    await log.append(records(5, 100))
    const report = await restoreLog(from, to)
    expect(report).toMatchObject({ floor: 3, next: 8, previous: { logId, origin } })
    expect(within(to)).toEqual(filesOf(kind))
    const restored = await started({ ...inDirectory(kind, to), gate: 'wait' })
    expect(restored.logId).toBe(report.logId)
    expect(restored.logId).not.toBe(logId)
    const past = restored.vector().find((state) => state.origin === origin)
    expect(past).toMatchObject({ status: 'sealed', next: 6, own: false })
    expect((await allValues(restored)).length).toBe(5)
    expect(restored.cursor('c').get()).toEqual({ next: 4, revision: 1 })
    // What was dropped before it was copied the copy never stored, and says so for good.
    expect(log.vector().find((state) => state.origin === origin)).toMatchObject({ storedFrom: 1 })
    expect(past).not.toHaveProperty('storedFrom')
    expect(await restored.verify()).toMatchObject({ ok: true, records: 5 })
    // The origin is new, so that nobody need be asked first.
    const result = await restored.append(records(1))
    expect(result).toMatchObject({ origin: report.origin, first: 1, offset: 8 })
    expect(result.origin).not.toBe(origin)
    expect(restored.vector().find(({ own }) => own)).toMatchObject({ member: 'ada' })
    // The user's rows moved together with the cursor, and came back together.
    const insert = { sql: 'INSERT INTO mine SELECT x + 1 FROM mine' }
    await restored.cursor('c').commit({ next: 5, revision: 1, statements: [insert] })
    // What others acknowledged they acknowledged to another log.
    expect(await restored.retain({ recordsMax: 0, minReplicas: 1 })).toMatchObject({ batches: 0 })
    const retry = await restored.append(records(1), { producer: { id: 'p', sequence: 1 } })
    expect(retry).toMatchObject({ origin, first: 4, duplicate: true })
  })

  it('LOG-49 holds all that was acknowledged before it, and stands at one point', async () => {
    const log = await started(home(kind))
    const value = new Uint8Array(4_000).fill(7)
    await Promise.all(Array.from({ length: 1_500 }, () => log.append({ value })))
    let appending = true
    let appended = 1_500
    const more = (async () => {
      while (appending) {
        await log.append([{ value }, { value }, { value }])
        appended += 3
      }
    })()
    const made: { before: number; place: string; manifest: BackupManifest }[] = []
    for (let round = 0; round < 3; round += 1) {
      const before = appended
      const place = join(temporaryDirectory(), 'backup')
      made.push({ before, place, manifest: await log.backup(place) })
    }
    appending = false
    await more
    expect(appended).toBeGreaterThan(made[0]?.before ?? 0)
    for (const { before, place, manifest } of made) {
      expect(manifest.next).toBeGreaterThanOrEqual(before)
      // Each append is in it whole or not at all.
      expect(manifest.next % 3).toBe(0)
      const to = join(temporaryDirectory(), 'log')
      await restoreLog(place, to)
      const restored = await started({ directory: to, writer: 'inline' })
      expect(await restored.verify()).toMatchObject({ ok: true, records: manifest.next })
      await restored.stop()
    }
    expect(await log.verify()).toMatchObject({ ok: true })
  })

  it('LOG-49 leaves nothing that passes for a backup where it was given up', async () => {
    const log = await started(home(kind))
    const value = new Uint8Array(60_000).fill(7)
    await Promise.all(Array.from({ length: 200 }, () => log.append({ value })))
    const place = join(temporaryDirectory(), 'backup')
    const controller = new AbortController()
    const backup = log.backup(place, { signal: controller.signal })
    setImmediate(() => controller.abort(new Error('changed my mind')))
    expect(await codeOf(backup)).toContain('changed my mind')
    expect(readdirSync(place)).toEqual([])
    expect(await codeOf(restoreLog(place, join(place, 'to')))).toBe('ERR_LOG_BACKUP')
    expect(await log.backup(place)).toMatchObject({ next: 200 })
    expect(await codeOf(log.backup(place))).toBe('ERR_LOG_BACKUP')
    expect((await log.append(records(1))).offset).toBe(200)
  })

  it('LOG-49 given up while its directory is made ready is never begun', async () => {
    const log = await started(home(kind))
    const controller = new AbortController()
    const { signal } = controller
    let looked = 0
    // The abort comes right after the first look at the signal.
    signal.throwIfAborted = () => {
      looked += 1
      if (looked === 1) queueMicrotask(() => controller.abort(new Error('changed my mind')))
      else if (signal.aborted) throw signal.reason
    }
    const heard = vi.spyOn(signal, 'addEventListener')
    const place = join(temporaryDirectory(), 'backup')
    expect(await codeOf(log.backup(place, { signal }))).toContain('changed my mind')
    // Looked at once more before the store is asked, and once to tell why there is no backup.
    expect([looked, heard.mock.calls.length]).toEqual([3, 0])
    expect(readdirSync(place)).toEqual([])
  })

  it('LOG-49 ends with the log that it is made of', async () => {
    const log = await started(home(kind))
    const value = new Uint8Array(60_000).fill(7)
    await Promise.all(Array.from({ length: 200 }, () => log.append({ value })))
    const place = join(temporaryDirectory(), 'backup')
    const backup = codeOf(log.backup(place))
    await new Promise((resolve) => setImmediate(resolve))
    await log.stop()
    // It may just have been done; else it says so and leaves nothing.
    const whole = (await backup) === 'resolved'
    expect(existsSync(join(place, 'manifest.json'))).toBe(whole)
    expect(await codeOf(log.backup(join(place, 'late')))).toBe('ERR_LOG_CLOSED')
  })
})

it.each(['inline', 'segment'] as const)(
  'LOG-50 of a %s log refuses what is no whole backup, and a directory with a log in it',
  async (kind) => {
    const log = await lived(kind)
    const from = join(temporaryDirectory(), 'backup')
    await log.backup(from)
    const to = join(temporaryDirectory(), 'log')
    for (const name of kind === 'segment' ? [segmentName, 'index/log.db'] : ['log.db']) {
      const file = join(from, name)
      const whole = readFileSync(file)
      const spoil: readonly (() => void)[] = [
        () => {
          const damaged = Buffer.from(whole)
          const at = Math.floor(whole.length / 2)
          damaged[at] = (damaged[at] ?? 0) ^ 1
          writeFileSync(file, damaged)
        },
        () => writeFileSync(file, whole.subarray(0, whole.length - 1)),
        () => rmSync(file),
      ]
      for (const harm of spoil) {
        harm()
        expect(await codeOf(restoreLog(from, to))).toBe('ERR_LOG_BACKUP')
        expect(readdirSync(to)).toEqual([])
        writeFileSync(file, whole)
      }
    }
    await restoreLog(from, to)
    expect(await codeOf(restoreLog(from, to))).toBe('ERR_LOG_BACKUP')
    const manifest = join(from, 'manifest.json')
    const text = readFileSync(manifest, 'utf8')
    const bent = text.replace(segmentName, `../${segmentName}`)
    const others = kind === 'segment' ? [bent, text.replace('"segment"', '"sqlite"')] : []
    for (const bad of [
      '',
      '[]',
      'null',
      '{"kind":"else"}',
      text.replace('sha256', 'x'),
      ...others,
    ]) {
      writeFileSync(manifest, bad)
      const place = join(temporaryDirectory(), 'log')
      expect(await codeOf(restoreLog(from, place))).toBe('ERR_LOG_BACKUP')
    }
  },
)

it('LOG-50 takes a manifest of a version that knew no segments', async () => {
  const log = await lived('inline')
  const from = join(temporaryDirectory(), 'backup')
  const { storage, segments, ...before } = await log.backup(from)
  expect([storage, segments]).toEqual(['sqlite', []])
  writeFileSync(join(from, 'manifest.json'), JSON.stringify(before))
  expect(await restoreLog(from, join(temporaryDirectory(), 'log'))).toMatchObject({ next: 8 })
})

it('LOG-49 LOG-50 segments without an index are nobody else to write over', async () => {
  const log = await lived('segment')
  const from = join(temporaryDirectory(), 'backup')
  mkdirSync(from)
  writeFileSync(join(from, segmentName), 'mine')
  expect(await codeOf(log.backup(from))).toBe('ERR_LOG_BACKUP')
  expect(readFileSync(join(from, segmentName), 'utf8')).toBe('mine')
  const whole = join(temporaryDirectory(), 'backup')
  await log.backup(whole)
  expect(await codeOf(restoreLog(whole, from))).toBe('ERR_LOG_BACKUP')
  expect(within(from)).toEqual([segmentName])
})

it('LOG-50 two logs of one backup are two logs', async () => {
  const log = await lived('inline')
  const from = join(temporaryDirectory(), 'backup')
  await log.backup(from)
  const reports = [
    await restoreLog(from, join(temporaryDirectory(), 'one')),
    await restoreLog(from, join(temporaryDirectory(), 'two')),
  ]
  expect(new Set([log.logId, ...reports.map(({ logId }) => logId)]).size).toBe(3)
  expect(new Set([log.origin, ...reports.map(({ origin }) => origin)]).size).toBe(3)
})

it.each([
  ['inline', [1, 2, 3]],
  // Two copies; the directories and the segment are synced, it moves, and so on with the database.
  ['segment', [2, 6, 7, 9]],
] as const)(
  'LOG-50 a restore of a %s log that was killed leaves no log under its name, and can be done again',
  async (kind, limits) => {
    const log = await lived(kind)
    const from = join(temporaryDirectory(), 'backup')
    await log.backup(from)
    const child = new URL('./process/restore-child.ts', import.meta.url).pathname
    let moved = 0
    for (const limit of limits) {
      const to = join(temporaryDirectory(), 'log')
      const args = ['--conditions=@kith/source', child, from, to, String(limit)]
      expect(spawnSync(process.execPath, args, { stdio: 'inherit' }).signal).toBe('SIGKILL')
      expect(existsSync(join(to, 'log.db')) || existsSync(join(to, 'index/log.db'))).toBe(false)
      if (existsSync(join(to, segmentName))) moved += 1
      const { logId } = await restoreLog(from, to)
      const restored = await started(inDirectory(kind, to))
      expect(restored.logId).toBe(logId)
      expect(await restored.verify()).toMatchObject({ ok: true, records: 5 })
      await restored.stop()
    }
    expect(moved > 0).toBe(kind === 'segment')
  },
  120_000,
)

it('LOG-50 a restore whose identity does not reach the file leaves no log', async () => {
  const log = await started(home('inline'))
  const megabyte = { sql: 'INSERT INTO mine VALUES (zeroblob(1000000))' }
  await log.cursor('c').commit({ next: 0, statements: [{ sql: 'CREATE TABLE mine(x)' }, megabyte] })
  const from = join(temporaryDirectory(), 'backup')
  const manifest = await log.backup(from)
  // The new origin brings as much again, so that the write-ahead log fits where the file does not.
  const file = join(from, 'log.db')
  const db = new Database(file)
  db.exec(`CREATE TRIGGER grow AFTER INSERT ON kith_origin BEGIN
    INSERT INTO mine VALUES (zeroblob(400000)); END`)
  db.close()
  const content = readFileSync(file)
  const sha256 = createHash('sha256').update(content).digest('hex')
  const bent = { ...manifest, fileBytes: content.length, sha256 }
  writeFileSync(join(from, 'manifest.json'), JSON.stringify(bent))
  const child = new URL('./process/restore-child.ts', import.meta.url).pathname
  const restore = (to: string, blocks: string) => {
    const node = [process.execPath, '--conditions=@kith/source', child, from, to, '1000']
    const limited = ['-c', `ulimit -f ${blocks}; exec "$@"`, 'sh', ...node]
    return spawnSync('sh', limited, { encoding: 'utf8' })
  }
  const to = join(temporaryDirectory(), 'log')
  const { stderr } = restore(to, String(Math.ceil(content.length / 512) + 256))
  expect(stderr).toContain('ERR_LOG_BACKUP')
  expect(readdirSync(to)).toEqual([])
  expect(restore(to, 'unlimited')).toMatchObject({ status: 0, stderr: '' })
  expect(readFileSync(join(to, 'log.db')).length).toBeGreaterThan(content.length + 400_000)
})

it('LOG-49 a log without a directory says that it cannot be backed up', async () => {
  const log = await started()
  const place = join(temporaryDirectory(), 'backup')
  expect(await codeOf(log.backup(place))).toBe('ERR_LOG_BACKUP_UNSUPPORTED')
})
