/**
 * Backups (LOG-49): the database as it stands while the log goes on, the segments where it keeps
 * such, and beside them a manifest that says what they hold. The manifest comes last: without it a
 * directory is no backup.
 */
import { createHash } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import type { Chain, Digests, LogId, OriginId, OriginStatus } from '@kith/interface'
import { isKithError } from '@kith/interface'
import { LogError } from '../errors.ts'
import type { LogStorage } from '../options.ts'
import { listSegments, segmentPath } from '../store/segment/files.ts'
import { indexDirectory, indexPath } from '../store/segment/place.ts'
import { openDatabase } from '../store/sqlite/driver.ts'
import { loadRows } from '../store/sqlite/load.ts'
import { FORMAT } from '../store/sqlite/schema.ts'
import { databasePath } from '../store/sqlite/open.ts'
import { mustRun } from './parts.ts'
import type { LogParts } from './parts.ts'
import { storageIn } from './storage.ts'

/** A file of a backup, by its name, its length and its SHA-256. */
export interface BackupFile {
  readonly name: string
  readonly bytes: number
  readonly sha256: string
}

export interface BackupManifest {
  readonly kind: 'kith-log-backup'
  /** How the log was kept, and comes back. */
  readonly storage: LogStorage
  /** Format of the database. */
  readonly format: number
  readonly logId: LogId
  /** The origin under which the log appended. */
  readonly origin: OriginId
  /** Wall milliseconds. */
  readonly createdAt: number
  /** Offsets held: from `floor`, up to `next`. */
  readonly floor: number
  readonly next: number
  readonly origins: readonly {
    readonly origin: OriginId
    readonly member: string
    readonly floor: number
    readonly next: number
    readonly chain: Chain
    readonly status: OriginStatus
  }[]
  /** Length and SHA-256 of the database: `log.db`, or `index/log.db` beside segments. */
  readonly fileBytes: number
  readonly sha256: string
  /** Empty with storage `sqlite`. */
  readonly segments: readonly BackupFile[]
}

export interface BackupOptions {
  readonly signal?: AbortSignal
}

export async function backupLog(
  parts: LogParts,
  path: string,
  { signal = new AbortController().signal }: BackupOptions,
): Promise<BackupManifest> {
  mustRun(parts)
  signal.throwIfAborted()
  const directory = resolve(path)
  const storage = storageIn(parts.options.directory ?? '') ?? 'sqlite'
  await prepareDirectory(directory)
  try {
    // A store hears of it only from here on.
    signal.throwIfAborted()
    await parts.backend.backup(directory, signal)
    const manifest = await describe(directory, storage, parts.digests, parts.clock.wallNow())
    signal.throwIfAborted()
    await writeManifest(directory, manifest)
    return manifest
  } catch (cause) {
    await removeFiles(directory)
    signal.throwIfAborted()
    throw backupError(`no backup was made in ${path}`, cause)
  }
}

/** Never writes over anything: one that took the place of another would leave none meanwhile. */
async function prepareDirectory(directory: string): Promise<void> {
  let segments: readonly number[]
  try {
    await mkdir(directory, { recursive: true })
    segments = listSegments(directory)
  } catch (cause) {
    throw backupError(`cannot use the directory ${directory}`, cause)
  }
  const paths = [databasePath(directory), indexDirectory(directory), manifestPath(directory)]
  const files = segments.map((segment) => segmentPath(directory, segment))
  const taken = [...paths, ...files].find((at) => existsSync(at))
  if (taken !== undefined) throw new LogError('ERR_LOG_BACKUP', `${taken} is there already`)
}

/** Nothing of these was there before. */
async function removeFiles(directory: string): Promise<void> {
  await rm(databasePath(directory), { force: true })
  await rm(indexDirectory(directory), { recursive: true, force: true })
  for (const segment of listSegments(directory)) await rm(segmentPath(directory, segment))
}

function manifestPath(directory: string): string {
  return join(directory, 'manifest.json')
}

