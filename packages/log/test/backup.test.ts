/** Backups made while appends go on, and the logs that come of them. */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { restoreLog } from '../src/index.ts'
import type { BackupManifest, Log } from '../src/index.ts'
import {
  allValues,
  codeOf,
  home,
  makeBatch,
  records,
  sqliteKinds,
  started,
  temporaryDirectory,
} from './support.ts'

const stranger = 'ab'.repeat(16)

/** A log with something in every table. */
async function lived(kind: string): Promise<Log> {
  const log = await started({ ...home(kind as 'inline'), member: 'ada' })
  await log.append(records(3))
  await log.applyBatches([makeBatch(stranger).bytes], new Map([[stranger, 'ben']]))
  await log.retain({ recordsMax: 3 })
  await log.recordGap(stranger, 9, '09'.repeat(32), 'lost')
  await log.append(records(2, 6), { producer: { id: 'p', sequence: 1 } })
  await log.cursor('c').commit({
    next: 4,
    statements: [{ sql: 'CREATE TABLE mine(x)' }, { sql: 'INSERT INTO mine VALUES (7)' }],
  })
  log.acknowledged('77'.repeat(16), new Map([[log.origin, 3]]), 'ben')
  return log
}

describe.each(sqliteKinds)('a backup of a %s log', (kind) => {
  it('LOG-49 LOG-50 comes back as another log with all it held, under a new origin', async () => {
    const log = await lived(kind)
    const [from, to] = [join(temporaryDirectory(), 'backup'), join(temporaryDirectory(), 'log')]
    const manifest = await log.backup(from)
    const { logId, origin } = log
    expect(manifest).toMatchObject({ kind: 'kith-log-backup', logId, origin, floor: 3, next: 8 })
    expect(readdirSync(from).toSorted()).toEqual(['log.db', 'manifest.json'])
    expect(JSON.parse(readFileSync(join(from, 'manifest.json'), 'utf8'))).toEqual(manifest)
    await log.append(records(5, 100))
    const report = await restoreLog(from, to)
    expect(report).toMatchObject({ floor: 3, next: 8, previous: { logId, origin } })
    expect(readdirSync(to)).toEqual(['log.db'])
    const restored = await started({ directory: to, writer: kind as 'inline', gate: 'wait' })
    expect(restored.logId).toBe(report.logId)
    expect(restored.logId).not.toBe(logId)
    const past = restored.vector().find((state) => state.origin === origin)
    expect(past).toMatchObject({ status: 'sealed', next: 6, own: false })
    expect((await allValues(restored)).length).toBe(5)
    expect(restored.cursor('c').get()).toEqual({ next: 4, revision: 1 })
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

it('LOG-50 refuses what is no whole backup, and a directory with a log in it', async () => {
  const log = await lived('inline')
  const from = join(temporaryDirectory(), 'backup')
  await log.backup(from)
  const to = join(temporaryDirectory(), 'log')
  const file = join(from, 'log.db')
  const whole = readFileSync(file)
  const spoil: readonly (() => void)[] = [
    () => {
      const damaged = Buffer.from(whole)
      damaged[20_000] = (damaged[20_000] ?? 0) ^ 1
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
  await restoreLog(from, to)
  expect(await codeOf(restoreLog(from, to))).toBe('ERR_LOG_BACKUP')
  const manifest = join(from, 'manifest.json')
  const text = readFileSync(manifest, 'utf8')
  for (const bad of ['', '[]', 'null', '{"kind":"else"}', text.replace('sha256', 'sha')]) {
    writeFileSync(manifest, bad)
    expect(await codeOf(restoreLog(from, join(temporaryDirectory(), 'log')))).toBe('ERR_LOG_BACKUP')
  }
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

it('LOG-50 a restore that was killed leaves no log under its name, and can be done again', async () => {
  const log = await lived('inline')
  const from = join(temporaryDirectory(), 'backup')
  await log.backup(from)
  const child = new URL('./process/restore-child.ts', import.meta.url).pathname
  for (const limit of [1, 2, 3]) {
    const to = join(temporaryDirectory(), 'log')
    const args = ['--conditions=@kith/source', child, from, to, String(limit)]
    expect(spawnSync(process.execPath, args, { stdio: 'inherit' }).signal).toBe('SIGKILL')
    expect(existsSync(join(to, 'log.db'))).toBe(false)
    const { logId } = await restoreLog(from, to)
    const restored = await started({ directory: to, writer: 'inline' })
    expect(restored.logId).toBe(logId)
    await restored.stop()
  }
})

it('LOG-49 a log without a directory says that it cannot be backed up', async () => {
  const log = await started()
  const place = join(temporaryDirectory(), 'backup')
  expect(await codeOf(log.backup(place))).toBe('ERR_LOG_BACKUP_UNSUPPORTED')
})
