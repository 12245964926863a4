/**
 * A log from a backup (LOG-50). Others may hold more of its history than the backup does, so what
 * comes out is another log: it has an id of its own, and appends under an origin of its own.
 */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { toHex } from '@kith/interface'
import type { LogId, OriginId } from '@kith/interface'
import { nodeDigests } from '@kith/interface/node'
import { restored } from '../core/restored.ts'
import { LogError } from '../errors.ts'
import type { LogStorage } from '../options.ts'
import { segmentsEndPath } from '../store/end-mark.ts'
import { listSegments, segmentPath } from '../store/segment/files.ts'
import { indexPath } from '../store/segment/place.ts'
import { createSegmentStore } from '../store/segment/store.ts'
import { openDatabase } from '../store/sqlite/driver.ts'
import { loadRows } from '../store/sqlite/load.ts'
import { createSqliteStore } from '../store/sqlite/store.ts'
import type { WalRow } from '../store/sqlite/wal.ts'
import { backupError, databaseOf, digestFile, readManifest, syncFile } from './backup.ts'
import type { BackupFile, BackupManifest } from './backup.ts'
import { storageIn } from './storage.ts'

export interface RestoreReport {
  readonly logId: LogId
  /** The new origin; what the backup's log wrote stays under the one before, sealed. */
  readonly origin: OriginId
  readonly previous: { readonly logId: LogId; readonly origin: OriginId }
  readonly floor: number
  readonly next: number
}

/**
 * Makes a log in `directory` from the backup in `from`. The directory must not hold a log; nothing
 * is there under the name of one before it is whole. Throws `ERR_LOG_BACKUP` where the backup is
 * not what its manifest says.
 */
export async function restoreLog(from: string, directory: string): Promise<RestoreReport> {
  const source = resolve(from)
  const target = resolve(directory)
  const manifest = await readManifest(source)
  let work: string | undefined
  try {
    await mkdir(target, { recursive: true })
    await mustBeFree(target)
    work = await mkdtemp(join(target, workPrefix))
    await copyWhole(source, work, manifest)
    const report = takeOver(work, manifest.storage)
    const copy = databaseOf(work, manifest.storage)
    settle(copy, report.logId)
    if (manifest.storage === 'segment') await moveSegments(work, target)
    const database = databaseOf(target, manifest.storage)
    await syncFile(copy)
    await mkdir(dirname(database), { recursive: true })
    // From here on there is a log.
    await rename(copy, database)
    await syncFile(dirname(database))
    await syncFile(target)
    await syncFile(dirname(target))
    return report
  } catch (cause) {
    throw backupError(`${from} was not restored to ${directory}`, cause)
  } finally {
    if (work !== undefined) await rm(work, { recursive: true, force: true })
  }
}

const workPrefix = 'restoring-'

/** Says that segments leave a work directory; its index leaves last, and then a log is there. */
function markPath(work: string): string {
  return join(work, 'moving')
}

/** Throws where a directory holds a log; takes away what an interrupted restore left. */
async function mustBeFree(target: string): Promise<void> {
  const works = (await readdir(target)).filter((name) => name.startsWith(workPrefix))
  const left = works
    .map((name) => join(target, name))
    .filter((work) => existsSync(markPath(work)) && existsSync(indexPath(work)))
  const segments = listSegments(target)
  if (storageIn(target) !== undefined || (segments.length > 0 && left.length === 0)) {
    throw new LogError('ERR_LOG_BACKUP', `${target} holds a log already`)
  }
  for (const segment of segments) await rm(segmentPath(target, segment))
  for (const work of left) await rm(work, { recursive: true })
  // A log of the same store may have been here, which was flushed further.
  await rm(segmentsEndPath(target), { force: true })
}

async function copyWhole(from: string, to: string, manifest: BackupManifest): Promise<void> {
  const { storage, fileBytes, sha256, segments } = manifest
  const [database, copy] = [databaseOf(from, storage), databaseOf(to, storage)]
  await mkdir(dirname(copy), { recursive: true })
  await copyFileWhole(database, copy, { name: 'the database', bytes: fileBytes, sha256 })
  for (const file of segments) await copyFileWhole(join(from, file.name), join(to, file.name), file)
}

async function copyFileWhole(from: string, to: string, file: BackupFile): Promise<void> {
  await copyFile(from, to)
  if ((await stat(to)).size === file.bytes && (await digestFile(to)) === file.sha256) return
  throw new LogError('ERR_LOG_BACKUP', `${from} is damaged: its digest is another one`)
}

async function moveSegments(work: string, target: string): Promise<void> {
  await writeFile(markPath(work), '')
  await syncFile(work)
  await syncFile(target)
  for (const segment of listSegments(work)) {
    await syncFile(segmentPath(work, segment))
    await rename(segmentPath(work, segment), segmentPath(target, segment))
  }
  await syncFile(target)
}

/** Gives the log in a directory a new identity. */
function takeOver(directory: string, storage: LogStorage): RestoreReport {
  const segments = storage === 'segment'
  const store = segments ? createSegmentStore({ directory }) : createSqliteStore({ directory })
  try {
    const state = store.open()
    const newId = (): string => toHex(randomBytes(16))
    const identity = { logId: newId(), origin: newId() }
    const taken = restored(state, identity, Date.now(), nodeDigests)
    if (taken === undefined || state.damage.length > 0) {
      const reason = state.damage[0]?.reason ?? 'it does not know itself'
      throw new LogError('ERR_LOG_BACKUP', `the backup is damaged: ${reason}`)
    }
    const { changes, previous, floor } = taken
    store.commit(changes, true)
    const next = state.origins.reduce((sum, { records }) => sum + records, 0)
    return { ...identity, previous, floor, next }
  } finally {
    store.close()
  }
}

/**
 * Only the database leaves the work directory, and what closing it could not copy out of its
 * write-ahead log nobody was told of: all of it must be in the file, the new identity too.
 */
function settle(database: string, logId: LogId): void {
  const db = openDatabase(database, { fileMustExist: true })
  try {
    const [row] = db.pragma('wal_checkpoint(TRUNCATE)') as WalRow[]
    if (row?.busy === 0 && loadRows(db, nodeDigests).state.meta?.logId === logId) return
  } finally {
    db.close()
  }
  throw new LogError('ERR_LOG_BACKUP', 'the new identity did not reach the file of the copy')
}
