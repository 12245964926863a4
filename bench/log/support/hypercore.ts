/**
 * hypercore, one block a record: a signed log in RocksDB. It has no way to ask for a flush. With
 * RocksDB it is 160 MB, which not every install of the workspace is to carry: the first run that
 * measures it fetches it, beside the installed packages.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Contender } from './contender.ts'
import { MissingError, pageRecords } from './contender.ts'

const version = '11.39.5'
const home = join(import.meta.dirname, '../../node_modules/.peers')
const fetchMs = 180_000

/** What is used of it; it brings no types along. */
interface Core {
  readonly length: number
  ready(): Promise<void>
  append(blocks: readonly Uint8Array[]): Promise<unknown>
  get(index: number): Promise<Uint8Array | null>
  close(): Promise<void>
}
type CoreClass = new (storage: string) => Core

export async function openHypercore(directory: string): Promise<Contender> {
  const Hypercore = await loadHypercore()
  const core = new Hypercore(join(directory, 'core'))
  await core.ready()
  let next = 0
  return {
    name: 'hypercore',
    version,
    directory,
    guarantee: {
      acknowledged: 'handed to the system, not on the disk',
      checksum: 'BLAKE2b tree with a signature a commit',
      flushes: 'RocksDB when it likes',
    },
    append: (values) => core.append(values),
    async read() {
      const records = Math.min(pageRecords, core.length - next)
      const asked = Array.from({ length: records }, (_, at) => core.get(next + at))
      const blocks = await Promise.all(asked)
      next = next + records >= core.length ? 0 : next + records
      return { records, bytes: blocks.reduce((sum, block) => sum + (block?.length ?? 0), 0) }
    },
    stop: () => core.close(),
  }
}

async function loadHypercore(): Promise<CoreClass> {
  mkdirSync(home, { recursive: true })
  writeFileSync(join(home, 'package.json'), '{ "private": true }\n')
  const from = createRequire(join(home, 'package.json'))
  const wanted = `hypercore@${version}`
  const args = ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--save-exact', wanted]
  const { status } = spawnSync('npm', args, { cwd: home, timeout: fetchMs })
  if (status !== 0) throw new MissingError(`npm cannot fetch ${wanted}`)
  const module = (await import(pathToFileURL(from.resolve('hypercore')).href)) as {
    default: CoreClass
  }
  return module.default
}
