/** The packages of the workspace and what their manifests say. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './command.ts'

interface Manifest {
  readonly name: string
  readonly exports?: Readonly<Record<string, string | { readonly types?: string }>>
}

export interface WorkspacePackage {
  /** The folder's name, which is the name without its scope. */
  readonly short: string
  readonly name: string
  /** Relative to the root. */
  readonly folder: string
  /** Declared entries with types: `['.', './dist/index.d.ts']`. */
  readonly entries: readonly (readonly [subpath: string, types: string])[]
}

export function publishedPackages(): readonly WorkspacePackage[] {
  return readdirSync(join(root, 'packages'))
    .filter((short) => existsSync(join(root, 'packages', short, 'package.json')))
    .toSorted()
    .map((short) => {
      const folder = `packages/${short}`
      const text = readFileSync(join(root, folder, 'package.json'), 'utf8')
      const { name, exports = {} } = JSON.parse(text) as Manifest
      const entries = Object.entries(exports).flatMap(([subpath, target]) =>
        typeof target === 'object' && target.types ? [[subpath, target.types] as const] : [],
      )
      return { short, name, folder, entries }
    })
}
