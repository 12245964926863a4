/** Names the state of the sources in a file about what they did. */
import { execFileSync } from 'node:child_process'
import { root } from './command.ts'

/** Answers of earlier runs, and of earlier parts of this one: they decide nothing. */
const evidence = 'docs/evidence'

/** What git prints for these arguments, without white space around it. */
export function git(args: readonly string[], folder: string = root): string {
  return execFileSync('git', args, { cwd: folder }).toString().trim()
}

/**
 * The commit of a repository, and whether anything beside the evidence differs from it. Journals
 * (`*.journal`) git does not see.
 */
export function commitOf(folder: string = root): string {
  const commit = git(['rev-parse', 'HEAD'], folder)
  const changed = git(['status', '--porcelain', '--', '.', `:(exclude)${evidence}`], folder)
  return changed === '' ? commit : `${commit}, with uncommitted changes`
}
