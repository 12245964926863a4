/**
 * Backups (LOG-49): the database as it stands while the log goes on, and beside it a manifest that
 * says what it holds. The manifest comes last: without it a directory is no backup.
 */
import { createHash } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import type { Chain, Digests, LogId, OriginId, OriginStatus } from '@kith/interface'
import { isKithError } from '@kith/interface'
import { LogError } from '../errors.ts'
import { openDatabase } from '../store/sqlite/driver.ts'
import { loadRows } from '../store/sqlite/load.ts'
import { FORMAT } from '../store/sqlite/schema.ts'
import { databasePath } from '../store/sqlite/open.ts'
import { mustRun } from './parts.ts'
import type { LogParts } from './parts.ts'
import { storageIn } from './storage.ts'

export interface BackupManifest {
  readonly kind: 'kith-log-backup'
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
  /** Length and SHA-256 of `log.db`. */
  readonly fileBytes: number
  readonly sha256: string
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
  const file = databasePath(directory)
  await prepareDirectory(directory)
  try {
    await parts.backend.backup(file, signal)
    const manifest = await describe(file, parts.digests, parts.clock.wallNow())
    signal.throwIfAborted()
    await writeManifest(directory, manifest)
    return manifest
  } catch (cause) {
    await rm(file, { force: true })
    signal.throwIfAborted()
    throw backupError(`no backup was made in ${path}`, cause)
  }
}

/** Never writes over anything: one that took the place of another would leave none meanwhile. */
async function prepareDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true })
  } catch (cause) {
    throw backupError(`cannot use the directory ${directory}`, cause)
  }
  const taken = [databasePath(directory), manifestPath(directory)].find((at) => existsSync(at))
  if (taken !== undefined) throw new LogError('ERR_LOG_BACKUP', `${taken} is there already`)
  if (storageIn(directory) === undefined) return
  throw new LogError('ERR_LOG_BACKUP', `${directory} holds a log: give another directory`)
}

function manifestPath(directory: string): string {
  return join(directory, 'manifest.json')
}

/** What the copy says of itself; it is made one plain file, without a write-ahead log beside it. */
async function describe(file: string, digests: Digests, now: number): Promise<BackupManifest> {
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
  await syncFile(file)
  const { size } = await stat(file)
  return {
    kind: 'kith-log-backup',
    format: FORMAT,
    logId: meta.logId,
    origin: meta.origin,
    createdAt: now,
    floor: meta.floor,
    next: origins.reduce((sum, { records }) => sum + records, 0),
    origins: origins.map(({ origin, member, floor, next, chain, status }) => {
      return { origin, member, floor, next, chain, status }
    }),
    fileBytes: size,
    sha256: await digestFile(file),
  }
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
  const { kind, format, sha256, fileBytes } = manifest ?? {}
  const whole =
    typeof sha256 === 'string' && Number.isInteger(fileBytes) && Number.isInteger(format)
  if (kind !== 'kith-log-backup' || !whole) {
    throw new LogError('ERR_LOG_BACKUP', `${manifestPath(directory)} is no manifest of a backup`)
  }
  return manifest as BackupManifest
}

export function backupError(what: string, cause: unknown): LogError {
  if (isKithError(cause) && cause.code.startsWith('ERR_LOG_')) return cause as LogError
  const text = cause instanceof Error ? cause.message : String(cause)
  return new LogError('ERR_LOG_BACKUP', `${what}: ${text}`, { cause })
}
