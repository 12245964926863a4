/** Real input: the lines of this repository's tracked text files, each with a name of its own. */
import { execFile } from 'node:child_process'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { promisify } from 'node:util'

export interface CorpusLine {
  /** `pass/path:line`, the record's key: the same line of the same pass is the same record. */
  readonly key: string
  readonly value: string
}

export interface Corpus {
  readonly files: number
  /** Lines of the files, once. */
  readonly fileLines: number
  /** How often the files were taken to have lines enough. */
  readonly passes: number
  /** At most as many as were asked for, from the first file on. */
  readonly lines: readonly CorpusLine[]
}

const FILE_BYTES_MAX = 4 * 1024 * 1024
const LINE_CHARACTERS_MAX = 64 * 1024
/** A file with a zero byte near its beginning is no text. */
const SNIFFED_BYTES = 8000
const SKIPPED_FOLDERS = new Set(['.git', 'node_modules', 'dist', '.turbo', 'coverage'])

/**
 * At least `linesMin` lines, at most `linesMax`; files that are too few are taken several times,
 * under other keys.
 */
export async function readCorpus(
  root: string,
  linesMin: number,
  linesMax: number,
): Promise<Corpus> {
  const texts = new Map<string, string[]>()
  let fileLines = 0
  for (const path of await listFiles(root)) {
    const lines = await readTextLines(join(root, path))
    if (lines === undefined || lines.length === 0) continue
    texts.set(path, lines)
    fileLines += lines.length
  }
  if (fileLines === 0) throw new Error(`there are no text files under ${root}`)
  const passes = Math.max(1, Math.ceil(linesMin / fileLines))
  return { files: texts.size, fileLines, passes, lines: firstLines(texts, passes, linesMax) }
}

function firstLines(
  texts: ReadonlyMap<string, string[]>,
  passes: number,
  linesMax: number,
): CorpusLine[] {
  const lines: CorpusLine[] = []
  for (let pass = 1; pass <= passes; pass += 1) {
    for (const line of onePass(texts, String(pass))) {
      if (lines.length >= linesMax) return lines
      lines.push(line)
    }
  }
  return lines
}

function* onePass(texts: ReadonlyMap<string, string[]>, pass: string): Generator<CorpusLine> {
  for (const [path, lines] of texts) {
    for (const [at, value] of lines.entries()) yield { key: `${pass}/${path}:${at + 1}`, value }
  }
}

/** Part `index` of `count` of the lines, in their order. */
export function share(lines: readonly CorpusLine[], index: number, count: number): CorpusLine[] {
  const from = Math.floor((lines.length * index) / count)
  return lines.slice(from, Math.floor((lines.length * (index + 1)) / count))
}

/** The same lines as other records. */
export function renamed(lines: readonly CorpusLine[], name: string): CorpusLine[] {
  return lines.map(({ key, value }) => ({ key: `${name}/${key}`, value }))
}

async function listFiles(root: string): Promise<string[]> {
  try {
    const run = promisify(execFile)
    const options = { cwd: root, maxBuffer: 64 * 1024 * 1024 }
    const { stdout } = await run('git', ['ls-files', '-z'], options)
    const files = stdout.split('\0').filter((path) => path !== '')
    if (files.length > 0) return files
  } catch {
    // No git, or no repository, as in an unpacked archive: the folder itself is the list.
  }
  return walk(root, root)
}

async function walk(root: string, folder: string): Promise<string[]> {
  const files: string[] = []
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory() && !SKIPPED_FOLDERS.has(entry.name))
      files.push(...(await walk(root, path)))
    else if (entry.isFile()) files.push(relative(root, path))
  }
  return files.toSorted()
}

async function readTextLines(path: string): Promise<string[] | undefined> {
  try {
    const { size } = await stat(path)
    if (size > FILE_BYTES_MAX) return undefined
    const bytes = await readFile(path)
    if (bytes.subarray(0, SNIFFED_BYTES).includes(0)) return undefined
    const lines = new TextDecoder('utf-8', { fatal: true }).decode(bytes).split('\n')
    if (lines.at(-1) === '') lines.pop()
    return lines.filter((line) => line.length <= LINE_CHARACTERS_MAX)
  } catch {
    // Deleted but still tracked, a link to nowhere, or not UTF-8: not a text file for us.
    return undefined
  }
}
