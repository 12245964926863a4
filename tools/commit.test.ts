import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { root } from './support/command.ts'
import { commitOf, git } from './support/commit.ts'

const dirty = /^[0-9a-f]{40}, with uncommitted changes$/
const clean = /^[0-9a-f]{40}$/

describe('the commit in a file of evidence', () => {
  let folder = ''

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'kith-commit-'))
    copyFileSync(join(root, '.gitignore'), join(folder, '.gitignore'))
    mkdirSync(join(folder, 'docs/evidence'), { recursive: true })
    for (const file of ['source.ts', 'docs/evidence/first.md', 'docs/guide.md']) {
      writeFileSync(join(folder, file), 'text\n')
    }
    git(['init', '--quiet'], folder)
    git(['add', '.'], folder)
    const who = ['-c', 'user.name=Test', '-c', 'user.email=test@localhost']
    git([...who, 'commit', '--quiet', '--message', 'All there is'], folder)
  })

  afterEach(() => rmSync(folder, { recursive: true }))

  it('stands alone where nothing changed but evidence and journals', () => {
    writeFileSync(join(folder, 'docs/evidence/second.md'), 'of an earlier part\n')
    appendFileSync(join(folder, 'docs/evidence/first.md'), 'of an earlier run\n')
    writeFileSync(join(folder, 'lifeguard.journal'), '{}\n')
    expect(commitOf(folder)).toMatch(clean)
  })

  for (const file of ['source.ts', 'docs/guide.md', 'new.ts', 'docs/evidence.md']) {
    it(`is called changed with ${file}`, () => {
      appendFileSync(join(folder, file), 'more\n')
      expect(commitOf(folder)).toMatch(dirty)
    })
  }
})
