/** What a directory takes on the disk. */
import { lstatSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

/** The unit of `blocks`, whatever the file system's own. */
const blockBytes = 512

/** Bytes of the blocks that are allocated to the files in `directory`. */
export function allocatedBytes(directory: string): number {
  const entries = readdirSync(directory, { recursive: true, encoding: 'utf8' })
  return entries
    .map((name) => lstatSync(join(directory, name)))
    .filter((entry) => entry.isFile())
    .reduce((sum, { blocks }) => sum + blocks * blockBytes, 0)
}
