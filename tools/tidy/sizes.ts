/** House rule 23: sizes, measured by oxlint, against a committed list that may only shrink. */
import { join } from 'node:path'
import { command, root } from '../support/command.ts'

interface Diagnostics {
  readonly diagnostics: readonly {
    readonly message: string
    readonly filename: string
    readonly labels: readonly { readonly span: { readonly line: number } }[]
  }[]
}

export interface Oversize {
  readonly file: string
  /** `packages/x/src/y.ts:12: The function has too many lines (80). ...` */
  readonly text: string
}

/** Functions over 70 and files over 500 lines below the given folders of `base`. */
export async function oversized(base: string, folders: readonly string[]): Promise<Oversize[]> {
  const config = join(root, 'tools/sizes.oxlintrc.json')
  const { output } = await command(
    join(root, 'node_modules/.bin/oxlint'),
    ['-c', config, '-f', 'json', '--no-error-on-unmatched-pattern', ...folders],
    { folder: base },
  )
  const { diagnostics } = JSON.parse(output) as Diagnostics
  return diagnostics.map(({ message, filename, labels }) => ({
    file: filename,
    text: `${filename}:${labels[0]?.span.line ?? 1}: ${message}`,
  }))
}

/**
 * Holds findings against the list of exceptions: more than it allows in a file is wrong, and so is
 * an entry that allows more than there is, because the list shrinks.
 */
export function sizeProblems(
  found: readonly Oversize[],
  allowed: Readonly<Record<string, number>>,
): string[] {
  const problems: string[] = []
  for (const file of new Set([...found.map((it) => it.file), ...Object.keys(allowed)])) {
    const here = found.filter((it) => it.file === file)
    const bound = allowed[file] ?? 0
    if (here.length > bound) problems.push(...here.map(({ text }) => text))
    if (here.length < bound) {
      problems.push(`tools/tidy/exceptions.json: ${file} has ${here.length} left, not ${bound}`)
    }
  }
  return problems
}
