/** What every discovery and every kind of check does. */
import { mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CheckKind } from '@kith/interface'
import { systemClock } from '@kith/interface/node'
import { checkKindCases, discoveryCases, runConformance } from '@kith/testkit'
import { folderDiscovery, freshFileCheck } from '../src/index.ts'

const temporary = (): Promise<string> => mkdtemp(join(tmpdir(), 'shared-folder-'))

const openFolder = async () => {
  const folder = await temporary()
  const empty = (): Promise<void> => rm(folder, { recursive: true })
  const provide = async (entries: readonly string[]): Promise<void> => {
    await empty()
    await mkdir(folder)
    const files = entries.map((entry, at) => writeFile(join(folder, `${at}.member`), entry))
    await Promise.all(files)
  }
  const finds = ['ada/10.0.0.1:7946', 'ben/[fd00::2]:7000', '10.0.0.3:7946']
  await provide([...finds, finds[0] ?? '', 'no address', '', 'x'.repeat(600)])
  return {
    factory: folderDiscovery(folder),
    clock: systemClock,
    finds,
    bad: [7, '', undefined].map((wrong) => ({
      make: () => folderDiscovery(wrong as string),
      field: 'folder',
    })),
    provide,
    async spoil() {
      await empty()
      await writeFile(folder, 'no folder')
    },
    hold: () => Promise.reject(new Error('nothing can be held')),
    [Symbol.asyncDispose]: empty,
  }
}

runConformance('folder discovery', discoveryCases, { describe, it }, openFolder, {
  absent: {
    notices: 'a folder of a network tells nobody of changes',
    slow: 'a test has no folder that takes long',
  },
})

const openCheck = async () => {
  const folder = await temporary()
  const written = async (ageMs: number): Promise<object> => {
    const path = join(folder, 'mark')
    await writeFile(path, '')
    const time = (Date.now() - ageMs) / 1000
    await utimes(path, time, time)
    return { path, ageMaxMs: 30_000 }
  }
  return {
    kind: freshFileCheck as CheckKind<never>,
    clock: systemClock,
    target: { address: '127.0.0.1', port: 1 },
    bad: [
      { options: {}, field: 'path' },
      { options: { path: 'x', ageMaxMs: 0 }, field: 'ageMaxMs' },
      { options: { path: 'x', age: 5 }, field: 'age' },
    ],
    healthy: () => written(0),
    sick: () => written(60_000),
    waiting: () => Promise.reject(new Error('it never waits')),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  }
}

runConformance('fresh-file check', checkKindCases, { describe, it }, openCheck, {
  absent: { waiting: 'one look at a file takes no time' },
})
