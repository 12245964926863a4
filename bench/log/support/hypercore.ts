/** hypercore, one block a record: a signed log in RocksDB. It has no way to ask for a flush. */
import { join } from 'node:path'
import Hypercore from 'hypercore'
import type { Contender } from './contender.ts'
import { packageVersion, pageRecords } from './contender.ts'

export async function openHypercore(directory: string): Promise<Contender> {
  const core = new Hypercore(join(directory, 'core'))
  await core.ready()
  let next = 0
  return {
    name: 'hypercore',
    version: packageVersion('hypercore'),
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
