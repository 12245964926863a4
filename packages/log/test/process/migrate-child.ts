/** Opens the log in a directory and dies at a given checksum: `migrate-child.ts DIR LIMIT`. */
import { nodeDigests } from '@kith/interface/node'
import { sqliteStore } from '../../src/index.ts'

const [, , directory = '', limit = '0'] = process.argv
let calls = 0
sqliteStore({
  directory,
  digests: {
    ...nodeDigests,
    crc32(bytes, seed) {
      calls += 1
      if (calls > Number(limit)) process.kill(process.pid, 'SIGKILL')
      return nodeDigests.crc32(bytes, seed)
    },
  },
})().open()
