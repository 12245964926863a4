import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { describe as describeCorpus } from '../src/check.ts'
import { readCorpus, renamed, share } from '../src/corpus.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'kith-corpus-'))
  mkdirSync(join(root, 'docs'))
  writeFileSync(join(root, 'a.txt'), 'one\n\nthree')
  writeFileSync(join(root, 'docs/b.txt'), 'four\n')
  writeFileSync(join(root, 'picture'), Buffer.from([1, 0, 2]))
  writeFileSync(join(root, 'latin'), Buffer.from([0xe9, 0x0a]))
})
afterEach(() => rmSync(root, { recursive: true }))

describe('the corpus', () => {
  it('is every line of the text files, each under a key of its own', async () => {
    const { files, fileLines, passes, lines } = await readCorpus(root, 1, 99)
    expect({ files, fileLines, passes }).toEqual({ files: 2, fileLines: 4, passes: 1 })
    expect(lines).toEqual([
      { key: '1/a.txt:1', value: 'one' },
      { key: '1/a.txt:2', value: '' },
      { key: '1/a.txt:3', value: 'three' },
      { key: '1/docs/b.txt:1', value: 'four' },
    ])
  })

  it('takes few lines several times, under other keys', async () => {
    const { passes, lines } = await readCorpus(root, 9, 99)
    expect(passes).toBe(3)
    expect(new Set(lines.map(({ key }) => key)).size).toBe(12)
    expect(new Set(renamed(lines, 'x').map(({ key }) => key.slice(0, 2)))).toEqual(new Set(['x/']))
  })

  it('is no longer than asked for, and says how much there is', async () => {
    const corpus = await readCorpus(root, 1, 3)
    expect(corpus.lines).toHaveLength(3)
    expect(describeCorpus(corpus)).toBe('input: the first 3 of the 4 lines of 2 tracked text files')
    expect(describeCorpus(await readCorpus(root, 9, 99))).toContain('taken 3 times')
  })

  it('is of any length', async () => {
    writeFileSync(join(root, 'long.txt'), '\n'.repeat(300_000))
    const { fileLines, lines } = await readCorpus(root, 1, 400_000)
    expect([fileLines, lines.length]).toEqual([300_004, 300_004])
  })

  it('is only what is tracked, where there is a repository', async () => {
    execFileSync('git', ['init', '-q'], { cwd: root })
    execFileSync('git', ['add', 'a.txt'], { cwd: root })
    expect((await readCorpus(root, 1, 99)).files).toBe(1)
  })

  it('is shared out without a rest', async () => {
    const { lines } = await readCorpus(root, 11, 99)
    const shares = [0, 1, 2, 3, 4].map((index) => share(lines, index, 5))
    expect(shares.flat()).toEqual(lines)
  })

  it('says so when there is nothing to read', async () => {
    const empty = join(root, 'empty')
    mkdirSync(empty)
    await expect(readCorpus(empty, 1, 99)).rejects.toThrow('no text files')
  })
})
