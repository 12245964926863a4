/** The logs of this repository, as anybody would open them. */
import { createLog } from '@kith/log'
import type { LogStorage } from '@kith/log'
import type { Contender } from './contender.ts'
import { pageRecords } from './contender.ts'

const places = { worker: 'in its thread', inline: 'on the thread of the caller' } as const

export async function openOurs(
  directory: string,
  storage: LogStorage,
  writer: 'worker' | 'inline',
): Promise<Contender> {
  const log = createLog({ directory, storage, writer, member: 'bench' })
  await log.start()
  let next = 0
  return {
    name: `${storage} ${writer}`,
    version: '',
    directory,
    guarantee: {
      acknowledged: 'on the disk',
      checksum: 'CRC-32 a batch, SHA-256 chain of batches',
      flushes: `the log, one a group commit, ${places[writer]}`,
    },
    append: (values) => log.append(values.map((value) => ({ value }))),
    async read() {
      const page = await log.read({ from: next, limit: pageRecords })
      next = page.next >= log.status().next ? 0 : page.next
      const bytes = page.records.reduce((sum, { value }) => sum + value.length, 0)
      return { records: page.records.length, bytes }
    },
    stop: () => log.stop(),
  }
}
