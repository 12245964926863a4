/** Restores a backup and dies before its copy, sync or rename: `restore-child.ts FROM TO LIMIT`. */
import { createRequire, syncBuiltinESMExports } from 'node:module'

type Call = (...given: unknown[]) => Promise<unknown>

const [, , from = '', to = '', limit = '1'] = process.argv
const files = createRequire(import.meta.url)('node:fs/promises') as Record<string, Call>
let calls = 0
for (const name of ['copyFile', 'open', 'rename']) {
  const real = files[name]
  files[name] = (...given) => {
    calls += 1
    if (calls >= Number(limit)) process.kill(process.pid, 'SIGKILL')
    return real?.(...given) ?? Promise.resolve()
  }
}
syncBuiltinESMExports()
const { restoreLog } = await import('../../src/index.ts')
await restoreLog(from, to)
