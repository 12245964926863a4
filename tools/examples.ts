/**
 * The examples of the READMEs and guides: fenced `ts` blocks that stand below a line
 * `<!-- example -->`, or `<!-- example needs serf -->` where they need that program.
 */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './support/command.ts'

export interface Example {
  /** `packages/log/README.md` */
  readonly file: string
  /** The line of its fence. */
  readonly line: number
  readonly code: string
  /** The program without which it cannot run. */
  readonly needs?: 'serf'
}

/** All marked blocks of one text. A mark without a block below it is an error. */
export function examplesIn(file: string, text: string): Example[] {
  const examples: Example[] = []
  const lines = text.split('\n')
  for (const [index, line] of lines.entries()) {
    const [mark, needs] = /^<!-- example(?: needs (serf))? -->$/.exec(line.trim()) ?? []
    if (mark === undefined) continue
    const start = lines.findIndex((it, at) => at > index && it.trim() !== '')
    const end = lines.indexOf('```', start + 1)
    if (lines[start] !== '```ts' || end < 0) {
      throw new Error(`${file}:${index + 1}: no \`\`\`ts block follows the mark of an example`)
    }
    const code = lines.slice(start + 1, end).join('\n')
    const needed = needs === undefined ? {} : { needs: needs as 'serf' }
    examples.push({ file, line: start + 1, code, ...needed })
  }
  return examples
}

/** Every README that must have an example. */
export function readmes(): readonly string[] {
  return ['README.md', ...globSync('packages/*/README.md', { cwd: root }).toSorted()]
}

/** Guides, each with as many examples as it likes. */
export function guides(): readonly string[] {
  return globSync('docs/guides/*.md', { cwd: root }).toSorted()
}

export function readExamples(file: string): Example[] {
  return examplesIn(file, readFileSync(join(root, file), 'utf8'))
}
