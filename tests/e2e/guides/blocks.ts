/** The fenced blocks of Markdown texts, and what a table says of each of them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { examplesIn } from '../../../tools/examples.ts'
import { root } from '../../../tools/support/command.ts'

export interface Block {
  /** `docs/guides/tls.md` */
  readonly file: string
  /** The line of its fence. */
  readonly line: number
  /** What stands behind the fence: `sh`, or nothing. */
  readonly language: string
  readonly text: string
  /** Stands below the mark of an example, so that `tools/readme-examples.test.ts` runs it. */
  readonly marked: boolean
}

/** How a block is run: its file, the words with which its text begins, and the scene. */
export type Row<Scene extends string = string> = readonly [file: string, begins: string, Scene]

/** All blocks of one text; a fence that nothing closes is an error. */
export function blocksIn(file: string, text: string): Block[] {
  const marked = new Set(examplesIn(file, text).map(({ line }) => line))
  const blocks: Block[] = []
  const lines = text.split('\n')
  for (let at = 0; at < lines.length; at += 1) {
    const [fence, language = ''] = /^\s*```(.*)$/.exec(lines[at] ?? '') ?? []
    if (fence === undefined) continue
    const line = at + 1
    const end = lines.findIndex((it, index) => index > at && it.trim() === '```')
    if (end < 0) throw new Error(`${file}:${line}: nothing closes this block`)
    const body = lines.slice(line, end).join('\n')
    blocks.push({ file, line, language, text: body, marked: marked.has(line) })
    at = end
  }
  return blocks
}

export function readBlocks(file: string): Block[] {
  return blocksIn(file, readFileSync(join(root, file), 'utf8'))
}

function fits({ file, text }: Block, [rowFile, begins]: Row): boolean {
  return file === rowFile && text.startsWith(begins)
}

/** Blocks without a row, rows without a block, and what meets more than one. */
export function tableProblems(blocks: readonly Block[], rows: readonly Row[]): string[] {
  const unmarked = blocks.filter(({ marked }) => !marked)
  const ofBlocks = unmarked.flatMap((block) => {
    const count = rows.filter((row) => fits(block, row)).length
    return count === 1 ? [] : [`${block.file}:${block.line} has ${count} rows`]
  })
  const ofRows = rows.flatMap((row) => {
    const count = unmarked.filter((block) => fits(block, row)).length
    return count === 1 ? [] : [`the row "${row[0]}: ${row[1]}" has ${count} blocks`]
  })
  return [...ofBlocks, ...ofRows]
}

/** Hands out the blocks of one table to the scenes that run them, and knows which were taken. */
export class Script<Scene extends string> {
  readonly #blocks: readonly Block[]
  readonly #rows: readonly Row<Scene>[]
  readonly #left: Set<Row<Scene>>

  constructor(blocks: readonly Block[], rows: readonly Row<Scene>[]) {
    this.#blocks = blocks
    this.#rows = rows
    this.#left = new Set(rows)
  }

  /** The text of the block of `scene` that begins so. */
  take(scene: Scene, begins: string): string {
    const row = this.#rows.find((it) => it[2] === scene && it[1] === begins)
    const block = row && this.#blocks.find((it) => fits(it, row))
    if (!row || !block) throw new Error(`no block of "${scene}" begins with "${begins}"`)
    this.#left.delete(row)
    return block.text
  }

  /** Rows of that scene whose block nobody took. */
  left(scene: Scene): string[] {
    return [...this.#left]
      .filter((it) => it[2] === scene)
      .map(([file, begins]) => `${file}: ${begins}`)
  }
}
