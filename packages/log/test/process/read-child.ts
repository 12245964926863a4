/**
 * Reads a log that another process writes, and writes one line a record. Usage: directory, how many
 * records (0: until it is killed), and `verify` to verify and to try an append at the end.
 */
import { writeSync } from 'node:fs'
import { createLog } from '../../src/index.ts'

const [directory = '', count = '0', then = ''] = process.argv.slice(2)
/** Nobody waits so long; whoever started it may be gone without a word. */
const lifeMsMax = 120_000
setTimeout(() => process.exit(3), lifeMsMax).unref()
const log = createLog({ directory, readOnly: true, pollMs: 1 })
await log.start()

let seen = 0
for await (const { offset, value, headers } of log.tail()) {
  const said = headers?.['of'] ?? new TextDecoder().decode(value)
  writeSync(1, `${offset} ${said}\n`)
  seen += 1
  if (seen === Number(count)) break
}
if (then === 'verify') {
  const code = await log.append({ value: new Uint8Array(1) }).catch((cause: unknown) => cause)
  writeSync(1, `append ${String((code as { code?: string }).code)}\n`)
  writeSync(1, `${(await log.verify()).ok ? 'ok' : 'damaged'}\n`)
}
await log.stop()
