/** A file that is replaced whole: after a crash there is the old one or the new one. */
import { mkdir, open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Durable when it resolves. */
export async function replaceFile(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const next = `${path}.next`
  const file = await open(next, 'w')
  try {
    await file.writeFile(text)
    await file.datasync()
  } finally {
    await file.close()
  }
  await rename(next, path)
  await syncDirectory(dirname(path))
}

/** So that the new name outlives a power cut. Systems without such a thing refuse it. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r').catch(() => undefined)
  await directory?.sync().catch(() => undefined)
  await directory?.close()
}
