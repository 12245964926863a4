/** Files that are replaced whole: after a crash there is the old one or the new one. */
import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

export interface ReplaceFileOptions {
  /** Permissions of the new file; default 0644, less the umask of the process. */
  readonly mode?: number
  /** Where it is written first, in the same directory; default the path and `.next`. */
  readonly beside?: string
}

/**
 * Writes `data` beside the file, flushes it, moves it over the file and flushes the directory.
 * Durable when it resolves; when it rejects, with the system's error, the old file is still there
 * unless the last flush failed. Calls for one path must follow each other.
 */
export async function replaceFile(
  path: string,
  data: string | Uint8Array,
  options: ReplaceFileOptions = {},
): Promise<void> {
  const { mode = 0o644, beside = `${path}.next` } = options
  // What a crash left may be somebody's to read; the new one has its own permissions.
  await rm(beside, { force: true })
  try {
    await writeFlushed(beside, data, mode)
    await rename(beside, path)
  } catch (cause) {
    await rm(beside, { force: true })
    throw cause
  }
  await flushDirectory(dirname(path))
}

async function writeFlushed(path: string, data: string | Uint8Array, mode: number): Promise<void> {
  await using file = await open(path, 'wx', mode)
  await file.writeFile(data)
  await file.sync()
}

/** The new name is durable when its directory is; Windows has no such call, and needs none. */
async function flushDirectory(path: string): Promise<void> {
  if (process.platform === 'win32') return
  await using directory = await open(path, 'r')
  await directory.sync()
}
