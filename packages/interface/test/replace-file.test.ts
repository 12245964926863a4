import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { replaceFile } from '../src/node/index.ts'

let folder: string
let path: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kith-replace-'))
  path = join(folder, 'file')
})

afterEach(() => rm(folder, { recursive: true }))

const modeOf = async (file: string): Promise<number> => (await stat(file)).mode & 0o777

describe('replaceFile', () => {
  it('makes the file, replaces all of it, and leaves nothing beside it', async () => {
    await replaceFile(path, 'a long beginning')
    await replaceFile(path, Uint8Array.of(0x68, 0x69))
    expect(await readFile(path, 'utf8')).toBe('hi')
    expect(await readdir(folder)).toEqual(['file'])
  })

  it.skipIf(process.platform === 'win32')(
    'gives the permissions asked for, whatever was there or was left by a crash',
    async () => {
      await writeFile(path, 'old', { mode: 0o644 })
      await writeFile(join(folder, 'draft'), 'torn', { mode: 0o666 })
      await replaceFile(path, 'new', { mode: 0o600, beside: join(folder, 'draft') })
      expect([await readFile(path, 'utf8'), await modeOf(path)]).toEqual(['new', 0o600])
      expect(await readdir(folder)).toEqual(['file'])
    },
  )

  it('rejects with what the system says, and the old one stays', async () => {
    await mkdir(path)
    await writeFile(join(path, 'within'), 'old')
    await expect(replaceFile(path, 'new')).rejects.toThrow(/EISDIR|ENOTEMPTY|EPERM|EEXIST/)
    expect(await readdir(folder)).toEqual(['file'])
    expect(await readFile(join(path, 'within'), 'utf8')).toBe('old')
    await expect(replaceFile(join(folder, 'no', 'where'), 'new')).rejects.toThrow('ENOENT')
  })
})
