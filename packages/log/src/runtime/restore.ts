/**
 * A log from a backup (LOG-50). Others may hold more of its history than the backup does, so what
 * comes out is another log: it has an id of its own, and appends under an origin of its own.
 */
import { randomBytes } from 'node:crypto'
import { copyFile, mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { toHex } from '@kith/interface'
import type { LogId, OriginId } from '@kith/interface'
import { nodeDigests } from '@kith/interface/node'
import { restored } from '../core/restored.ts'
import { LogError } from '../errors.ts'
import { databasePath } from '../store/sqlite/open.ts'
import { createSqliteStore } from '../store/sqlite/store.ts'
import { backupError, digestFile, readManifest, syncFile } from './backup.ts'
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
  const { sha256, fileBytes } = await readManifest(source)
  let work: string | undefined
  try {
    await mkdir(target, { recursive: true })
    if (storageIn(target) !== undefined) {
      throw new LogError('ERR_LOG_BACKUP', `${directory} holds a log already`)
    }
    work = await mkdtemp(join(target, 'restoring-'))
    const copy = databasePath(work)
    await copyFile(databasePath(source), copy)
    if ((await stat(copy)).size !== fileBytes || (await digestFile(copy)) !== sha256) {
      throw new LogError('ERR_LOG_BACKUP', `${from} is damaged: its digest is another one`)
    }
    const report = takeOver(work)
    await syncFile(copy)
    await rename(copy, databasePath(target))
    await syncFile(target)
    await syncFile(dirname(target))
    return report
  } catch (cause) {
    throw backupError(`${from} was not restored to ${directory}`, cause)
  } finally {
    if (work !== undefined) await rm(work, { recursive: true, force: true })
  }
}

/** Gives the log in a directory a new identity. */
function takeOver(directory: string): RestoreReport {
  const store = createSqliteStore({ directory })
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
