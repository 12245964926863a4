/** The files that the house rules are about: everything git tracks or would track. */
import { execFileSync } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../support/command.ts'

/** Path relative to the root, and content. */
export type Files = ReadonlyMap<string, string>

const textual = /\.(?:ts|mts|js|mjs|json|md|yaml|yml|hex|txt|sh)$|(?:^|\/)(?:run|LICENSE|\.[a-z]+)$/

/** Everything readable as text except the lockfile, which no one writes by hand. */
export function repositoryFiles(): Files {
  const args = ['ls-files', '--cached', '--others', '--exclude-standard', '-z']
  const names = execFileSync('git', args, { cwd: root, maxBuffer: 1 << 26 })
    .toString()
    .split('\0')
  const files = new Map<string, string>()
  for (const name of names.toSorted()) {
    if (!textual.test(name) || name === 'pnpm-lock.yaml') continue
    // A tracked file may just have been removed from the folder.
    if (!statSync(join(root, name), { throwIfNoEntry: false })?.isFile()) continue
    files.set(name, readFileSync(join(root, name), 'utf8'))
  }
  return files
}

/** The subset whose path matches. */
export function filesIn(files: Files, path: RegExp): readonly (readonly [string, string])[] {
  return [...files].filter(([name]) => path.test(name))
}
