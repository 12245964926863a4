/** All files of a directory, as they were at one moment. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** Content by path within the directory. */
export type Image = ReadonlyMap<string, Buffer>

export function takeImage(directory: string): Image {
  const names = readdirSync(directory, { recursive: true, withFileTypes: true })
  const files = names.filter((entry) => entry.isFile())
  return new Map(
    files.map((entry) => {
      const path = join(entry.parentPath, entry.name)
      return [path.slice(directory.length + 1), readFileSync(path)]
    }),
  )
}

/** Makes the directory hold these files and no others. */
export function putImage(directory: string, image: Image): void {
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory)
  for (const [name, content] of image) {
    const path = join(directory, name)
    if (name.includes('/')) mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, content)
  }
}