/** The database of a log that is kept in `directory`. */
export function databaseOf(directory: string, storage: LogStorage): string {
  return storage === 'segment' ? indexPath(directory) : databasePath(directory)
}

/** What the copy says of itself; it is made one plain file, without a write-ahead log beside it. */
async function describe(
  directory: string,
  storage: LogStorage,
  digests: Digests,
  now: number,
): Promise<BackupManifest> {
  const file = databaseOf(directory, storage)
  const db = openDatabase(file, { fileMustExist: true })
  let state
  try {
    db.pragma('journal_mode=DELETE')
    state = loadRows(db, digests).state
  } finally {
    db.close()
  }
  const { meta, origins, damage } = state
  if (meta === undefined || damage.length > 0) {
    const reason = damage[0]?.reason ?? 'it does not know itself'
    throw new LogError('ERR_LOG_BACKUP', `the log is damaged (${reason}): verify() lists it`)
  }
  const segments: BackupFile[] = []
  for (const segment of listSegments(directory)) {
    segments.push(await settleFile(segmentPath(directory, segment)))
  }
  const { bytes, sha256 } = await settleFile(file)
  await syncFile(dirname(file))
  return {
    kind: 'kith-log-backup',
    storage,
    format: FORMAT,
    logId: meta.logId,
    origin: meta.origin,
    createdAt: now,
    floor: meta.floor,
    next: origins.reduce((sum, { records }) => sum + records, 0),
    origins: origins.map(({ origin, member, floor, next, chain, status }) => {
      return { origin, member, floor, next, chain, status }
    }),
    fileBytes: bytes,
    sha256,
    segments,
  }
}

async function settleFile(path: string): Promise<BackupFile> {
  await syncFile(path)
  const { size } = await stat(path)
  return { name: basename(path), bytes: size, sha256: await digestFile(path) }
}

async function writeManifest(directory: string, manifest: BackupManifest): Promise<void> {
  const path = manifestPath(directory)
  const file = await open(`${path}.new`, 'w')
  try {
    await file.writeFile(`${JSON.stringify(manifest, undefined, 2)}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(`${path}.new`, path)
  await syncFile(directory)
  await syncFile(dirname(directory))
}

/** Syncs a file or a directory. */
export async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

export async function digestFile(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const part of createReadStream(path)) hash.update(part as Uint8Array)
  return hash.digest('hex')
}

/** Reads a manifest; throws `ERR_LOG_BACKUP` for anything that is none. */
export async function readManifest(directory: string): Promise<BackupManifest> {
  let manifest: Partial<BackupManifest> | null
  try {
    manifest = JSON.parse(await readFile(manifestPath(directory), 'utf8')) as typeof manifest
  } catch (cause) {
    throw backupError(`${directory} is no whole backup: its manifest cannot be read`, cause)
  }
  // One that was made before there were others is of a log in one file.
  const { kind, format, sha256, fileBytes, storage = 'sqlite', segments = [] } = manifest ?? {}
  const whole =
    typeof sha256 === 'string' &&
    Number.isInteger(fileBytes) &&
    Number.isInteger(format) &&
    Array.isArray(segments) &&
    segments.every(isSegment) &&
    (storage === 'segment' || (storage === 'sqlite' && segments.length === 0))
  if (kind !== 'kith-log-backup' || !whole) {
    throw new LogError('ERR_LOG_BACKUP', `${manifestPath(directory)} is no manifest of a backup`)
  }
  return { ...(manifest as BackupManifest), storage, segments }
}

/** Names lead nowhere else. */
function isSegment(file: Partial<BackupFile> | null): boolean {
  const { name, bytes, sha256 } = file ?? {}
  const named = typeof name === 'string' && /^\d{15}\.seg$/.test(name)
  return named && Number.isInteger(bytes) && typeof sha256 === 'string'
}

export function backupError(what: string, cause: unknown): LogError {
  if (isKithError(cause) && cause.code.startsWith('ERR_LOG_')) return cause as LogError
  const text = cause instanceof Error ? cause.message : String(cause)
  return new LogError('ERR_LOG_BACKUP', `${what}: ${text}`, { cause })
}
